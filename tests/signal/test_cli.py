"""The command line's contract: one JSON object per line and file, exit code 2 with the others done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_ehr_core.ecg import Interpretation
from feldsher_signal import cli, synth
from feldsher_signal.formats import own
from feldsher_signal.record import Recording
from typer.testing import CliRunner, Result


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A WFDB record of a synthetic patient with 12 leads."""
    recording, _ = synth.ecg(synth.PRESETS["normal"], seconds=8, seed=3)
    samples = recording.samples.astype("<i2")
    (tmp_path / "p.dat").write_bytes(samples.T.tobytes())
    lines = [f"p 12 500 {recording.n}"]
    for lead, row in zip(recording.leads, samples, strict=True):
        check = int(np.sum(row, dtype=np.int64)) & 0xFFFF
        lines.append(f"p.dat 16 1000(0)/mV 16 0 {row[0]} {check if check < 32768 else check - 65536} 0 {lead}")
    path = tmp_path / "p.hea"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.main, ["interpret", *(str(word) for word in words)])


def test_json_has_the_contracts_keys(record: Path) -> None:
    done = run(record, "--json", "--age", 50, "--sex", "male")
    assert done.exit_code == 0
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert list(found) == ["file", *Interpretation.__struct_fields__]
    assert found["file"] == str(record)
    assert (found["samples"], found["fs"], len(found["leads"])) == (4000, 500.0, 12)
    assert set(found["rhythm"][0]) == {"from", "to", "code"}
    assert set(found["beats"][0]) == {"r", "kind"}
    assert {w["lead"] for w in found["waves"]} == {"global", *found["leads"]}
    points = {"p_on", "p_peak", "p_off", "qrs_on", "r", "qrs_off", "t_on", "t_peak", "t_off"}
    assert set(found["waves"][0]) == {"beat", "lead"} | points
    assert "NORM" in [s["code"] for s in found["statements"]]


