"""Writer of SCP-ECG (EN 1064:2005, ISO 11073-91064): sections 0, 1, 2, 3, 6, differences in the default Huffman code.

Nothing of a person is written but age and sex where they are wanted. SCP-ECG has one scale for all leads, in whole
nanovolts, and samples of 16 bits: what does not fit exactly is brought to the finest step that does. Its sampling
interval is in whole microseconds: 360 per second becomes 2778 µs, which readers round to 360 again.
"""

from __future__ import annotations

import binascii
import math
import struct
from datetime import datetime
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats.complete import complete
from feldsher_signal.formats.content import Content
from feldsher_signal.record import Recording

_NAMES: tuple[str, ...] = (
    *("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V3R", "V4R", "V5R", "V6R", "X", "Y", "Z", "CM5"),
    *("III", "aVR", "aVL", "aVF", "-aVR", "V8", "V9"),
)
LEADS: dict[str, int] = dict(
    zip(_NAMES, (*range(1, 10), *range(11, 15), *range(16, 19), 20, *range(61, 68)), strict=True)
)
"""The codes of leads (table 5 of the standard); any other lead is written as 0, unspecified."""

_VERSION = 20
_DEFAULT_TABLE = 19999
_SECTIONS = 12
# Category I of the standard: demographics and a rhythm that is packed without loss.
_CATEGORY = 0x90
_HEADER = 16
_MAX_LEAD_BYTES = 0xFFFF
_SEX = {"unknown": 0, "male": 1, "female": 2}
_YEARS = 1
# Steps in nanovolts that are tried, finest first, where the leads' own scales have none in common.
_STEPS = (100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 50_000)


def dumps(held: Content, when: datetime | None = None) -> bytes:
    """Return the recording as an SCP-ECG record; ValueError names what the format cannot hold."""
    recording = complete(held.recording, "SCP-ECG")
    if len(recording.leads) > 255:
        raise ValueError(f"leads: {len(recording.leads)} are more than SCP-ECG's 255")
    interval = round(1e6 / recording.fs)
    if not 1 <= interval <= 0xFFFF or round(1e6 / interval) != round(recording.fs):
        raise ValueError(f"fs: {recording.fs:g} per second is no interval of whole microseconds up to 65535")
    if recording.n > 8 * _MAX_LEAD_BYTES:
        raise ValueError(f"samples: {recording.n} per lead are more than SCP-ECG's 65535 bytes can hold")
    step, values = common_scale(recording)
    # One kind of differences holds for all leads: second ones only where they fit 16 bits everywhere.
    order = min(_order(row) for row in values)
    data = [_huffman(_differences(row, order)) for row in values]
    for name, each in zip(recording.leads, data, strict=True):
        if len(each) > _MAX_LEAD_BYTES:
            raise ValueError(f"lead {name!r}: {len(each)} bytes of {recording.n} samples are more than SCP-ECG's 65535")
    rhythm = struct.pack("<HHBB", step, interval, order, 0) + struct.pack(f"<{len(data)}H", *map(len, data))
    return _record(
        {
            1: _tags(held, when),
            2: struct.pack("<H", _DEFAULT_TABLE),
            3: _leads(recording),
            6: rhythm + b"".join(data),
        }
    )


