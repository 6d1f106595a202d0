"""`compare` on the command line: recordings and saved interpretations, one JSON object, errors by file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Comparison
from feldsher_signal import cli, synth
from typer.testing import CliRunner, Result


def written(folder: Path, name: str) -> Path:
    """Write a WFDB record of a synthetic patient with 12 leads."""
    recording, _ = synth.ecg(synth.PRESETS[name], seconds=8, seed=3)
    samples = recording.samples.astype("<i2")
    (folder / f"{name}.dat").write_bytes(samples.T.tobytes())
    lines = [f"{name} 12 500 {recording.n}"]
    for lead, row in zip(recording.leads, samples, strict=True):
        check = int(np.sum(row, dtype=np.int64)) & 0xFFFF
        signed = check if check < 32768 else check - 65536
        lines.append(f"{name}.dat 16 1000(0)/mV 16 0 {row[0]} {signed} 0 {lead}")
    path = folder / f"{name}.hea"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two recordings of one person: first normal, then in right bundle branch block."""
    return written(tmp_path, "normal"), written(tmp_path, "rbbb")


def test_two_recordings(pair: tuple[Path, Path]) -> None:
    done = run("compare", *pair, "--json", "--age", 50, "--sex", "male")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert list(found) == ["previous", "current", *Comparison.__struct_fields__]
    assert (found["previous"], found["current"]) == (str(pair[0]), str(pair[1]))


def test_a_saved_interpretation_is_as_good(pair: tuple[Path, Path], tmp_path: Path) -> None:
    saved = tmp_path / "old.json"
    saved.write_text(run("interpret", pair[0], "--json", "--age", 50, "--sex", "male").stdout)
    direct = json.loads(run("compare", *pair, "--json", "--age", 50, "--sex", "male").stdout)
    found = json.loads(run("compare", saved, pair[1], "--json", "--age", 50, "--sex", "male").stdout)
    assert found["changed"] == direct["changed"]
    assert found["conclusion"] == direct["conclusion"]


def test_for_people(pair: tuple[Path, Path]) -> None:
    done = run("compare", *pair, "--age-days", 18000, "--sex", "male")
    assert done.exit_code == 0
    assert "CRBBB" in done.stdout
    assert done.stdout.rstrip().endswith("Unconfirmed.")


@pytest.mark.parametrize("bad", ["none.hea", "bad.json"])
def test_what_cannot_be_read_is_named(pair: tuple[Path, Path], tmp_path: Path, bad: str) -> None:
    (tmp_path / "bad.json").write_text("{}")
    done = run("compare", tmp_path / bad, pair[1], "--json")
    assert done.exit_code == 2
    assert bad in done.stderr
