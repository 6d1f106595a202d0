from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from feldsher_tools.place import ServiceError, free_port
from feldsher_tools.process import Process, descendants, started_at, stop_recorded, wait_gone


def sleeper(tmp_path: Path, code: str = "import time; time.sleep(600)", *, outlives: bool = False) -> Process:
    return Process(
        "sleeper",
        [sys.executable, "-c", code],
        tmp_path / "log",
        tmp_path / "run" / "sleeper.pid",
        outlives_parent=outlives,
    )


def test_it_is_recorded_while_it_runs(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    process.start()
    note = json.loads(process.pid_file.read_text())
    assert (note["pid"], note["started"]) == (process.pid, started_at(process.pid))
    with pytest.raises(ServiceError, match="runs already"):
        process.start()
    process.stop()
    assert not process.pid_file.exists()
    with pytest.raises(ServiceError, match="does not run"):
        _ = process.pid


def test_kill_takes_the_children_along(tmp_path: Path) -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
    process = sleeper(tmp_path, code)
    process.start()
    process.wait_ready(lambda: len(list(descendants(process.pid))) == 2)
    family = {pid: started_at(pid) for pid in descendants(process.pid)}
    process.kill()
    assert wait_gone(family, timeout_s=1)


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    script = f"""
import pathlib, time
from feldsher_tools.process import Process
here = pathlib.Path({str(tmp_path)!r})
Process("orphan", ["sleep", "600"], here / "log", here / "orphan.pid").start()
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    pid_file = tmp_path / "orphan.pid"
    deadline = time.monotonic() + 60
    while not (
        pid_file.exists()
        and b"sleep" in Path(f"/proc/{json.loads(pid_file.read_text())['pid']}/cmdline").read_bytes()[:6]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    note = json.loads(pid_file.read_text())
    parent.kill()
    parent.wait()
    assert wait_gone({note["pid"]: note["started"]}, timeout_s=10)


def test_what_was_recorded_is_stopped_later(tmp_path: Path) -> None:
    process = sleeper(tmp_path, outlives=True)
    process.start()
    assert stop_recorded(tmp_path / "run") == ["sleeper"]
    assert process.child is not None
    assert process.child.wait(60) == -signal.SIGTERM
    assert stop_recorded(tmp_path / "run") == []


def test_a_reused_process_id_is_left_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "old.pid").write_text(
        json.dumps({"name": "old", "pid": os.getpid(), "started": 1, "signal": "SIGKILL", "address": ""})
    )
    assert stop_recorded(run) == []
    assert list(run.iterdir()) == []


def test_an_early_end_shows_the_log(tmp_path: Path) -> None:
    process = sleeper(tmp_path, "raise SystemExit('no disk')")
    process.start()
    with pytest.raises(ServiceError, match=r"(?s)sleeper ended with code 1 while starting.*no disk"):
        process.wait_ready(lambda: False)


def test_a_late_start_is_an_error(tmp_path: Path) -> None:
    process = sleeper(tmp_path)
    process.start()
    with pytest.raises(ServiceError, match=r"was not ready after 0\.1 s"):
        process.wait_ready(lambda: False, timeout_s=0.1)
    process.stop()


def test_free_ports_stay_below_outgoing_ones() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20_000 <= free_port() < min(first, 32_000) for _ in range(20))
