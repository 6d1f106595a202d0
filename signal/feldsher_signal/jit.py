"""The one door to Numba: every kernel of the package is declared here with one signature, cached, without the GIL.

A kernel is compiled on `warm()` (or at the first call of the interpretation), never at import. Its compiled form is
cached in a folder named by its module and the digest of that module's source and of all of this package's that it
imports, because Numba's own check misses a change in a file that a kernel only calls into. NUMBA_CACHE_DIR says where
these folders are made. With NUMBA_DISABLE_JIT=1 kernels stay plain Python.

What only compiling needs is left out while everything lies in the cache, for a process that starts for one recording:
Numba's tables of what can be compiled, its modules that kernels were compiled from, the dispatchers of kernels that
only kernels call, `coverage`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

DISABLED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")

# NaN and Inf carry "missing" here, so the flags that assume their absence (nnan, ninf) are never given.
_SAFE_FASTMATH = {"contract", "reassoc", "nsz"}
_KEPT_CACHES = 4
_entries: list[tuple[Any, str]] = []
_inner: list[Callable[..., Any]] = []
_lock = threading.Lock()
_warmed = 0


def _imported(source: str) -> set[str]:
    """Return the names of this package's modules that a source imports."""
    names = set(re.findall(r"^from feldsher_signal\.(\w+) import", source, re.MULTILINE))
    for listed in re.findall(r"^from feldsher_signal import (\([^)]*\)|.*)$", source, re.MULTILINE):
        names.update(re.findall(r"\w+", listed))
    return names


@functools.cache
def _source(path: Path) -> tuple[bytes, frozenset[str]]:
    """Return a module's source and the names of this package's modules that it imports."""
    source = path.read_text("utf-8") if path.exists() else ""
    return source.encode(), frozenset(_imported(source))


@functools.cache
def _digest(module: str) -> str:
    """Return a short digest of a module's source and of the sources it imports: a changed one meets no stale kernel."""
    sources: dict[str, bytes] = {}
    waiting = {module}
    while waiting:
        name = waiting.pop()
        sources[name], imported = _source(Path(__file__).with_name(f"{name}.py"))
        waiting |= imported - sources.keys()
    return hashlib.sha256(b"".join(sources[name] for name in sorted(sources))).hexdigest()[:16]


def _private(folder: Path) -> bool:
    """Make `folder` (mode 700) and say whether it is ours alone to write: Numba's cache is executable code."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError:
        return False
    ours = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return ours and os.access(folder, os.W_OK | os.X_OK)


def _bases() -> list[Path]:
    """Return where compiled kernels may live, best first: as told, beside the source, the user's cache, temporary."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    shared = Path(tempfile.gettempdir()) / f"feldsher-{os.getuid()}"
    told = os.environ.get("NUMBA_CACHE_DIR")
    return [*([Path(told)] if told else []), Path(__file__).parent / "__pycache__", Path(user) / "feldsher", shared]


@functools.cache
def cache_folder(module: str) -> Path:
    """Return the folder of a module's compiled kernels, of just its sources, made if need be; old ones are pruned."""
    name = f"kernels-{module}-{_digest(module)}"
    for base in _bases():
        folder = base / name
        there = folder.exists()
        if _private(folder):
            if there:
                return folder
            older = (p for p in base.glob(f"kernels-{module}-*") if p != folder)
            for stale in sorted(older, key=lambda p: p.stat().st_mtime)[: -(_KEPT_CACHES - 1)]:
                shutil.rmtree(stale, ignore_errors=True)
            return folder
    return Path(tempfile.mkdtemp(prefix="feldsher-kernels-"))


def _numba() -> Any:
    """Import Numba, without `coverage`: it would be loaded, where it is installed, for reports of compiled lines."""
    unseen = "coverage" not in sys.modules
    modules = cast("dict[str, Any]", sys.modules)
    if unseen:
        modules["coverage"] = None
    try:
        import numba  # pyright: ignore[reportMissingTypeStubs] # noqa: PLC0415 - not at all where it is disabled
    finally:
        if unseen:
            del modules["coverage"]
    return numba


if not DISABLED:
    _njit, _settings, _runtime = _numba().njit, _numba().config, _numba().core.runtime.rtsys


def _dispatcher(function: Callable[..., Any], *, fastmath: set[str] | bool = False) -> Any:
    """Return Numba's dispatcher of a function, its cache in the folder of the function's module."""
    module = function.__module__.rpartition(".")[2]
    _settings.CACHE_DIR = str(cache_folder(module))
    return _njit(cache=True, nogil=True, fastmath=fastmath)(function)


def kernel(signature: str, *, fast: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare an entry kernel of one Numba `signature`; `fast` allows reassociation and contraction, no NaN tricks."""

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        if DISABLED:
            return function
        dispatcher = _dispatcher(function, fastmath=_SAFE_FASTMATH if fast else False)
        _quickly(dispatcher._cache)
        _entries.append((dispatcher, signature))
        return cast("Callable[P, R]", dispatcher)

    return declare


def inner(function: Callable[P, R]) -> Callable[P, R]:
    """Declare a kernel that only other kernels call: it is compiled into them and not loaded on its own."""
    _inner.append(function)
    return function


def _compilable() -> None:
    """Put dispatchers into the place of all inner kernels, in every module that holds them."""
    kernels = {id(function): _dispatcher(function) for function in _inner}
    for module in [m for name, m in sys.modules.items() if name.startswith(f"{__package__}.")]:
        held = vars(module)
        held |= {name: kernels[id(value)] for name, value in held.items() if id(value) in kernels}
    _inner.clear()


def _environment(module: str, consts: list[object], name: str) -> Any:
    """Return what a compiled function knows of its module, as Numba does, but import none of Numba's own for it.

    Only interpreted Python looks names up there, and a kernel has none: a dozen modules take 0.1 s.
    """
    known = _environments.lookup_environment(name)
    if known is not None:
        return known
    if not module.startswith("numba.") or module in sys.modules:
        return _with_imports(module, consts, name)
    made = _environments.Environment({"__name__": module})
    made.consts[:] = consts
    made.env_name = name
    _environments.Environment._memo[name] = made
    return made


if not DISABLED:
    _environments = _numba().core.environment
    _with_imports: Any = getattr(_environments, "_rebuild_env", None)
    if _with_imports is not None:  # an older or newer Numba: it starts slowly, and works
        _environments._rebuild_env = _environment


def _quickly(cache: Any) -> None:
    """Let a kernel be read from its cache without Numba's tables of what can be compiled, which take longer."""
    if not hasattr(cache, "_load_overload"):  # an older or newer Numba: it starts slowly, and works
        return

    def load(signature: object, context: Any) -> object:
        _runtime.initialize(context)
        found = cache._load_overload(signature, context)
        if found is None:
            _compilable()
        return found

    cache.load_overload = load


def warm() -> int:
    """Compile (or load) every kernel declared so far once, forbid it further signatures; return how many there are."""
    global _warmed  # noqa: PLW0603 - a process has what it has
    with _lock:
        for dispatcher, signature in _entries[_warmed:]:
            dispatcher.compile(signature)
            dispatcher.disable_compile()
            _warmed += 1
    return len(_entries)


def signatures() -> dict[str, int]:
    """Return how many signatures each entry kernel holds compiled: one each after `warm()`."""
    return {dispatcher.__name__: len(dispatcher.signatures) for dispatcher, _ in _entries}
