"""Heart Rate Measurement (0x2A37): rate, skin contact, energy and RR intervals; bytes to a frozen dataclass and back.

The characteristic has no time: what cannot be delivered at once the belt discards (Heart Rate Service 1.0, §3.1.1), so
the moment of arrival is the moment of the value. RR intervals come oldest first, in 1/1024 s, none to nine a packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import IntFlag

from feldsher_edge.ble.packet import Packet, unsigned

RR_PER_S = 1024
"""RR intervals count 1/1024 of a second."""


class Flag(IntFlag):
    """The first byte. Bits 5 to 7 are reserved and ignored."""

    WIDE = 0x01
    CONTACT = 0x02
    CONTACT_KNOWN = 0x04
    ENERGY = 0x08
    RR = 0x10


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One measurement: beats per minute; `contact` None where the sensor cannot tell; `energy` in kJ since reset."""

    bpm: int
    contact: bool | None = None
    energy: int | None = None
    rr: tuple[int, ...] = ()


def parse(data: bytes) -> HeartRate:
    """Return the measurement in the bytes of 0x2A37; ValueError names the byte that is missing or too many."""
    packet = Packet(data)
    flags = Flag(packet.unsigned(1, "flags") & 0x1F)
    bpm = packet.unsigned(2 if Flag.WIDE in flags else 1, "heart rate")
    contact = Flag.CONTACT in flags if Flag.CONTACT_KNOWN in flags else None
    energy = packet.unsigned(2, "energy") if Flag.ENERGY in flags else None
    rr: list[int] = []
    while Flag.RR in flags and packet.at < len(data):
        rr.append(packet.unsigned(2, "RR interval"))
    packet.end(f"the flags 0x{data[0]:02x}")
    return HeartRate(bpm, contact, energy, tuple(rr))


def encode(it: HeartRate) -> bytes:
    """Return the bytes of 0x2A37 that `parse` reads back as `it`."""
    flags, wide = Flag(0), it.bpm > 0xFF
    if wide:
        flags |= Flag.WIDE
    if it.contact is not None:
        flags |= Flag.CONTACT_KNOWN | (Flag.CONTACT if it.contact else Flag(0))
    body = unsigned(it.bpm, 2 if wide else 1, "bpm")
    if it.energy is not None:
        flags, body = flags | Flag.ENERGY, body + unsigned(it.energy, 2, "energy")
    if it.rr:
        flags, body = flags | Flag.RR, body + b"".join(unsigned(rr, 2, "rr") for rr in it.rr)
    return bytes([flags]) + body


def milliseconds(rr: int) -> Decimal:
    """Return an RR interval of 1/1024 s in milliseconds, to one decimal place (a step is 0.98 ms)."""
    return (Decimal(rr) * 1000 / RR_PER_S).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
