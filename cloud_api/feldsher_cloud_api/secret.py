"""Secrets as files of mode 600 under `.state/secrets`: written whole or not at all, made once even by two processes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def digest(token: str) -> bytes:
    """Return what the database keeps of a random token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


def write_secret(path: Path, data: bytes) -> None:
    """Write a file of mode 600 atomically: readers see the old bytes or the new, never a part."""
    temporary = _temporary(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def keep_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the secret kept in `path`, made first where there is none; of two makers the first one wins."""
    if not path.exists():
        temporary = _temporary(path, make())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass  # another process was quicker, and its secret is the secret
        finally:
            temporary.unlink()
    return path.read_bytes()


def _temporary(path: Path, data: bytes) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
