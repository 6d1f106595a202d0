"""A session with a board that answers in its own way and then only streams: questions, and samples by its counter."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.counter import Counter
from feldsher_edge.devices.serial_session import Opening, SerialSession
from feldsher_edge.devices.track import Track
from feldsher_edge.serial_port import PortError, SerialPort

_MOST_ANSWER = 65_536
_UNCOUNTED = 2**31
T = TypeVar("T")


class StreamSession(SerialSession):
    """A connection whose bytes are an answer while one is waited for, else samples."""

    baud: ClassVar[int] = 115_200

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._counter: Counter[tuple[Sequence[int], int]] | None = None
        self._question: tuple[bytearray, Callable[[bytes], Any], asyncio.Future[Any]] | None = None
        self._asking = asyncio.Lock()
        self._port = SerialPort(opening.path, self.baud, self._received, self._gone)

    def close(self) -> None:
        """Close the line."""
        self._port.close()

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Take what the board streams."""

    async def _ask(self, command: bytes, answer: Callable[[bytes], T | None], within_s: float, tries: int = 2) -> T:
        """Send a command and return what `answer` makes of all that came since; DeviceError where it makes nothing.

        `answer` returns None for as long as there must be more.
        """
        async with self._asking:
            future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            heard = bytearray()
            self._question = (heard, answer, future)
            try:
                for _ in range(tries):
                    heard.clear()
                    self._port.write(command)
                    await asyncio.wait({future}, timeout=within_s)
                    if future.done():
                        return future.result()
            finally:
                self._question = None
                future.cancel()
        said = f": {heard[-80:].decode('ascii', 'replace')!r}" if heard else ""
        raise DeviceError(f"{self.path}: no answer to {command!r}, sent {tries} times{said}")

    async def _hush(self, command: bytes, quiet_s: float) -> None:
        """Send what stops the board, and wait until it is quiet; what it still sends is not an answer to anything."""
        self._port.write(command)
        loop = asyncio.get_running_loop()
        until = loop.time() + 10 * quiet_s
        heard, last = self._port.heard, loop.time()
        while loop.time() - last < quiet_s and loop.time() < until:
            await asyncio.sleep(quiet_s / 5)
            if self._port.heard != heard:
                heard, last = self._port.heard, loop.time()

    def _begin(self, asked: int | None) -> Track:
        track = super()._begin(asked)
        self._listen()
        return track

    def _listen(self) -> None:
        """Begin to count samples."""
        round_ = self.signals().round_
        self._counter = Counter(round_ if round_ > 1 else _UNCOUNTED)

    def _sampled(self, count: int, values: Sequence[int], off: int = 0) -> None:
        """Take one sample as the board counts it."""
        if self._counter is not None and self.recording is not None:
            self._put(self.recording, self._counter.put(count, (values, off)))

    def _flush(self) -> None:
        """Put what was still in doubt into the recording."""
        if self._counter is not None and self.recording is not None:
            self._put(self.recording, self._counter.end())
        self._counter = None

    def _put(self, track: Track, placed: list[tuple[int, tuple[Sequence[int], int]]]) -> None:
        for place, (values, off) in placed:
            track.put(place, values, off)
            if track.asked is not None and place >= track.asked:
                track.pass_end()
        if track.full or track.received == 1:
            self._changed.set()

    def _received(self, data: bytes) -> None:
        if self._question is None:
            self._take(data)
            return
        heard, answer, future = self._question
        heard += data
        del heard[:-_MOST_ANSWER]
        if not future.done():
            try:
                found = answer(bytes(heard))
            except DeviceError as error:
                future.set_exception(error)
                return
            if found is not None:
                future.set_result(found)

    def _gone(self, why: str) -> None:
        if self._question is not None and not self._question[2].done():
            self._question[2].set_exception(PortError(why))
        self._lost(why)
