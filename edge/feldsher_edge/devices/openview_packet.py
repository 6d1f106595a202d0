"""The packets of ProtoCentral's boards (OpenView, HealthyPi): `0A FA`, length, type, payload, `00 0B`.

Sources: ProtoCentral's OpenView 2 (decoders of HealthyPi 5), the firmware of HealthyPi 4 and of HealthyPi 5 (MIT).
There is no checksum, so a packet must have the length of its board's type to be believed, and there is no counter.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Board = Literal["healthypi4", "healthypi5", "ads1292r"]
START = b"\x0a\xfa"
STOP = b"\x00\x0b"
_HEAD = 5
_CENTI = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Vitals:
    """The vital signs in a packet; None: not in this packet, or not measured now (the boards send 0).

    `temperature` is of the skin under its sensor, in degrees Celsius.
    """

    saturation: int | None = None
    heart_rate: int | None = None
    respiration: int | None = None
    temperature: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a packet says: ECG samples in units, oldest first, whether an electrode is off, and vital signs."""

    ecg: tuple[int, ...] = ()
    off: bool = False
    vitals: Vitals = field(default_factory=Vitals)


@dataclass(frozen=True, slots=True)
class Kind:
    """A board: lengths of payloads by type, samples per second, microvolts per unit where the firmware leaves no doubt.

    `low`, `high`: the units at the limits of its amplifier, 0 and 0 where they are not known.
    """

    model: str
    sizes: Mapping[int, tuple[int, ...]]
    fs: float
    uv_per_bit: float | None = None
    low: int = 0
    high: int = 0


KINDS: dict[Board, Kind] = {
    # ADS1292R at 125 samples per second, reference 2.42 V, CH2SET 0x60: gain 12 (data sheet SBAS502; the comment beside
    # the firmware's register says 6). The lower 8 of 24 bits are dropped, then a filter cuts off at 40 Hz.
    "healthypi4": Kind("HealthyPi 4", {2: (20,)}, 125.0, 2_420_000 / 12 / (2**23 - 1) * 256, -32_768, 32_767),
    # MAX30001 clocked with 32,768 Hz: 128 samples per second. Its units are shifted by 0, 6 or 14 bits from one
    # firmware to the next, so their scale must be measured and configured.
    "healthypi5": Kind("HealthyPi 5", {2: (22,), 3: (50,), 4: (19,)}, 128.0),
    "ads1292r": Kind("ADS1292R board", {2: (8, 9)}, 125.0),
}


def pack(kind: int, payload: bytes) -> bytes:
    """Return a packet."""
    return START + struct.pack("<HB", len(payload), kind) + payload + STOP


class Parser:
    """Packets of one kind of board out of a stream of bytes. `skipped`: bytes that belonged to none."""

    def __init__(self, kind: Kind) -> None:
        self.skipped = 0
        self._kind = kind
        self._buffer = bytearray()
        self._ahead = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes, int]]:
        """Return type and payload of each packet that is complete now, and the bytes that were skipped before it."""
        self._buffer += data
        found: list[tuple[int, bytes, int]] = []
        at = 0
        while len(self._buffer) - at >= _HEAD:
            size = self._size(at)
            end = at + _HEAD + (size or 0) + len(STOP)
            if size is not None and len(self._buffer) < end:
                break
            if size is None or bytes(self._buffer[end - len(STOP) : end]) != STOP:
                at += 1
                self._ahead += 1
                continue
            found.append((self._buffer[at + 4], bytes(self._buffer[at + _HEAD : end - len(STOP)]), self._ahead))
            self.skipped += self._ahead
            self._ahead, at = 0, end
        del self._buffer[:at]
        return found

    def _size(self, at: int) -> int | None:
        """Return the payload's length where a packet of this board may begin."""
        if bytes(self._buffer[at : at + 2]) != START:
            return None
        size, kind = struct.unpack_from("<HB", self._buffer, at + 2)
        return size if size in self._kind.sizes.get(kind, ()) else None


def decode(board: Board, kind: int, payload: bytes) -> Sample:
    """Return what a packet says whose type and length are the board's.

    The blood pressure in HealthyPi 4's packets is not one: its firmware sends 80 and 120, always. It is not read.
    """
    if board == "healthypi4":
        ecg, _, _, _, temperature, respiration, saturation, rate, *_, leads = struct.unpack("<hhiihBBBBBB", payload)
        found = Vitals(_percent(saturation), rate or None, respiration or None, _celsius(temperature))
        return Sample((ecg,), bool(leads & 0x1F), found)
    if board == "ads1292r":
        ecg, _, respiration, rate = struct.unpack_from("<hhBxB", payload)
        return Sample((ecg,), vitals=Vitals(heart_rate=rate or None, respiration=respiration or None))
    if kind == 2:
        ecg, _, _, _, _, temperature, saturation, rate, respiration = struct.unpack("<iiBiihBBB", payload)
        found = Vitals(_percent(saturation), rate or None, respiration or None, _celsius(temperature))
        return Sample((ecg,), vitals=found)
    if kind == 3:
        *waves, rate, respiration = struct.unpack("<8i4iBB", payload)
        return Sample(tuple(waves[:8]), vitals=Vitals(heart_rate=rate or None, respiration=respiration or None))
    *_, temperature, saturation = struct.unpack("<8hhB", payload)
    return Sample(vitals=Vitals(_percent(saturation), temperature=_celsius(temperature)))


def encode(board: Board, kind: int, sample: Sample) -> bytes:
    """Return the packet of a sample: what `decode` reads, and what it does not read as the boards send it."""
    it = sample.vitals
    saturation, rate, respiration = it.saturation or 0, it.heart_rate or 0, it.respiration or 0
    temperature = int((it.temperature or Decimal(0)) / _CENTI)
    ecg = sample.ecg or (0,)
    if board == "healthypi4":
        off = 0x1F if sample.off else 0
        payload = struct.pack("<hhiihBBBBBB", ecg[0], 0, 0, 0, temperature, respiration, saturation, rate, 80, 120, off)
    elif board == "ads1292r":
        payload = struct.pack("<hhBxBx", ecg[0], 0, respiration, rate)
    elif kind == 2:
        payload = struct.pack("<iiBiihBBB", ecg[0], 0, 0, 0, 0, temperature, saturation, rate, respiration)
    elif kind == 3:
        payload = struct.pack("<8i4iBB", *ecg, *[0] * 4, rate, respiration)
    else:
        payload = struct.pack("<8hhB", *[0] * 8, temperature, saturation)
    return pack(kind, payload)


def _percent(value: int) -> int | None:
    return value if 0 < value <= 100 else None


def _celsius(hundredths: int) -> Decimal | None:
    return hundredths * _CENTI if hundredths > 0 else None