def common_scale(recording: Recording) -> tuple[int, NDArray[np.int64]]:
    """Return the nanovolts per unit and the samples in it, of 16 bits; exact wherever that is possible."""
    base = recording.baseline or (0,) * len(recording.leads)
    units = recording.samples.astype(np.int64) - np.array(base, np.int64)[:, None]
    scales = [Fraction(repr(scale)) * 1000 for scale in recording.uv_per_bit]
    if all(scale.denominator == 1 for scale in scales):
        step = math.gcd(*(abs(int(scale)) for scale in scales))
        values = units * np.array([int(scale) // step for scale in scales], np.int64)[:, None]
        shared = int(np.gcd.reduce(values, axis=None)) or 1
        for factor in (1, shared):
            if np.abs(values).max() <= 32767 * factor and step * factor <= 0xFFFF:
                return step * factor, values // factor
    nanovolts = units * np.array([float(scale) for scale in scales])[:, None]
    largest = float(np.abs(nanovolts).max())
    for step in _STEPS:
        if largest / step <= 32767:
            return step, np.rint(nanovolts / step).astype(np.int64)
    raise ValueError(f"samples: {largest / 1e6:.0f} mV do not fit the 16 bits of SCP-ECG")


def _order(row: NDArray[np.int64]) -> int:
    """Return the highest order of differences (2, 1 or 0) that fit 16 bits."""
    return next((order for order in (2, 1) if np.abs(_differences(row, order)).max() <= 32767), 0)


def _differences(row: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Return the samples (order 0) or their first or second differences, the first samples as they are."""
    out = row.copy()
    if order:
        out[order:] = np.diff(row, order)
    return out


def _huffman(values: NDArray[np.int64]) -> bytes:
    """Return values in the default code (annex C): n ones, 0, sign for 1 to 8, escapes of 8 and of 16 bits."""
    size = np.abs(values)
    short, byte = size <= 8, (values >= -128) & (values <= 127)
    length = np.select([size == 0, short, byte], [np.ones_like(size), size + 2, np.full_like(size, 18)], 26)
    ones = (np.left_shift(1, size.clip(max=8)) - 1) << 2 | (values < 0)
    code = np.select(
        [size == 0, short, byte],
        [np.zeros_like(size), ones, 0b1111111110 << 8 | (values & 0xFF)],
        0b1111111111 << 16 | (values & 0xFFFF),
    )
    place = np.arange(26)
    bits = (code[:, None] >> (length[:, None] - 1 - place).clip(min=0)) & 1
    return np.packbits(bits[place < length[:, None]].astype(np.uint8)).tobytes()


def _tags(held: Content, when: datetime | None) -> bytes:
    """Return section 1: the tags that the standard demands, without an identity, and age and sex where known."""
    day = struct.pack("<HBB", when.year, when.month, when.day) if when else bytes(4)
    tags = [(2, b"\0")]
    if held.subject.age is not None:
        tags.append((4, struct.pack("<HB", held.subject.age, _YEARS)))
    if held.subject.sex != "unknown":
        tags.append((8, bytes([_SEX[held.subject.sex]])))
    tags.append((14, _machine()))
    tags.append((25, day))
    tags.append((26, bytes([when.hour, when.minute, when.second]) if when else bytes(3)))
    if held.filters.highpass is not None:
        tags.append((27, struct.pack("<H", min(round(held.filters.highpass * 100), 0xFFFF))))
    if held.filters.lowpass is not None:
        tags.append((28, struct.pack("<H", min(round(held.filters.lowpass), 0xFFFF))))
    if held.filters.notch in (50.0, 60.0):
        tags.append((29, b"\x01" if held.filters.notch == 60.0 else b"\x02"))
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags) + b"\xff\0\0"


def _machine() -> bytes:
    """Return tag 14: no institution, a system (1), manufacturer by name (255), model, version, plain ASCII."""
    fixed = struct.pack("<HHHBB6sBBBBB", 0, 0, 0, 1, 255, b"feldsh", _VERSION, _CATEGORY, 0, 0, 0)
    return fixed.ljust(35, b"\0") + b"\x01" + b"\0" + b"\0" + b"\0" + b"feldsher\0" + b"feldsher\0"


def _leads(recording: Recording) -> bytes:
    """Return section 3: all leads recorded simultaneously (bit 2, their number in bits 3 to 7), no reference beat."""
    count = len(recording.leads)
    spans = (struct.pack("<IIB", 1, recording.n, LEADS.get(name, 0)) for name in recording.leads)
    return bytes([count, 0x04 | min(count, 31) << 3]) + b"".join(spans)


def _record(bodies: dict[int, bytes]) -> bytes:
    """Return the record: checksum, length, section 0 with the pointers, and the sections, each with its checksum."""
    first = 6 + _HEADER + 10 * _SECTIONS
    pointers, sections, at = b"", b"", first
    for number in range(_SECTIONS):
        body = bodies.get(number)
        if number == 0:
            pointers += struct.pack("<HII", 0, _HEADER + 10 * _SECTIONS, 7)
        elif body is None:
            pointers += struct.pack("<HII", number, 0, 0)
        else:
            section = _section(number, body + b"\0" * (len(body) % 2))
            pointers += struct.pack("<HII", number, len(section), at + 1)
            sections, at = sections + section, at + len(section)
    rest = _section(0, pointers, b"SCPECG") + sections
    sized = struct.pack("<I", 6 + len(rest)) + rest
    return struct.pack("<H", _checksum(sized)) + sized


def _section(number: int, body: bytes, reserved: bytes = bytes(6)) -> bytes:
    head = struct.pack("<HIBB", number, _HEADER + len(body), _VERSION, _VERSION) + reserved
    return struct.pack("<H", _checksum(head + body)) + head + body


def _checksum(data: bytes) -> int:
    """Return CRC-CCITT (polynomial 0x1021, from 0xFFFF), as the standard has it."""
    return binascii.crc_hqx(data, 0xFFFF)
