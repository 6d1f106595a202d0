"""Conversion: every format to every other, pseudonymous, checked, and nothing left behind where it fails."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import cli, synth
from feldsher_signal.formats import Content, FormatError, convert, load, marks, wfdb_write
from feldsher_signal.record import MISSING
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED")
SAMPLES = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats"
TARGETS = ["x.hea", "x.edf", "x.scp", "x.xml", "x.dcm", "x.csv", "x.fecg"]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A WFDB record of a woman of 63 with beats, a rhythm and a note beside it."""
    recording, _ = synth.ecg(synth.PRESETS["normal"], seconds=4, seed=3)
    notes = (marks.Mark(400, "N"), marks.Mark(400, "+", text="(AFIB"), marks.Mark(500, '"', text="Ivanova felt dizzy"))
    held = Content(recording, Subject(age=63, sex="female"), marks=notes)
    (tmp_path / "in").mkdir()
    for suffix, raw in wfdb_write.dumps(held, "p").items():
        (tmp_path / "in" / f"p{suffix}").write_bytes(raw)
    return tmp_path / "in" / "p.hea"


@pytest.mark.parametrize("name", TARGETS)
def test_from_wfdb_and_back_again(record: Path, tmp_path: Path, name: str) -> None:
    done = convert.convert(record, tmp_path / name)
    assert done.largest_uv < 0.01
    back = convert.convert(tmp_path / name, tmp_path / "back.hea")
    assert back.largest_uv < 0.01
    first, last = load(record).recording, load(tmp_path / "back.hea").recording
    assert (last.leads, last.fs, last.n) == (first.leads, first.fs, first.n)
    assert np.abs(first.microvolts() - last.microvolts()).max() < 0.02
    assert load(tmp_path / name).subject == Subject()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("name", TARGETS)
def test_no_text_and_no_person_pass_unless_asked_for(record: Path, tmp_path: Path, name: str) -> None:
    convert.convert(record, tmp_path / name)
    assert all(b"Ivanova" not in path.read_bytes() for path in tmp_path.glob("x.*"))
    convert.convert(record, tmp_path / name, keep_subject=True, force=True)
    expected = Subject() if name == "x.fecg" else Subject(age=63, sex="female")
    assert load(tmp_path / name).subject == expected


def test_marks_come_along_without_their_texts(record: Path, tmp_path: Path) -> None:
    convert.convert(record, tmp_path / "x.hea")
    expected = [marks.Mark(400, "N"), marks.Mark(400, "+", text="(AFIB"), marks.Mark(500, '"')]
    assert marks.read(tmp_path / "x.atr") == expected
    convert.convert(record, tmp_path / "x.edf")
    assert set(load(tmp_path / "x.edf").marks) == set(expected)
    convert.convert(tmp_path / "x.edf", tmp_path / "y.hea")
    assert set(marks.read(tmp_path / "y.atr")) == set(expected)


def test_format_by_word_and_wfdb_212(record: Path, tmp_path: Path) -> None:
    assert convert.convert(record, tmp_path / "any.thing", "DICOM").format == "DICOM"
    small = load(record)
    recording = dataclasses.replace(small.recording, samples=np.clip(small.recording.samples, -2000, 2000))
    for suffix, raw in wfdb_write.dumps(Content(recording), "s").items():
        (tmp_path / f"s{suffix}").write_bytes(raw)
    convert.convert(tmp_path / "s.hea", tmp_path / "t.hea", "wfdb-212")
    assert (tmp_path / "t.hea").read_text().splitlines()[1].split()[1] == "212"


def test_nothing_is_replaced_or_left_behind(record: Path, tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"x\.dat"):
        convert.convert(record, tmp_path / "x.hea")
    held = load(record)
    gap = held.recording.samples.copy()
    gap[0, 100] = MISSING
    for suffix, raw in wfdb_write.dumps(Content(dataclasses.replace(held.recording, samples=gap)), "g").items():
        (tmp_path / f"g{suffix}").write_bytes(raw)
    with pytest.raises(ValueError, match="is missing, which SCP-ECG cannot say"):
        convert.convert(tmp_path / "g.hea", tmp_path / "g.scp")
    with pytest.raises(ValueError, match=r"the suffix .\.doc. names no format"):
        convert.convert(record, tmp_path / "g.doc")
    with pytest.raises(ValueError, match="--format: 'doc' is none of wfdb"):
        convert.convert(record, tmp_path / "g.doc", "doc")
    with pytest.raises(ValueError, match=r"a WFDB record is named by its header, g\.hea"):
        convert.convert(record, tmp_path / "g.dat", "wfdb", force=True)
    with pytest.raises(FormatError, match=r"no\.hea"):
        convert.convert(tmp_path / "no.hea", tmp_path / "g.scp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.dat", "g.hea", "in", "x.dat"]
    assert (tmp_path / "x.dat").read_bytes() == b"mine"


def test_command_line(record: Path, tmp_path: Path) -> None:
    words = ["convert", str(record), str(tmp_path / "x.scp"), "--keep-subject", "--when", "2024-05-06T07:08:09"]
    done = CliRunner().invoke(cli.main, words)
    assert done.exit_code == 0
    assert done.stdout.strip().endswith("x.scp: SCP-ECG, 12 leads, 4.0 s at 500/s, exact")
    again = CliRunner().invoke(cli.main, words)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    help_text = CliRunner().invoke(cli.main, ["convert", "--help"]).stdout
    assert "wfdb-212" in help_text


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"NO SAMPLES OF FOREIGN FORMATS: {SAMPLES} is absent")
@pytest.mark.parametrize(
    "name", ["Example.scp", "ge_muse_example1.xml", "anonymous_ecg.dcm", "cardio_sample.edf", "0000050.ECG"]
)
def test_real_files_to_scp_and_dicom(tmp_path: Path, name: str) -> None:
    for target in ("x.scp", "x.dcm"):
        assert convert.convert(SAMPLES / name, tmp_path / target).largest_uv == 0
