"""WFDB annotation files: known bytes, long times, text, truncation."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from feldsher_signal.formats import FormatError, marks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


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
    with pytest.raises(FormatError, match=r"a\.atr: byte 4: a long time is cut short"):
        marks.read(path)
    path.write_bytes(word(1, 5) + word(63, 9) + b"(N")
    with pytest.raises(FormatError, match=r"a\.atr: byte 4: a text of 9 bytes is cut short"):
        marks.read(path)
    path.write_bytes(word(1, 5))
    with pytest.raises(FormatError, match=r"a\.atr: byte 2: the file ends without its end mark"):
        marks.read(path)


def test_a_time_outside_any_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(word(59, 0) + struct.pack("<hH", -1, 0) + word(1, 0) + word(0, 0))
    with pytest.raises(FormatError, match="byte 6: sample -65536 is outside any recording"):
        marks.read(path)


MARKS = st.builds(
    marks.Mark,
    at=st.integers(0, 2**34) | st.integers(0, 3000),
    symbol=st.sampled_from(sorted(set(marks.SYMBOLS) - {" "})),
    sub=st.integers(-512, 511),
    channel=st.integers(0, 255),
    number=st.integers(0, 1023),
    text=st.text("(AFIB)T+", max_size=12),
)


@given(st.lists(MARKS, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, given_marks: list[marks.Mark]) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(marks.dumps(given_marks))
    assert marks.read(path) == sorted(given_marks, key=lambda mark: mark.at)


def test_before_the_recording() -> None:
    with pytest.raises(ValueError, match="marks: sample -1 is before"):
        marks.dumps([marks.Mark(-1, "N")])


def test_an_unknown_symbol_is_written_as_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(marks.dumps([marks.Mark(3, "%"), marks.Mark(4, " ")]))
    assert [mark.symbol for mark in marks.read(path)] == ['"', '"']


@given(st.binary(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_marks_or_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(raw)
    try:
        found = marks.read(path)
    except FormatError:
        return
    assert all(mark.at >= 0 for mark in found)


REAL = Path(__file__).parents[2].parent / "shared" / "ecg"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"NO REAL RECORDINGS: {REAL} is absent")
@pytest.mark.parametrize("name", ["mitdb/101.atr", "qtdb/sel100.atr", "ludb/data/1.ii", "nstdb/118e06.atr"])
def test_real_marks_survive_being_written(tmp_path: Path, name: str) -> None:
    found = marks.read(REAL / name)
    (tmp_path / "a.atr").write_bytes(marks.dumps(found))
    assert len(found) > 10
    assert marks.read(tmp_path / "a.atr") == found


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.atr"
    path.write_bytes(b"")
    assert marks.read(path) == []
