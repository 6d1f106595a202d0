"""Space put by for a full disk: without it the very receipt that would make room could not be written."""

from __future__ import annotations

import os
from pathlib import Path

import structlog

_log = structlog.get_logger("store")
_LEAST_BYTES = 65_536


class Reserve:
    """A file that holds `size` bytes of the disk, or as much as there is."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def release(self) -> None:
        """Give the space to whoever writes next."""
        self._path.unlink(missing_ok=True)

    def fill(self) -> int:
        """Take the space, or as much as the disk still has, and return how many bytes that is."""
        room = os.statvfs(self._path.parent)
        size = min(self._size, room.f_bavail * room.f_frsize)
        while size >= _LEAST_BYTES:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, size)
            except OSError:  # somebody was faster, or a file system that cannot
                size = size * 9 // 10
                self.release()
            else:
                return size
            finally:
                os.close(handle)
        _log.error("no space could be put by for a full disk", path=str(self._path))
        return 0
