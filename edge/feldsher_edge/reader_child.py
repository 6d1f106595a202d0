"""The child process that reads files: `python -m feldsher_edge.reader_child` serves requests until its input ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import stat
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from feldsher_edge.interpreter import LENGTH
from feldsher_edge.original import Keep, Kept, Left, Look, Seen, Why
from feldsher_edge.original_read import bound_memory, keep, read

_WHY: dict[int, Why] = {
    errno.ENOENT: "gone",
    errno.ELOOP: "no plain file",
    errno.ENXIO: "no plain file",
    errno.EISDIR: "no plain file",
}


class Reader:
    """Reads files one at a time and remembers the bytes of the last one."""

    def __init__(self) -> None:
        self._raw = b""

    def answer(self, ask: Look | Keep) -> Seen | Left | Kept:
        """Return the answer to one request."""
        return self._look(ask) if isinstance(ask, Look) else self._keep(ask)

    def _look(self, ask: Look) -> Seen | Left:
        self._raw = b""
        try:
            handle = os.open(ask.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            return Left(_WHY.get(error.errno or 0, "not readable"))
        with os.fdopen(handle, "rb") as file:
            before = os.fstat(handle)
            why = _why_not(before, ask.most) or ("being written" if _open_elsewhere(handle) else None)
            if why is not None:
                return Left(why)
            try:
                raw = file.read(ask.most + 1)
            except OSError:
                return Left("not readable")
            if mark(os.fstat(handle)) != mark(before) or len(raw) != before.st_size:
                return Left("being written")
        self._raw = raw
        seen = read(raw) if ask.parse else _unread(raw)
        return msgspec.structs.replace(seen, mark=mark(before))

    def _keep(self, ask: Keep) -> Kept:
        try:
            keep(self._raw, Path(os.fsdecode(ask.folder)), ask.certificate, ask.reason)
        except OSError as error:  # its text would name the folder alone, but only the cause is needed
            return Kept(error.strerror or type(error).__name__)
        except ValueError as error:
            return Kept(f"the certificate for originals cannot be used: {error}")
        return Kept()


def mark(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what tells a file from a later one of its name."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _why_not(status: os.stat_result, most: int) -> Why | None:
    if not stat.S_ISREG(status.st_mode):
        return "no plain file"
    if status.st_size == 0:
        return "empty"
    return "too large" if status.st_size > most else None


def _open_elsewhere(handle: int) -> bool:
    """Return whether somebody has the file open for writing; False where the kernel does not tell (another's file)."""
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _unread(raw: bytes) -> Seen:
    return Seen(hashlib.sha256(raw).digest(), len(raw))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their end."""
    reader = Reader()
    decoder = msgspec.msgpack.Decoder(Look | Keep)
    while len(head := requests.read(LENGTH.size)) == LENGTH.size:
        body = msgspec.msgpack.encode(reader.answer(decoder.decode(requests.read(LENGTH.unpack(head)[0]))))
        answers.write(LENGTH.pack(len(body)) + body)
        answers.flush()


def main() -> None:
    """Be the child: frames on the true standard output, whatever libraries print nowhere (it may be a name)."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # a writer that meets our lease: we give it back at once anyway
    bound_memory()
    with contextlib.suppress(BrokenPipeError):  # the daemon was killed: nobody is left to answer
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
