"""WFDB annotation files: known bytes, long times, text, truncation."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from feldsher_signal.formats import marks


def word(code: int, value: int) -> bytes:
    return struct.pack("<H", code << 10 | value)


def test_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(
        word(28, 18)
        + word(63, 2)
        + b"(N"
        + word(1, 59)
        + word(59, 0)
        + struct.pack("<hH", 1, 4)
        + word(5, 0)
        + word(62, 1)
        + word(60, 3)
        + word(61, 1023)
        + word(0, 0)
    )
    found = marks.read(path)
    assert found == [
        marks.Mark(18, "+", text="(N"),
        marks.Mark(77, "N"),
        marks.Mark(77 + 65536 + 4, "V", sub=-1, channel=1, number=3),
    ]
    assert [m.symbol for m in marks.beats(found)] == ["N", "V"]


def test_codes_are_those_of_wfdb() -> None:
    # ecgcodes.h: NORMAL 1, PVC 5, PACE 12, RHYTHM 28, WFON 39, WFOFF 40.
    assert [marks.SYMBOLS[code] for code in (1, 5, 12, 28, 39, 40)] == ["N", "V", "/", "+", "(", ")"]


def test_cut_short_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(word(1, 5) + word(59, 0) + b"\1")
    with pytest.raises(ValueError, match=r"a\.atr: byte 4"):
        marks.read(path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(b"")
    assert marks.read(path) == []
