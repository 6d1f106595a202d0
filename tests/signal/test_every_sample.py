"""Every file of ../shared/ecg/formats through the command line: a sensible interpretation, or a clear error."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from feldsher_signal import cli
from typer.testing import CliRunner

SAMPLES = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats"
pytestmark = [
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"NO SAMPLES OF FOREIGN FORMATS: {SAMPLES} is absent"),
    pytest.mark.skipif(importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED"),
]
REFUSED = {
    "0000050.ECG.csv": "line 1: no column has a name",
    "0000050.ECG.scp": "holds 32767 samples, expected 37855",
    "test_edfann.edf": "holds no electrocardiogram",
}
# What the cardiographs themselves wrote into the files: rate per minute, PR, QRS and QT in ms.
STATED = {
    "ge_muse_example1.xml": (48, 138, 96, 452),
    "anonymous_ecg.dcm": (61, 161, 75, 368),
    "3191723_ZZDEMOPTONLY_1-04_orig.xml": (84, 144, 84, 352),
    "Example.scp": (None, 148, 120, 420),
    "Example_aECG.xml": (None, 148, 120, 420),
}
TOLERANCE = (4, 20, 20, 25)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*")) if SAMPLES.is_dir() else [], ids=lambda path: path.name)
def test_interpreted_or_refused(path: Path) -> None:
    done = CliRunner().invoke(cli.main, ["interpret", "--json", str(path)])
    if path.name in REFUSED:
        assert done.exit_code == 2
        assert REFUSED[path.name] in done.stderr
        return
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    if path.name.startswith("minimum_aecg"):
        assert found["samples"] == 13
        return
    assert found["quality"]["usable"]
    assert 30 < found["measurements"]["rate"] < 200
    if len(found["leads"]) == 12 and path.name != "0000050.ECG":
        assert 60 < found["measurements"]["qrs"] < 200
        assert 250 < found["measurements"]["qt"] < 600
    for key, stated, off in zip(("rate", "pr", "qrs", "qt"), STATED.get(path.name, ()), TOLERANCE, strict=False):
        assert stated is None or found["measurements"][key] == pytest.approx(stated, abs=off), key
