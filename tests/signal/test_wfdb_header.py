"""Headers: what a variable layout and a plain record announce, and that nothing outside the folder is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_signal.formats import FormatError, wfdb_header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_all_fields(tmp_path: Path) -> None:
    path = tmp_path / "r.hea"
    path.write_text(
        "r 2 360/180(5) 100 0:00:00\n# 24 F 1 2 x1\nr.dat 16x2:3+24 200.5(-7)/uV 12 9 -5 77 0 lead II\nr.dat 8\n"
    )
    header = wfdb_header.parse(path)
    assert (header.fs, header.frames, header.segments) == (360.0, 100, ())
    assert (header.subject.age, header.subject.sex) == (24, "female")
    assert header.signals == (
        wfdb_header.Signal("r.dat", 16, 2, 3, 24, 200.5, -7, "uV", -5, 77, "lead II"),
        wfdb_header.Signal("r.dat", 8, 1, 0, 0, 200.0, 0, "mV", 0, None, ""),
    )


def test_segments(tmp_path: Path) -> None:
    path = tmp_path / "r.hea"
    path.write_text("r/3 3 250 150\nlayout 0\na 100\n~ 50\n")
    assert wfdb_header.parse(path).segments == (("layout", 0), ("a", 100), ("~", 50))


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "..", ".", "", "a\0b"])
def test_only_files_beside_the_header(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="is not in the header's folder"):
        wfdb_header.inside(tmp_path / "r.hea", name)


@given(st.text("r0123456789 .+-:x/()#~\nmVIe", max_size=120))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_header_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.hea"
    path.write_text(text)
    try:
        header = wfdb_header.parse(path)
    except FormatError:
        return
    assert header.fs > 0
    assert header.signals or header.segments
