"""Interpretation in a warmed child process: the daemon loads no Numba, and no crash of the engine takes it along.

Parent and child (interpreter_child.py) speak over the child's standard input and output: a length of four bytes (big
endian), then MessagePack. The child sends an empty answer once its kernels are compiled.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

import msgspec
import numpy as np
import structlog
from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_signal.record import Recording

_log = structlog.get_logger("interpreter")
LENGTH = struct.Struct(">I")
_LARGEST = 64_000_000
_CALM_S = 60.0
CHILD = (sys.executable, "-m", "feldsher_edge.interpreter_child")


class NotInterpreted(Exception):  # noqa: N818 - it is a fact about a recording, not a fault of the program
    """There is no interpretation; the text is the reason that travels with the recording."""


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A recording for the child: samples as little-endian int32, lead-major.

    `draw`: a picture is wanted instead of an interpretation, with `shown` written on it.
    """

    leads: tuple[str, ...]
    fs: float
    n: int
    samples: bytes
    uv_per_bit: tuple[float, ...]
    baseline: tuple[int, ...]
    subject: Subject
    draw: bool = False
    shown: Interpretation | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The child's answer: an interpretation or a picture, or why there is none; none of them means `ready`."""

    interpretation: Interpretation | None = None
    fault: str | None = None
    picture: str | None = None


class Interpreter:
    """The child and its supervision. `timeout_s` bounds one interpretation, `ready_s` the wait for a warming child."""

    def __init__(self, timeout_s: float, command: Sequence[str] = CHILD, *, ready_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._ready_s = timeout_s if ready_s is None else ready_s
        self._command = command
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self.restarts = 0

    @property
    def ready(self) -> bool:
        """Whether a warmed child waits for work."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Keep a warmed child until cancelled; one that dies is replaced, at once if it had lived, else ever later."""
        loop = asyncio.get_running_loop()
        delay_s = 0.0
        while True:
            since = loop.time()
            try:
                await self._life()
            except OSError as error:
                _log.error("interpreter cannot be started", error=str(error))
            delay_s = 0.0 if loop.time() - since > _CALM_S else min(60.0, delay_s * 2 + 0.5)
            self.restarts += 1
            _log.warning("interpreter ended, another follows", in_s=delay_s)
            await asyncio.sleep(delay_s)

    async def _life(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
        )
        self._process = process
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, msgspec.DecodeError):
                await self._read(process)
                self._ready.set()
                _log.info("interpreter is warm", pid=process.pid)
                await process.wait()
        finally:
            self._ready.clear()
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            _close_pipes(process)

    async def interpret(self, recording: Recording, subject: Subject) -> Interpretation:
        """Return the interpretation of a recording; NotInterpreted says why none. A hanging child is replaced."""
        answer = await self._ask(_ask(recording, subject))
        if answer.interpretation is None:
            raise NotInterpreted(answer.fault or "the interpreter gave no answer")
        return answer.interpretation

    async def draw(self, recording: Recording, shown: Interpretation | None) -> str:
        """Return a recording on ECG paper as SVG, with an interpretation beside it; NotInterpreted says why none."""
        answer = await self._ask(msgspec.structs.replace(_ask(recording, Subject()), draw=True, shown=shown))
        if answer.picture is None:
            raise NotInterpreted(answer.fault or "the interpreter gave no picture")
        return answer.picture

    async def _ask(self, ask: Ask) -> Answer:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(self._ready_s):
                    await self._ready.wait()
            except TimeoutError:
                raise NotInterpreted("the interpreter is not ready") from None
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._exchange(ask)
            except TimeoutError:
                self._kill()
                raise NotInterpreted(f"the interpreter took longer than {self._timeout_s:g} s") from None
            except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
                self._kill()
                _log.error("interpreter failed", error=repr(error))
                raise NotInterpreted("the interpreter crashed") from error
            except asyncio.CancelledError:
                self._kill()  # its answer would be taken for that of the next recording
                raise

    async def _exchange(self, ask: Ask) -> Answer:
        process = self._process
        if process is None or process.stdin is None:
            raise BrokenPipeError("no interpreter")
        process.stdin.write(frame(ask))
        await process.stdin.drain()
        return await self._read(process)

    async def _read(self, process: Process) -> Answer:
        if process.stdout is None:
            raise BrokenPipeError("no interpreter")
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return msgspec.msgpack.decode(await process.stdout.readexactly(min(length, _LARGEST)), type=Answer)

    def _kill(self) -> None:
        self._ready.clear()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


def _ask(recording: Recording, subject: Subject) -> Ask:
    samples = np.ascontiguousarray(recording.samples, dtype="<i4").tobytes()
    return Ask(recording.leads, recording.fs, recording.n, samples, recording.uv_per_bit, recording.baseline, subject)


def _close_pipes(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def frame(value: Ask | Answer) -> bytes:
    """Return a message with its length before it."""
    body = msgspec.msgpack.encode(value)
    return LENGTH.pack(len(body)) + body
