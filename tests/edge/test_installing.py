"""Installing into an empty root, and the unit judged by systemd's own tools."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from feldsher_edge import cli, installing
from typer.testing import CliRunner

WORST = 20
"""Tenths: `systemd-analyze security` calls up to 2.0 "OK"; 10.0 is no protection at all."""


def into(root: Path) -> list[dict[str, str]]:
    done = CliRunner().invoke(cli.app, ["install", "--root", str(root), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("SYSTEMD-ANALYZE IS NOT INSTALLED: the unit is not verified (apt-get install systemd)")
    return program


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as installed, with its launcher where systemd finds it on this machine."""
    into(tmp_path)
    made = tmp_path / "feldsher-edge.service"
    text = (tmp_path / installing.UNIT).read_text()
    made.write_text(text.replace("/opt/feldsher/launch", str(tmp_path / installing.LAUNCH)))
    return made


def test_files_are_placed_and_placed_again(tmp_path: Path) -> None:
    steps = into(tmp_path)
    assert [step["name"] for step in steps] == ["launcher", "service", "command", "settings"]
    launch = tmp_path / installing.LAUNCH
    assert launch.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / installing.COMMAND).readlink() == Path("/opt/feldsher/launch")
    launch.write_text("half a launch")
    into(tmp_path)
    assert launch.read_text().startswith("#!/bin/sh")
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []


def test_the_installed_launcher_starts_the_environment_of_the_installation(tmp_path: Path) -> None:
    into(tmp_path)
    program = tmp_path / "opt" / "feldsher" / "bin" / "feldsher-edge"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environment = {"FELDSHER_FACTORY": str(tmp_path / "opt" / "feldsher"), "FELDSHER_SOFTWARE": str(tmp_path / "none")}
    commands = re.findall(
        r"^ExecStart(?:Pre)?=/opt/feldsher/launch (.*)$", (tmp_path / installing.UNIT).read_text(), re.MULTILINE
    )
    said: list[str] = []
    for words in commands:
        command = [str(tmp_path / installing.LAUNCH), *words.split()]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert said == ["", "warm", "run --config /etc/feldsher/edge.toml"]


def test_systemd_finds_nothing_wrong(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "feldsher" in line]) == (0, [])


def test_systemd_calls_the_sandbox_ok(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={WORST}", "--no-pager", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.splitlines()[-1]
    assert "Overall exposure level" in done.stdout


def test_the_service_goes_on_for_ever_and_stays_off_when_wiped(unit: Path) -> None:
    text = unit.read_text()
    wanted = (
        "Restart=always",
        "RestartPreventExitStatus=64",
        "StartLimitIntervalSec=0",
        "WatchdogSec=60s",
        "Environment=NUMBA_CACHE_DIR=/var/cache/feldsher/numba",
        "ExecReload=/bin/kill -HUP $MAINPID",
    )
    assert [line for line in wanted if f"\n{line}\n" not in text] == []


def test_another_place_than_the_services_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing.os, "geteuid", lambda: 0)
    with pytest.raises(installing.InstallError, match="expects this program in /opt/feldsher"):
        installing.install(Path("/"))
    monkeypatch.setattr(installing.os, "geteuid", lambda: 1000)
    with pytest.raises(installing.InstallError, match="use sudo"):
        installing.install(Path("/"))


def test_the_engine_is_compiled_for_the_services_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def run(command: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        asked.update(how)
        return subprocess.CompletedProcess(command, int(asked["fails"] is True), "", "no memory")

    def owned(path: Path, user: str, group: str) -> None:
        asked["owner"] = (path, user, group)

    monkeypatch.setattr(installing, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(installing.shutil, "chown", owned)
    monkeypatch.setattr(installing.subprocess, "run", run)
    asked["fails"] = False
    assert installing._engine().name == "engine"  # pyright: ignore[reportPrivateUsage]
    assert asked["owner"] == (tmp_path / "cache", "feldsher", "feldsher")
    assert (asked["user"], asked["env"]) == (
        "feldsher",
        {"NUMBA_CACHE_DIR": str(tmp_path / "cache" / "numba"), "PATH": "/usr/bin:/bin"},
    )
    asked["fails"] = True
    with pytest.raises(installing.InstallError, match="no memory"):
        installing._engine()  # pyright: ignore[reportPrivateUsage]
