"""The bytes of a BITalino (r)evolution: frames of 3 to 8 bytes with a count and a CRC of four bits each, and its state.

Read from its last byte to its first, a frame is one string of bits: count, CRC, four digital lines, then the chosen
channels in order, the first four with 10 bits, the others with 6. The state is little-endian words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROUND = 16
CHANNELS = 6
RATES = (1, 10, 100, 1000)
"""Samples per second, in the order of the codes 0 to 3."""
STOP = b"\x00"
VERSION = b"\x07"
STATE = b"\x0b"
_WIDE = 4
_HEAD_BITS = 12
_RUN = 3
_STATE_SIZE = 16


@dataclass(frozen=True, slots=True)
class Frame:
    """One sample: the count (0 to 15), the chosen channels in units, four digital lines (I1 is the highest bit)."""

    count: int
    channels: tuple[int, ...]
    digital: int = 0

    def pack(self) -> bytes:
        """Return its bytes."""
        word = self.count << 8 | self.digital
        for n, value in enumerate(self.channels):
            word = word << bits(n) | value
        spare = 8 * size(len(self.channels)) - _HEAD_BITS - sum(bits(n) for n in range(len(self.channels)))
        return _sealed((word << spare).to_bytes(size(len(self.channels)), "little"))


@dataclass(frozen=True, slots=True)
class State:
    """What the board says when it is asked: six channels, the battery's converter, its threshold, digital lines."""

    channels: tuple[int, ...]
    battery: int
    threshold: int
    digital: int = 0

    @property
    def volts(self) -> float:
        """The battery's voltage: half of it is on a converter of 10 bits and 3.3 V."""
        return self.battery / 1023 * 3.3 * 2

    @property
    def low(self) -> bool:
        """Say whether it is below the threshold, of which 0 is 3.4 V and 63 is 3.8 V."""
        return self.volts < 3.4 + self.threshold / 63 * 0.4

    def pack(self, *, spare: bool) -> bytes:
        """Return its bytes; `spare`: as firmware from 5.2 on sends them, with one byte more."""
        words = b"".join(value.to_bytes(2, "little") for value in (*self.channels, self.battery))
        return _sealed(words + bytes((self.threshold,)) + b"\0" * spare + bytes((self.digital << 4,)))


def bits(n: int) -> int:
    """Return the bits of the nth chosen channel, the first is 0."""
    return 10 if n < _WIDE else 6


def middle(n: int) -> int:
    """Return the unit that means 0 V at the nth chosen channel."""
    return 1 << bits(n) - 1


def size(channels: int) -> int:
    """Return the bytes of a frame of so many channels."""
    return (_HEAD_BITS + sum(bits(n) for n in range(channels)) + 7) // 8


def _step(crc: int, byte: int) -> int:
    for bit in range(7, -1, -1):
        crc = crc << 1 ^ byte >> bit & 1
        if crc & 0x10:
            crc ^= 0x13
    return crc


_STEPS = tuple(bytes(_step(crc, byte) for byte in range(256)) for crc in range(16))


def crc4(data: bytes) -> int:
    """Return the remainder of the bytes as a polynomial over x⁴ + x + 1, the CRC's own four bits taken as 0."""
    crc = 0
    for byte in data[:-1]:
        crc = _STEPS[crc][byte]
    return _STEPS[crc][data[-1] & 0xF0]


def _sealed(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] | crc4(data),))


def whole(data: bytes) -> bool:
    """Say whether the CRC in the last four bits is right."""
    return data[-1] & 0x0F == crc4(data)


def parse(data: bytes, channels: int) -> Frame:
    """Return the frame in so many bytes as `channels` need; its CRC is for `whole`."""
    word = int.from_bytes(data, "little")
    at = 8 * len(data) - _HEAD_BITS
    values: list[int] = []
    for n in range(channels):
        at -= bits(n)
        values.append(word >> at & (1 << bits(n)) - 1)
    return Frame(data[-1] >> 4, tuple(values), word >> 8 * len(data) - _HEAD_BITS & 0x0F)


class Parser:
    """Frames of so many channels out of a stream of bytes in which nothing marks where a frame begins.

    A frame that follows by CRC and count is taken at once; else three in a row that follow each other must be there.
    `errors`: damaged frames and places where the thread was lost.
    """

    def __init__(self, channels: int) -> None:
        self.errors = 0
        self._channels = channels
        self._size = size(channels)
        self._buffer = bytearray()
        self._count: int | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are certain now."""
        self._buffer += data
        found: list[Frame] = []
        at = 0
        while len(self._buffer) - at >= self._size:
            if self._run(at, 1) and self._counts(at) == self._next(1):
                found.append(self._taken(at))
                at += self._size
                continue
            if len(self._buffer) - at < _RUN * self._size:
                break
            at += self._doubt(at, found)
        del self._buffer[:at]
        return found

    def _doubt(self, at: int, found: list[Frame]) -> int:
        """Decide about bytes that do not follow; return how many of them are done with."""
        if self._run(at, _RUN):
            found.append(self._taken(at))
            return self._size
        if self._count is not None:
            self.errors += 1
            if self._run(at + self._size, _RUN - 1) and self._counts(at + self._size) == self._next(2):
                self._count = self._next(1)  # this frame alone was damaged
                return self._size
            self._count = None
        return 1

    def _taken(self, at: int) -> Frame:
        frame = parse(bytes(self._buffer[at : at + self._size]), self._channels)
        self._count = frame.count
        return frame

    def _next(self, ahead: int) -> int | None:
        return None if self._count is None else (self._count + ahead) % ROUND

    def _counts(self, at: int) -> int:
        return self._buffer[at + self._size - 1] >> 4

    def _run(self, at: int, frames: int) -> bool:
        """Say whether so many frames lie here that are whole and follow each other."""
        starts = range(at, at + frames * self._size, self._size)
        first = self._counts(at)
        return all(
            self._counts(start) == (first + n) % ROUND and whole(bytes(self._buffer[start : start + self._size]))
            for n, start in enumerate(starts)
        )


def parse_state(data: bytes) -> State | None:
    """Return the state in 16 or 17 bytes; None where its CRC is wrong."""
    if len(data) not in (_STATE_SIZE, _STATE_SIZE + 1) or not whole(data):
        return None
    words = [int.from_bytes(data[i : i + 2], "little") for i in range(0, 14, 2)]
    return State(tuple(words[:CHANNELS]), words[CHANNELS], data[14], data[-1] >> 4)


def rate_command(rate: int) -> bytes:
    """Return the command that sets the rate, one of RATES."""
    return bytes((RATES.index(rate) << 6 | 0x03,))


def start_command(channels: Sequence[int]) -> bytes:
    """Return the command that starts these channels, 1 to 6."""
    return bytes((sum(1 << n - 1 for n in channels) << 2 | 0x01,))
