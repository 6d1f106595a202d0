"""One signature for each kernel, caches that are ours alone, and the same answers without compilation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from feldsher_signal import jit
from patients import interpreted

SCRIPT = """
import json, sys
from feldsher_signal import jit, synth
from feldsher_signal.interpret import interpret
recording, _ = synth.ecg(synth.PRESETS["ventricular_ectopy"], seconds=4, fs=100, seed=2)
result = interpret(recording)
print(json.dumps({
    "disabled": jit.DISABLED,
    "numba": "numba" in sys.modules,
    "beats": [(b.r, b.kind) for b in result.beats],
    "waves": [[w.p_on, w.qrs_on, w.qrs_off, w.t_off] for w in result.waves],
    "codes": [s.code for s in result.statements],
    "qrs": result.measurements.qrs,
}))
"""


SMALL = """
import sys
import numpy as np
from feldsher_signal import filters
once = filters.filtered(np.ones((1, 3), np.float32), filters.sections_of(np.array([0.5, 0.5, 0.0, 0.0, 0.0])))
print(once.tolist(), "numba.cpython.mathimpl" in sys.modules, "coverage" in sys.modules)
"""


def run(**environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_one_signature_each() -> None:
    # Leads, rates and lengths that could bring another array type or layout along.
    for name in ("normal", "noisy", "lead_off", "asystole"):
        interpreted(name)
    assert jit.warm() >= 9
    assert set(jit.signatures().values()) == {1}


def test_kernels_without_compilation_give_the_same() -> None:
    plain, compiled = run(NUMBA_DISABLE_JIT="1"), run()
    assert plain["disabled"]
    assert not plain["numba"]
    assert compiled["numba"]
    assert {**plain, "disabled": 0, "numba": 0} == {**compiled, "disabled": 0, "numba": 0}


def test_a_cached_process_starts_without_what_compiles(tmp_path: Path) -> None:
    def answer() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", SMALL], env=environment, capture_output=True, text=True, check=True
        ).stdout

    # Compiled by the first process, whose inner kernels become dispatchers then; only loaded by the second.
    assert answer() == "[[0.5, 1.0, 1.0]] True False\n"
    assert answer() == "[[0.5, 1.0, 1.0]] False False\n"


def test_cache_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "a_file"
    closed.write_text("no folder can be made below a file")
    monkeypatch.setattr(jit, "_bases", lambda: [closed, tmp_path / "home"])
    jit.cache_folder.cache_clear()
    folder = jit.cache_folder("qrs")
    assert folder.parent == tmp_path / "home"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    # What others may write to is never loaded: it would be their code.
    jit.cache_folder.cache_clear()
    assert tmp_path / "home" not in jit.cache_folder("qrs").parents
    jit.cache_folder.cache_clear()


def test_old_caches_are_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_bases", lambda: [tmp_path])
    for age in range(6):
        old = tmp_path / f"kernels-qrs-{age}"
        old.mkdir()
        os.utime(old, (age, age))
    other = tmp_path / "kernels-beats-0"
    other.mkdir()
    jit.cache_folder.cache_clear()
    jit.cache_folder("qrs")
    jit.cache_folder.cache_clear()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 5
    assert {"kernels-qrs-3", "kernels-qrs-4", "kernels-qrs-5", "kernels-beats-0"} <= set(left)


def test_a_change_in_what_a_module_imports_changes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in (
        ("upper", "from feldsher_signal.lower import thing\n"),
        ("lower", "from feldsher_signal import base, jit\n"),
        ("base", "LIMIT = 1\n"),
        ("other", "LIMIT = 1\n"),
    ):
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))

    def digest(name: str) -> str:
        for known in (jit._digest, jit._source):  # pyright: ignore[reportPrivateUsage]
            known.cache_clear()
        return jit._digest(name)  # pyright: ignore[reportPrivateUsage]

    before = {name: digest(name) for name in ("upper", "lower", "other")}
    (tmp_path / "base.py").write_text("LIMIT = 2\n")
    after = {name: digest(name) for name in before}
    assert [before[name] != after[name] for name in before] == [True, True, False]
    jit._digest.cache_clear()  # pyright: ignore[reportPrivateUsage]


_AFTER = """
import sys
from feldsher_signal.interpret import warm
warm()
print("numba.np.linalg" in sys.modules)
import numba, numpy as np
print(numba.njit(lambda x: np.median(np.sort(x)))(np.arange(5.0)))
"""


def test_kernels_from_the_cache_bring_no_modules_of_numba_and_others_can_still_be_compiled() -> None:
    command = [sys.executable, "-c", _AFTER]
    # Whatever the first has to compile, the second finds in the cache.
    subprocess.run(command, capture_output=True, check=True)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "2.0"]
