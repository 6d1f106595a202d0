"""Identities of worker processes: kept by a restart, shared by nobody, also after a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from feldsher_ingest.process import Process


def test_who_comes_back_is_itself(tmp_path: Path) -> None:
    with Process(tmp_path, "host") as first:
        pass
    with Process(tmp_path, "host") as again:
        assert (again.id, again.name) == (first.id, first.name)
        assert again.name.startswith("host-")


def test_two_that_run_are_different(tmp_path: Path) -> None:
    with Process(tmp_path) as first, Process(tmp_path) as second:
        assert first.id != second.id
        assert first.name != second.name


def test_a_killed_ones_identity_is_free_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from feldsher_ingest.process import Process;"
        "mine = Process(Path(sys.argv[1])); print(mine.id, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        taken = child.stdout.readline().strip()
        with Process(tmp_path) as other:
            assert str(other.id) != taken
    finally:
        child.kill()
        child.communicate()
    with Process(tmp_path) as heir:
        assert str(heir.id) == taken


def test_a_file_cut_off_by_a_crash_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "worker-1.id").write_text("6f1c")
    with Process(tmp_path) as first:
        pass
    with Process(tmp_path) as again:
        assert again.id == first.id
