"""Putting the gateway's program in its place on a machine with systemd: user, folders, launcher, unit.

With another `root` than / only files are placed, for images of memory cards; users and services are their business.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from feldsher_edge.owner import USER

LAUNCH, UNIT = "opt/feldsher/launch", "etc/systemd/system/feldsher-edge.service"
COMMAND, SETTINGS = "usr/local/bin/feldsher-edge", "etc/feldsher"
CACHE = Path("/var/cache/feldsher")
_TIMEOUT_S, _COMPILE_S = 120.0, 1800.0


class InstallError(Exception):
    """Why the program cannot be put in its place; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was done."""

    name: str
    detail: str


def install(root: Path) -> list[Step]:
    """Do every step that is not done yet and return them all; repeating it is harmless, and how files are renewed."""
    whole = root == Path("/")
    if whole and os.geteuid() != 0:
        raise InstallError("only root may install; use sudo")
    if whole and Path(sys.prefix) != Path("/opt/feldsher"):
        raise InstallError(
            f"the service expects this program in /opt/feldsher, and it runs in {sys.prefix}: "
            "python3 -m venv /opt/feldsher, then install the package there"
        )
    done = [_user()] if whole else []
    done += [_program(root), _unit(root), _command(root), _settings(root)]
    if whole:
        done += [_engine(), _enable()]
    return done


def _user() -> Step:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        words = ("--system", "--home-dir", "/var/lib/feldsher", "--shell", "/usr/sbin/nologin", "--user-group", USER)
        _run("useradd", *words)
        return Step("user", f"{USER} is made")
    return Step("user", f"{USER} is there")


def _program(root: Path) -> Step:
    _place(root / LAUNCH, _packaged("launch.sh"), 0o755)
    return Step("launcher", f"/{LAUNCH}")


def _unit(root: Path) -> Step:
    _place(root / UNIT, _packaged("feldsher-edge.service"), 0o644)
    return Step("service", f"/{UNIT}")


def _command(root: Path) -> Step:
    link = root / COMMAND
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(f"/{LAUNCH}")
    fresh.replace(link)
    return Step("command", f"/{COMMAND}")


def _settings(root: Path) -> Step:
    (root / SETTINGS).mkdir(mode=0o755, parents=True, exist_ok=True)
    return Step("settings", f"/{SETTINGS}")


def _engine() -> Step:
    """Compile the ECG engine now: minutes on a Pi, which a technician should not wait for beside the patient."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.chown(CACHE, USER, USER)
    command = [str(Path(sys.prefix) / "bin" / "python"), "-m", "feldsher_edge.interpreter_child", "--warm"]
    environment = {"NUMBA_CACHE_DIR": str(CACHE / "numba"), "PATH": "/usr/bin:/bin"}
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=environment, user=USER, group=USER, capture_output=True, text=True, check=False,
            timeout=_COMPILE_S, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"the ECG engine cannot be compiled: {error}") from error
    if done.returncode:
        raise InstallError(f"the ECG engine cannot be compiled: {done.stderr.strip()[-300:]}")
    return Step("engine", "the ECG engine is compiled")


def _enable() -> Step:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        return Step("start", "systemd does not run here: start `feldsher-edge run` by what does")
    _run("systemctl", "daemon-reload")
    _run("systemctl", "enable", "feldsher-edge.service")
    return Step("start", "at every boot, once it is set up")


def _packaged(name: str) -> bytes:
    return files("feldsher_edge").joinpath(name).read_bytes()


def _place(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all: a power cut must not leave half a launcher."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    with fresh.open("wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _run(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603 - fixed
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{words[0]}: {error}") from error
    if done.returncode:
        raise InstallError(f"{' '.join(words[:2])}: {done.stderr.strip() or done.returncode}")
