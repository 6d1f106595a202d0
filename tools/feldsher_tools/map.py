"""Writes docs/map.md: every module in one line, its docstring's first sentence (`python -m feldsher_tools.map`)."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

from feldsher_tools.place import ROOT

SHELVES = {
    "ehr_core": "the words and the rules: frozen values, pure functions, no I/O, no clock",
    "signal": "the numbers: arrays in, findings out",
    "edge": "one gateway beside the patient",
    "ingest": "from MQTT into TimescaleDB, and the receipts back",
    "cloud_api": "the record: FHIR, sign-in, care, pages, worker",
    "firmware_py": "MicroPython for the ECG kit, its tests under the real one, and what stands for its hardware",
    "tools": "what development, demo and tests share",
}

HEAD = """\
# The map

Every module in one line, in its own words; `python -m feldsher_tools.map` writes this page, `tests/test_layout.py`
fails when a module is missing. The same word means the same subject in every folder: `edge/…/outbox.py` has its test
in `tests/edge/test_outbox.py`. Which room may use which: [the design](architecture.md).

| folder | what it holds |
|---|---|
| `run`, `.ci/run` | the one command, and what the build machine runs of it |
| `compose.yaml` | the servers for those with Docker |
| `firmware_py/` | MicroPython for the ECG kit; its bytes are in `frame.py`, shared with the gateway |
| `tests/`, `hardware_tests/` | a twin of every module, journeys through the whole line; the same against devices |
| `benchmarks/` | speed and accuracy, one file a subject |
| `docs/` | [design](architecture.md), [decisions](decisions), [safety](safety) |
"""


def sources(shelf: str) -> list[Path]:
    """Return the modules and SQL files of a shelf, tracked or new, without `__init__.py`."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", shelf]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / line for line in sorted(set(done.stdout.splitlines()))]
    return [path for path in paths if path.suffix in {".py", ".sql"} and path.name != "__init__.py" and path.is_file()]


def sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, or what an SQL file holds."""
    if path.suffix == ".sql":
        twin = path.with_suffix(".py")
        return f"The named queries of `{twin.name}`" if twin.exists() else "SQL that a migration executes"
    paragraph = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0].replace("\n", " ")
    found = re.match(r"(.+?)\.(?:\s|$)", paragraph)
    return (found.group(1) if found else paragraph).rstrip(".:").replace("|", "/")


def render() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for shelf, what in SHELVES.items():
        lines += [f"## {shelf}: {what}", "", "| file | what it is |", "|---|---|"]
        lines += [f"| `{path.relative_to(ROOT)}` | {sentence(path)} |" for path in sources(shelf)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "map.md").write_text(render())
