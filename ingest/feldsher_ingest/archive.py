"""The archive: samples of old recordings outside the database, by the SHA-256 of their coded bytes, encrypted.

AES-256-GCM with a key of 32 bytes (mode 600 beside the other secrets) that whoever reads recordings needs; an entry's
name is authenticated with it. What moves there, and with which key all machines seal it: tier.py.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC = b"feldsher archive 1\n"
_NONCE = 12
_MARK = "key.sha256"


def _closed(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _written(beside: Path, data: bytes) -> Path:
    """Write bytes durably into a new file beside another, which nobody else may read, and return it."""
    fresh = beside.with_suffix(f".{secrets.token_hex(4)}")
    with open(fresh, "xb", opener=_closed) as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return fresh


class ArchiveError(OSError):
    """An entry that is not there, cannot be opened, or is not what its name says."""


class Store(Protocol):
    """Where sealed entries lie: a folder here, or an object store."""

    def put(self, name: str, data: bytes) -> None:
        """Keep an entry durably; the same again changes nothing."""
        ...

    def get(self, name: str) -> bytes:
        """Return an entry; ArchiveError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as a store: an entry is a file, written whole or not at all."""

    path: Path

    def _file(self, name: str) -> Path:
        return self.path / name[:2] / name[2:4] / name

    def put(self, name: str, data: bytes) -> None:
        """Keep an entry on disk before returning."""
        file = self._file(name)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _written(file, data).replace(file)
        directory = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def get(self, name: str) -> bytes:
        """Return an entry; ArchiveError where there is none."""
        try:
            return self._file(name).read_bytes()
        except OSError as error:
            raise ArchiveError(f"the archive has no entry {name}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Archive:
    """Sealed entries in a store, by the SHA-256 of what they hold."""

    store: Store
    key: bytes

    @property
    def key_sha256(self) -> bytes:
        """By which a key is known without being told."""
        return hashlib.sha256(self.key).digest()

    def put(self, data: bytes) -> bytes:
        """Seal and keep bytes and return the hash under which they are found again."""
        digest = hashlib.sha256(data).digest()
        nonce = secrets.token_bytes(_NONCE)
        self.store.put(digest.hex(), _MAGIC + nonce + AESGCM(self.key).encrypt(nonce, data, _MAGIC + digest))
        return digest

    def get(self, digest: bytes) -> bytes:
        """Return the bytes of a hash; ArchiveError where they are missing, damaged or sealed with another key."""
        sealed = self.store.get(digest.hex())
        start = len(_MAGIC) + _NONCE
        try:
            if not sealed.startswith(_MAGIC):
                raise InvalidTag
            data = AESGCM(self.key).decrypt(sealed[len(_MAGIC) : start], sealed[start:], _MAGIC + digest)
        except InvalidTag as error:
            raise ArchiveError(f"archive entry {digest.hex()}: damaged, or sealed with another key") from error
        if hashlib.sha256(data).digest() != digest:
            raise ArchiveError(f"archive entry {digest.hex()}: it holds something else")
        return data


def opened(store: Store, key_file: Path, *, make: bool = False) -> Archive:
    """Return the archive in a store; ArchiveError where its key is not there, unless it is to be made."""
    try:
        key = key_file.read_bytes()
    except OSError as error:
        if not make or not isinstance(error, FileNotFoundError):
            raise ArchiveError(f"{key_file}: the archive's key is not here: {error.strerror}") from error
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = _written(key_file, secrets.token_bytes(32))
        with suppress(FileExistsError):  # of two who make one at once, one wins
            key_file.hardlink_to(fresh)
        fresh.unlink()
        key = key_file.read_bytes()
    if len(key) != 32:
        raise ArchiveError(f"{key_file}: {len(key)} bytes are not a key of 32")
    return Archive(store, key)


def coded(samples: bytes | None, archived: bytes | None) -> bytes:
    """Return a recording's coded samples, from its row or the archive; ArchiveError where neither has them."""
    if samples is not None:
        return samples
    if archived is None:
        raise ArchiveError("its samples are neither in the database nor in the archive")
    return configured().get(archived)


def places() -> tuple[Folder, Path]:
    """Return the folder of FELDSHER_ARCHIVE (else `archive` in FELDSHER_STATE), and the file of its key."""
    state = Path(os.environ.get("FELDSHER_STATE", ".state"))
    folder = os.environ.get("FELDSHER_ARCHIVE")
    return Folder(Path(folder) if folder else state / "archive"), state / "secrets" / "archive.key"


def configured(*, make: bool = False) -> Archive:
    """Return the archive of `places`; `make`: with a new key where there is none, for the first machine that writes."""
    store, key_file = places()
    return opened(store, key_file, make=make)


def mark(store: Store) -> bytes | None:
    """Return the SHA-256 of the key that an archive says it is sealed with; None where nothing is marked."""
    try:
        return store.get(_MARK)
    except ArchiveError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def set_mark(archive: Archive) -> None:
    """Have an archive say with which key it is sealed."""
    archive.store.put(_MARK, archive.key_sha256)