def test_one_bad_file_does_not_stop_the_others(record: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.hea"
    bad.write_text("bad 1 500 100\nmissing.dat 16 1000/mV 16 0 0 0 0 I\n")
    done = run(bad, record, tmp_path / "none.hea", "--json")
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == 1
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert "missing.dat" in errors[0]
    assert "none.hea" in errors[1]


@pytest.mark.parametrize("channel", ["II", "ii", "1"])
def test_channel_by_name_or_index(record: Path, channel: str) -> None:
    found = json.loads(run(record, "--json", "--channel", channel).stdout)
    assert found["leads"] == ["II"]
    assert list(found["quality"]["leads"]) == ["II"]


def test_unknown_channel_and_sex_are_named(record: Path) -> None:
    done = run(record, "--json", "--channel", "V9")
    assert done.exit_code == 2
    assert "--channel: no lead 'V9' among I, II" in done.stderr
    assert run(record, "--sex", "x").exit_code == 2


def test_svg_of_one_and_of_many(record: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.svg"
    assert run(record, "--json", "--svg", out).exit_code == 0
    assert "UNCONFIRMED" in out.read_text()
    run(record, record, "--json", "--svg", tmp_path / "many")
    assert (tmp_path / "many" / "p.svg").exists()


def test_pictures_of_every_kind_and_layout(record: Path, tmp_path: Path) -> None:
    svg, pdf = tmp_path / "a.svg", tmp_path / "a.pdf"
    looks = ["--layout", "12x1", "--speed", 50, "--gain", 5, "--marks"]
    assert run(record, "--json", "--svg", svg, "--pdf", pdf, *looks).exit_code == 0
    assert pdf.read_bytes().startswith(b"%PDF")
    assert svg.read_text().count("scale(0.01)") == 12
    assert "50 mm/s · 5 mm/mV" in svg.read_text()
    assert "RR ms" in svg.read_text()


@pytest.mark.parametrize("option", [("--layout", "4x3"), ("--speed", 30), ("--gain", 7)])
def test_a_look_that_does_not_exist_is_refused_by_name(record: Path, option: tuple[str, object]) -> None:
    done = run(record, "--json", *option)
    assert done.exit_code == 2
    assert option[0] in done.stderr
    assert not done.stdout


def test_a_picture_that_cannot_be_written_costs_neither_result_nor_other_files(record: Path) -> None:
    done = run(record, record, "--json", "--svg", record / "below-a-file")
    assert done.exit_code == 2
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count("--svg: ") == 2


def test_summary_for_people(record: Path) -> None:
    done = run(record, "--age", "50", "--sex", "male")
    assert done.exit_code == 0
    assert "Normal ECG" in done.stdout
    assert "Normal ECG" not in run(record).stdout
    assert "Unconfirmed" in done.stdout
    assert "QRS" in done.stdout


def test_ambulatory_reports_as_text_json_and_page(record: Path, tmp_path: Path) -> None:
    page = tmp_path / "day.svg"
    done = CliRunner().invoke(cli.main, ["ambulatory", str(record), "--channel", "II", "--svg", str(page)])
    assert done.exit_code == 0
    assert "Beats and rate" in done.stdout
    assert "UNCONFIRMED" in page.read_text()
    done = CliRunner().invoke(cli.main, ["ambulatory", str(record), str(record.with_name("none.hea")), "--json"])
    assert done.exit_code == 2
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert list(found) == ["file", *Ambulatory.__struct_fields__]
    assert found["beats"]["N"] >= 8
    assert "none.hea" in done.stderr


def test_warm() -> None:
    done = CliRunner().invoke(cli.main, ["warm"])
    assert done.exit_code == 0
    assert "kernels ready" in done.stdout


def test_an_alarm_is_said_without_colour(record: Path, tmp_path: Path) -> None:
    assert "ALARM" not in run(record).stdout
    ill = tmp_path / "stemi.fecg"
    own.write(ill, synth.ecg(synth.PRESETS["inferior_stemi"])[0])
    assert "ALARM STEMI" in run(ill).stdout


def test_an_age_is_given_once_and_within_a_life(record: Path) -> None:
    both = run(record, "--age", 55, "--age-days", 10)
    assert both.exit_code == 2
    assert "--age-days" in both.stderr
    assert run(record, "--age-days", 999_999).exit_code == 2


def test_pictures_of_files_with_one_stem_do_not_replace_each_other(record: Path, tmp_path: Path) -> None:
    other = tmp_path / "p.fecg"
    other.write_bytes(own.dumps(synth.ecg(synth.PRESETS["normal"], seconds=5)[0]))
    folder = tmp_path / "out"
    assert run(record, other, "--json", "--svg", folder).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["p.fecg.svg", "p.hea.svg"]
    again = tmp_path / "elsewhere" / "p.fecg"
    again.parent.mkdir()
    again.write_bytes(other.read_bytes())
    assert run(other, again, "--json", "--svg", tmp_path / "two").exit_code == 0
    found = {path.name for path in (tmp_path / "two").iterdir()}
    assert found == {f"{tmp_path.name}-p.fecg.svg", "elsewhere-p.fecg.svg"}


def test_a_picture_goes_into_a_folder_that_is_there(record: Path, tmp_path: Path) -> None:
    assert run(record, "--json", "--svg", tmp_path).exit_code == 0
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_marks_of_a_recording_without_beats_are_none(tmp_path: Path) -> None:
    flat = Recording(("II",), 500.0, np.zeros((1, 5000), np.int32), (1.0,))
    path, picture = tmp_path / "flat.fecg", tmp_path / "flat.svg"
    path.write_bytes(own.dumps(flat))
    done = run(path, "--json", "--marks", "--svg", picture)
    assert (done.exit_code, done.stderr) == (0, "")
    assert picture.exists()


def test_errors_of_converting_and_comparing_name_the_file(record: Path, tmp_path: Path) -> None:
    def told(*words: object) -> str:
        done = CliRunner().invoke(cli.main, [str(word) for word in words])
        assert done.exit_code == 2
        assert isinstance(done.exception, SystemExit)
        return done.stderr

    there, empty = tmp_path / "there.fecg", tmp_path / "empty.edf"
    there.write_bytes(b"x")
    empty.write_bytes(b"")
    assert told("convert", record, there) == f"{there}: a file is there already; --force replaces it\n"
    nowhere = tmp_path / "nowhere"
    assert told("convert", record, nowhere / "x.fecg") == f"{nowhere}: there is no such folder\n"
    assert told("convert", empty, tmp_path / "x.fecg") == f"{empty}: byte 0: the file is empty\n"
    assert told("compare", record, empty) == f"{empty}: byte 0: the file is empty\n"
