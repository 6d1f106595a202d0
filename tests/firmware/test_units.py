"""Every unit test of the firmware, run where the firmware runs: under the real MicroPython."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from feldsher_tools.place import ROOT, Place

FIRMWARE = ROOT / "firmware_py"
FILES = sorted(path.stem for path in (FIRMWARE / "tests").glob("test_*.py"))
NO_LOGIC = {"__init__", "app", "hardware"}
"""Wiring: the journeys in test_kit.py run it whole."""


@pytest.mark.parametrize("name", FILES)
def test_unit(name: str, place: Place, tmp_path: Path):
    command = [place.program("micropython"), "-X", "heapsize=1m", str(FIRMWARE / "tests" / "run.py"), name]
    environment = {**os.environ, "MICROPYPATH": ".frozen"}
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = re.findall(r"^def (test_\w+)", (FIRMWARE / "tests" / f"{name}.py").read_text(), flags=re.MULTILINE)
    assert sorted(line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok ")) == sorted(wanted)


def test_every_module_has_its_twin():
    modules = {path.stem for path in (FIRMWARE / "kit").glob("*.py")} - NO_LOGIC
    assert modules - {name.removeprefix("test_") for name in FILES} == set()
