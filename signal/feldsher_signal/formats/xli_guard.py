"""How long Philips' compressed leads (XLI: LZW with codes of ten bits) are when unpacked, told without unpacking them.

Ten bits can stand for 768 bytes, so a file of megabytes could unpack to gigabytes. Only lengths are kept here.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

import numpy as np

from feldsher_signal.formats.error import FormatError

MAX_UNPACKED = 4 << 20
"""All leads together: twelve leads of 16 bits for two and a half minutes at 1000 per second."""
_HEADER, _BITS = 8, 10
_LAST = (1 << _BITS) - 2


def check(path: Path, packed: bytes, most: int = MAX_UNPACKED) -> None:
    """Refuse chunks (u32 size, u16, u16 first sample, codes) that together unpack to more than `most` bytes."""
    at, total = 0, 0
    while at + _HEADER <= len(packed):
        size = struct.unpack_from("<I", packed, at)[0]
        chunk = packed[at + _HEADER : at + _HEADER + size]
        if len(chunk) < size:
            return
        total += _unpacked(chunk, most - total)
        if total > most:
            raise FormatError(path, "parsedwaveforms", f"unpacks to more than {most} bytes")
        at += _HEADER + size


def _unpacked(chunk: bytes, most: int) -> int:
    """Return the bytes that LZW codes stand for, or more than `most` as soon as they do."""
    bits = np.unpackbits(np.frombuffer(chunk, np.uint8))
    codes = bits[: bits.size // _BITS * _BITS].reshape(-1, _BITS) @ (1 << np.arange(_BITS)[::-1])
    lengths = [1] * 256 + [0] * 768
    total, previous, following = 0, 0, 256
    for code in cast("list[int]", codes.tolist()):
        if code > _LAST:
            break
        length = lengths[code] = lengths[code] or previous + 1
        if previous and following <= _LAST:
            lengths[following] = previous + 1
            following += 1
        previous = length
        total += length
        if total > most:
            break
    return total
