"""WFDB as written: known bytes, and every recording read back as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from feldsher_signal.formats import Content, load, marks, wfdb_write
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import SCALES, contents


def test_known_bytes() -> None:
    # The first samples of MIT-BIH record 100, 995 and 1011, are E3 33 F3 (signal(5)).
    recording = Recording(("MLII", "V5"), 360.0, np.array([[995], [1011]], np.int32), (5.0, 5.0), (1024, 1024))
    files = wfdb_write.dumps(Content(recording), "100", 212)
    assert list(files) == [".dat", ".hea"]
    assert files[".dat"] == b"\xe3\x33\xf3"
    assert files[".hea"].decode().splitlines() == [
        "100 2 360.0 1",
        "100.dat 212 0.2(1024)/uV 12 0 995 995 0 MLII",
        "100.dat 212 0.2(1024)/uV 12 0 1011 1011 0 V5",
    ]


@given(contents(scales=(*SCALES, 1000 / 1716, 5 / 3), spread=2**20), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_exactly(tmp_path: Path, held: Content, packed: bool) -> None:
    known = held.recording.samples[held.recording.samples != MISSING]
    small = packed and np.abs(known).max() < 2048
    given_marks = (marks.Mark(1, "N"), marks.Mark(2, "+", text="(AFIB"))
    files = wfdb_write.dumps(dataclasses.replace(held, marks=given_marks), "r", 212 if small else None)
    for suffix, raw in files.items():
        (tmp_path / f"r{suffix}").write_bytes(raw)
    found = load(tmp_path / "r.hea")
    assert found.recording.leads == held.recording.leads
    assert np.array_equal(found.recording.samples, held.recording.samples)
    assert (found.recording.fs, found.recording.baseline) == (held.recording.fs, held.recording.baseline)
    assert found.recording.uv_per_bit == pytest.approx(held.recording.uv_per_bit, rel=1e-15)
    assert found.subject == held.subject
    assert marks.read(tmp_path / "r.atr") == list(given_marks)


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [(32767, None, 16), (32768, None, 32), (-32768, None, 32), (2047, 212, 212), (9, 16, 16)],
)
def test_format(value: int, code: int | None, expected: int) -> None:
    recording = Recording(("I",), 500.0, np.array([[value, int(MISSING)]], np.int32), (1.0,))
    header = wfdb_write.dumps(Content(recording), "r", code)[".hea"].decode()
    assert header.splitlines()[1].split()[1] == str(expected)


@pytest.mark.parametrize(
    ("value", "code", "name"), [(2048, 212, "r"), (40_000, 16, "r"), (1, 8, "r"), (1, 16, "../r"), (1, 16, "")]
)
def test_what_it_cannot_hold(value: int, code: int, name: str) -> None:
    recording = Recording(("I",), 500.0, np.array([[value]], np.int32), (1.0,))
    with pytest.raises(ValueError, match=r"do not fit format|is no WFDB record name"):
        wfdb_write.dumps(Content(recording), name, code)
