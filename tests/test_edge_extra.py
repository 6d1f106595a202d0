"""A gateway's weight: the `edge` extra alone, by plain pip, brings no part of the cloud."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = (
    "feldsher_edge",
    "feldsher_edge.cli",
    "feldsher_edge.gateway",
    "feldsher_edge.local.page",
    "feldsher_signal.interpret",
)
FORBIDDEN = ("fastapi", "psycopg", "pydantic", "sqlalchemy")


def pip(*arguments: str | Path, python: Path | None = None) -> None:
    target = ["--python", str(python)] if python else []
    state = Path(os.environ.get("FELDSHER_STATE") or ROOT / ".state")
    environment = os.environ | {"PIP_CACHE_DIR": str(state / "cache" / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", *target, "--quiet", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def locked_with_hashes(wheel: Path, directory: Path) -> tuple[Path, Path]:
    """Write the wheel with its hash as requirement, and the lock as constraints: pip then demands every hash."""
    wanted = directory / "wanted.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted.write_text(f"feldsher[edge] @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return wanted, ROOT / "requirements.lock"


@pytest.mark.slow
def test_the_edge_extra_alone_installs_and_imports(tmp_path: Path) -> None:
    environment = tmp_path / "gateway"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("feldsher-*.whl")
    wanted, lock = locked_with_hashes(wheel, tmp_path)
    pip("install", "--require-hashes", "-r", wanted, "-c", lock, python=python)
    script = f"""
import importlib, importlib.util
for name in {MODULES!r}:
    importlib.import_module(name)
print([name for name in {FORBIDDEN!r} if importlib.util.find_spec(name)])
"""
    done = subprocess.run([python, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_extra_names_nothing_of_the_cloud() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    edge = re.search(r"^edge = \[(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
    assert edge
    assert not [name for name in FORBIDDEN if name in edge.group(1)]
