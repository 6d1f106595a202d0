"""Which of a machine's worker processes this is: an identity that a restart keeps and no two running processes share.

It lies in a file of the state folder and belongs to whoever holds the file's lock, which the kernel frees with the
process, however that ends. A worker that comes back is thus itself again at once: its seats, its count of batches.
"""

from __future__ import annotations

import fcntl
import os
import socket
from io import TextIOWrapper
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4


class Process:
    """The first identity of a folder that no other process has; held until `close`."""

    def __init__(self, directory: Path, host: str | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = self._first_free(directory)
        self.id = self._read()
        self.name = f"{host or socket.gethostname()}-{self.id.hex[-8:]}"
        """For people, logs and `ingest_mark`."""

    @staticmethod
    def _first_free(directory: Path) -> TextIOWrapper:
        number = 1
        while True:
            file = (directory / f"worker-{number}.id").open("a+", encoding="ascii")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                number += 1
            else:
                return file

    def _read(self) -> UUID:
        self._file.seek(0)
        try:
            return UUID(self._file.read().strip())
        except ValueError:  # new, or cut off by a crash
            fresh = uuid4()
            self._file.truncate(0)
            self._file.write(f"{fresh}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            return fresh

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the identity to whoever comes next."""
        self.close()

    def close(self) -> None:
        """Give the identity to whoever comes next."""
        self._file.close()
