"""What an SCP-ECG file may claim before ecgdatakit decodes it: its decoder walks bit by bit and believes sample counts.

Source: EN 1064 (ISO 11073-91064): the record starts with a checksum, its length and section 0, pointers to the others.
"""

from __future__ import annotations

import struct
from pathlib import Path

from feldsher_signal.formats import source
from feldsher_signal.formats.error import FormatError

MAX_BYTES = 1 << 20
_HEADER = 16


def checked(path: Path) -> bytes:
    """Return the bytes of an SCP-ECG file whose lead definitions (section 3) its length can hold."""
    raw = source.whole(path, MAX_BYTES)
    try:
        size, length = struct.unpack_from("<I", raw, 2)[0], struct.unpack_from("<I", raw, 10)[0]
        if size != len(raw):
            raise FormatError(path, "byte 2", f"a record of {size} bytes is announced, the file has {len(raw)}")
        for at in range(6 + _HEADER, min(6 + length, len(raw)) - 9, 10):
            section, _, start = struct.unpack_from("<HII", raw, at)
            if section == 3 and start:
                _leads(path, raw, start - 1 + _HEADER)
    except struct.error:
        raise FormatError(path, f"byte {len(raw)}", "the file ends within section 0 or 3") from None
    return raw


def _leads(path: Path, raw: bytes, at: int) -> None:
    """Refuse leads of more samples than the record has bits for: every Huffman code takes at least one."""
    count = struct.unpack_from("<B", raw, at)[0]
    total = 0
    for k in range(count):
        first, last = struct.unpack_from("<II", raw, at + 2 + 9 * k)
        if last < first:
            raise FormatError(path, f"byte {at + 2 + 9 * k}", f"lead {k + 1} runs from sample {first} to {last}")
        total += last - first + 1
    if total > 8 * len(raw):
        raise FormatError(path, f"byte {at}", f"{total} samples are announced in {len(raw)} bytes")
