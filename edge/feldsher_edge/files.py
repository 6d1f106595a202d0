"""Small files that survive a power cut at any moment: written whole or not at all, directories renamed for good."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Write a file of mode 600 atomically: after a power cut it holds the old bytes or the new, never a part.

    A technician does this as root in the service's folder: the bytes go into a file that nobody else can have made.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def rename(source: Path, target: Path) -> None:
    """Give a directory another name, through to the disk; where `target` is a directory it must be empty."""
    source.rename(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Write a directory's entries through to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
