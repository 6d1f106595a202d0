"""`./run test --arm64`: the gateway's tests on another processor, in a Debian 13 arm64 root under qemu's user mode.

Python and its libraries are Debian's for arm64, unpacked; the packages are the wheels for aarch64 of the extras `edge`,
`sim` and `formats`, by the lock's hashes. Nothing is installed and no root is needed: the environment's `python` is a
script that starts qemu with that root and names itself as the interpreter, so that child processes are emulated too.
Tests that need servers of this machine, or packages that a gateway does not have, are left out, and that is said.
"""

from __future__ import annotations

import ast
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from feldsher_tools.place import ROOT, ServiceError, fetch, state_directory

PYTHON = "3.13"
DEBIAN = ("python3.13", "libstdc++6", "libgomp1")
WANTED = ("feldsher[edge,sim,formats]", "pytest", "pytest-asyncio", "hypothesis")
PLATFORM = "aarch64-manylinux_2_39"
SHELVES = ("ehr_core", "signal", "edge", "tests/signal")
# Imported by tests that need the cloud, its servers, or a program for this machine's processor.
ELSEWHERE = {
    "feldsher_cloud_api",
    "feldsher_ingest",
    "feldsher_tools",
    "brainflow",
    "psycopg",
    "pynetdicom",
    "starlette",
}
# Fixtures of servers, or of conftest files that import the cloud.
SERVERS = re.compile(r"\b(dbus|place|mosquitto|own_mosquitto|office|reach|cloud|database|file_limit)\b *[:,)]")
# The same work on either processor.
PACE = """\
import hashlib, json, time
import msgspec, numpy
def took(work):
    at = time.process_time(); work(); return round(time.process_time() - at, 4)
def plain():
    x = 0
    for i in range(300_000): x = (x * 31 + i) % 65_521
a = numpy.arange(200_000, dtype=numpy.float64)
many = [{"code": i, "value": str(i), "unit": "mm[Hg]"} for i in range(20_000)]
print(json.dumps({
    "python": took(plain),
    "numpy": took(lambda: [numpy.sqrt(a * a + 1).sum() for _ in range(20)]),
    "msgspec": took(lambda: msgspec.msgpack.decode(msgspec.msgpack.encode(many))),
    "sha256": took(lambda: hashlib.sha256(bytes(8_000_000)).digest()),
}))
"""


def main(argv: list[str]) -> int:
    """Make the environment with the uv at `argv[0]`, measure its pace, run pytest with the other arguments there."""
    state = state_directory()
    if platform.machine() != "x86_64":
        print("SKIPPED: no arm64 root: the emulator is an x86-64 program", file=sys.stderr)
        return 0
    try:
        python = environment(state, argv[0])
    except ServiceError as error:
        print(f"SKIPPED: no arm64 root: {error}", file=sys.stderr)
        return 0
    variables = {"PYTHONPATH": ":".join(str(ROOT / shelf) for shelf in SHELVES), "PATH": "/usr/bin:/bin"}
    variables |= {"NUMBA_CACHE_DIR": str(state / "cache" / "numba-arm64"), "HOME": str(state), "LC_ALL": "C.UTF-8"}
    _tell_pace(python, variables)
    arguments = argv[1:]
    if not any(argument.startswith("tests") for argument in arguments):
        files, left_out = here(ROOT / "tests" / "edge")
        print(f"left out, for they need what a gateway does not have: {', '.join(left_out)}", flush=True)
        arguments += [str(path.relative_to(ROOT)) for path in files]
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        *arguments,
    ]
    return subprocess.run(command, env=variables, cwd=ROOT, check=False).returncode


def _tell_pace(python: Path, variables: Mapping[str, str]) -> None:
    here_, there = (
        json.loads(
            subprocess.run(
                [one, "-c", PACE], env=variables if one == str(python) else None, stdout=subprocess.PIPE, check=True
            ).stdout
        )
        for one in (sys.executable, str(python))
    )
    for name, seconds in here_.items():
        print(
            f"{name:>10}: {seconds:.3f} s here, {there[name]:.3f} s emulated, {there[name] / seconds:.1f} times",
            flush=True,
        )


def here(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the test files that a gateway alone can run, and the names of the others."""
    files = sorted(folder.glob("test_*.py"))
    alone = [path for path in files if not _imports(path) & ELSEWHERE and not SERVERS.search(path.read_text())]
    return alone, [path.name for path in files if path not in alone]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def environment(state: Path, uv: str) -> Path:
    """Return the python of the emulated environment, made first where it is missing."""
    emulator = fetch("qemu-user", "amd64", ("qemu-user",), state=state) / "usr/bin/qemu-aarch64"
    root = fetch("arm64", "arm64", DEBIAN, state=state)
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")  # base-files has this link, and is not unpacked
    venv = state / "arm64-venv"
    python, lock = venv / "bin/python", locked((ROOT / "requirements.lock").read_text(), set(closure(WANTED)))
    done = venv / "lock.txt"
    if done.exists() and done.read_text() == lock:
        return python
    python.parent.mkdir(parents=True, exist_ok=True)
    (venv / "new.txt").write_text(lock)
    install = [
        uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--python-platform", PLATFORM, "--python-version", PYTHON,
        "--target", str(venv / f"lib/python{PYTHON}/site-packages"), "-r", str(venv / "new.txt"),
    ]  # fmt: skip
    if subprocess.run(install, check=False).returncode:
        raise ServiceError("the wheels for aarch64 could not be installed, see above")
    binary = root / f"usr/bin/python{PYTHON}"
    python.write_text(f'#!/bin/sh\nexec {emulator} -0 {python} -L {root} {binary} "$@"\n')
    python.chmod(0o755)
    (venv / "pyvenv.cfg").write_text(
        f"home = {root}/usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    )
    (venv / "new.txt").rename(done)
    return python


def closure(wanted: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of all packages that `wanted` need on the other processor, as this environment knows them."""
    open_ = [Requirement(text) for text in wanted]
    seen: set[tuple[str, str]] = set()
    while open_:
        it = open_.pop()
        name = canonicalize_name(it.name)
        for extra in ("", *sorted(it.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if not extra:
                yield name
            machine = {"platform_machine": "aarch64", "python_version": PYTHON, "extra": extra}
            more = [Requirement(text) for text in metadata.requires(name) or ()]
            open_ += [one for one in more if one.marker is None or one.marker.evaluate(machine)]


def locked(lock: str, names: set[str]) -> str:
    """Return the entries of some packages in a lock, with their hashes."""
    entries = re.findall(r"^[A-Za-z0-9].*?(?=^[A-Za-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
    return "".join(it for it in entries if canonicalize_name(re.split(r"[=\[ ]", it, maxsplit=1)[0]) in names)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
