"""Files are read in a child process: what a hostile file does to a reader ends there, and no name comes out of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from types import TracebackType

import msgspec

from feldsher_edge.interpreter import LENGTH
from feldsher_edge.original import Keep, Kept, Left, Look, Seen

ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
"""Of children that read: one thread needs no buffers for more."""
CHILD = (sys.executable, "-m", "feldsher_edge.reader_child")
TIMEOUT_S = 60.0
"""The slowest file within all bounds takes 6 s here (docs/formats.md), about four times as long on a small board."""
_LARGEST = 64_000_000
_decoder = msgspec.msgpack.Decoder(Seen | Left | Kept)


class ReaderError(Exception):
    """The child gave no answer; the text says why. What it held in memory is gone, the next request has a new one."""


class Reader:
    """A child that reads files, started at the first request; `async with` ends it."""

    def __init__(self, timeout_s: float = TIMEOUT_S, command: Sequence[str] = CHILD) -> None:
        self._timeout_s = timeout_s
        self._command = command
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None where none was started yet."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._end()

    async def look(self, ask: Look) -> Seen | Left:
        """Return what a file says, or why it is left where it is; ReaderError."""
        answer = await self._ask(ask)
        if isinstance(answer, Kept):
            raise ReaderError("the reader answered something else")
        return answer

    async def keep(self, ask: Keep) -> str | None:
        """Seal what was looked at last; return why it could not be kept, None where it is on the disk; ReaderError."""
        answer = await self._ask(ask)
        return answer.fault if isinstance(answer, Kept) else "the reader answered something else"

    async def _ask(self, ask: Look | Keep) -> Seen | Left | Kept:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(msgspec.msgpack.encode(ask))
        except TimeoutError:
            await self._end()
            raise ReaderError(f"reading took longer than {self._timeout_s:g} s") from None
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            await self._end()
            raise ReaderError(f"the reader crashed ({type(error).__name__})") from error

    async def _exchange(self, body: bytes) -> Seen | Left | Kept:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, env=ENVIRONMENT
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise BrokenPipeError("no reader")
        process.stdin.write(LENGTH.pack(len(body)) + body)
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return _decoder.decode(await process.stdout.readexactly(min(length, _LARGEST)))

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
