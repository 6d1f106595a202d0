"""Releases: the keys whose owners sign updates, and the store of signed updates that gateways may be offered.

The private keys are files; this module signs where one lies, on the cloud's machine or on one without any network. The
cloud itself never signs an update: whoever owns the cloud must not thereby own the gateways (docs/decisions/0010).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec
import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from feldsher_ehr_core import signed
from feldsher_signal import artefact as kit_artefact

from feldsher_cloud_api import db, gateway_keys
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.gateway_keys import KeyFormError
from feldsher_cloud_api.secret import write_secret

ENDING = ".signed"
"""Added to an update's name for the file with its manifest and signature."""
_queries = db.queries("release")
_log = structlog.get_logger()


class ReleaseError(ValueError):
    """Why an update cannot be signed, stored or offered; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A signed update in the store; `key`: the name of the release key that signed it."""

    sha256: str
    kind: Literal["gateway", "kit"]
    version: str
    sequence: int
    target: str
    python: str
    board: str
    size: int
    added_by: str
    added_at: datetime
    key: str


class Signed(msgspec.Struct, frozen=True):
    """A manifest as it was signed, and its signature (hexadecimal): the content of a `.signed` file."""

    manifest: str
    signature: str


def new_key(folder: Path, name: str) -> str:
    """Write a new release key as NAME.key (mode 600) and NAME.pub, and return the public text."""
    path = folder / f"{name}.key"
    if path.exists():
        raise ReleaseError(f"{path}: there already; a lost release key cannot be made again, so it stays")
    pem = gateway_keys.new_key()
    public = gateway_keys.public_text(gateway_keys.load(pem))
    write_secret(path, pem)
    (folder / f"{name}.pub").write_text(public + "\n")
    return public


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the release key in a file; ReleaseError where it is none."""
    try:
        return gateway_keys.load(path.read_bytes())
    except (OSError, KeyFormError) as error:
        raise ReleaseError(f"{path}: no release key: {error}") from error


def describe(file: Path, **fields: Any) -> bytes:
    """Return the manifest of an update's file, to be signed.

    A kit's (`.fkit`) says itself what it is; of a gateway's (`pack`) `fields` are version, sequence, target and python.
    ReleaseError where the file is neither, or a field is missing.
    """
    with file.open("rb") as opened:
        start = opened.read(kit_artefact.HEAD + kit_artefact.MANIFEST_MAX)
        digest = hashlib.file_digest(_from_start(opened), "sha256").hexdigest()
    if tarfile.is_tarfile(file):
        _check_wheelhouse(file)
        of: dict[str, Any] = {"kind": "gateway"} | fields
    else:
        inner = _kit(start, str(file))
        of = {"kind": "kit", "version": inner.version, "sequence": inner.sequence, "board": inner.board}
    whole = {"format": 1} | of | {"size": file.stat().st_size, "sha256": digest}
    raw = json.dumps(whole).encode()
    try:
        signed.parse_manifest(raw)
    except signed.ManifestError as error:
        raise ReleaseError(f"{file}: {error}") from error
    return raw


def _from_start(opened: Any) -> Any:
    opened.seek(0)
    return opened


def _kit(start: bytes, name: str) -> kit_artefact.Manifest:
    try:
        end = kit_artefact.head_length(start.ljust(kit_artefact.HEAD, b"\0"))
        return kit_artefact.parse_manifest(start[kit_artefact.HEAD : end])
    except kit_artefact.ArtefactError as error:
        words = f"{name}: neither a gateway's update (`release pack` makes one) nor a kit's firmware (.fkit): {error}"
        raise ReleaseError(words) from error


def _check_wheelhouse(file: Path) -> None:
    with tarfile.open(file) as archive:
        names = [PurePosixPath(m.name) for m in archive if m.isfile()]
    for name in names:
        if str(name) != "requirements.lock" and (str(name.parent), name.suffix) != ("wheels", ".whl"):
            raise ReleaseError(f"{file}: {name} does not belong into a gateway's update")
    if PurePosixPath("requirements.lock") not in names or not any(n.name.startswith("feldsher-") for n in names):
        raise ReleaseError(f"{file}: requirements.lock and the wheel of feldsher are needed")


def pack(folder: Path, out: Path) -> None:
    """Write a gateway's update: the tar of a folder's `requirements.lock` and `wheels/*.whl`; the same for the same."""
    files = [folder / "requirements.lock", *sorted((folder / "wheels").glob("*.whl"))]
    with tarfile.open(out, "w") as archive:
        for path in files:
            if not path.is_file():
                raise ReleaseError(f"{path}: missing; a gateway's update is requirements.lock and wheels/*.whl")
            entry = tarfile.TarInfo(str(path.relative_to(folder)))
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
    _check_wheelhouse(out)


def sign(file: Path, manifest: bytes, key: ec.EllipticCurvePrivateKey) -> Path:
    """Sign a manifest and write it with its signature beside the update; return that file's path."""
    made = Signed(manifest.decode(), gateway_keys.sign(key, signed.manifest(manifest)).hex())
    path = file.with_name(file.name + ENDING)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    return path


def trust(connection: db.Connection, name: str, public: str, now: datetime) -> None:
    """Believe a release key from now on: gateways that are claimed get it; ReleaseError where it is no public key."""
    try:
        gateway_keys.public_key(public)
    except KeyFormError as error:
        raise ReleaseError(f"{name}: {error}") from error
    _queries.trust(connection, name=name, public=public, now=now)


def retire(connection: db.Connection, name: str, now: datetime) -> None:
    """Believe a release key no more: nothing it signed is offered, nobody gets it; ReleaseError where there is none."""
    if _queries.retire(connection, name=name, now=now) is None:
        raise ReleaseError(f"{name}: no release key of that name is trusted")


def keys(connection: db.Connection) -> list[dict[str, Any]]:
    """Return name, public text, and since when and until when each release key is trusted."""
    names = ("name", "public", "added_at", "retired_at")
    return [dict(zip(names, row, strict=True)) for row in _queries.keys(connection)]


def add(connection: db.Connection, settings: Settings, file: Path, by: str) -> Artefact:
    """Take an update with its `.signed` file into the store; repeating it is harmless.

    ReleaseError where no trusted key signed it, or the file is not what was signed.
    """
    raw, signature = _read_signed(file.with_name(file.name + ENDING))
    key = _signer(connection, raw, signature)
    try:
        manifest = signed.parse_manifest(raw)
    except signed.ManifestError as error:
        raise ReleaseError(f"{file}: {error}") from error
    if manifest.kind == "kit":
        _same_kit(file, manifest)
    _store(settings, file, manifest)
    try:
        _queries.add(
            connection, sha256=manifest.sha256, kind=manifest.kind, version=manifest.version,
            sequence=manifest.sequence, target=manifest.target, python=manifest.python, board=manifest.board,
            size=manifest.size, manifest=raw, signature=signature, release_key=key, added_by=by, now=settings.clock(),
        )  # fmt: skip
    except psycopg.errors.UniqueViolation as error:
        raise ReleaseError(f"{file}: sequence {manifest.sequence} is another update's; sequences only grow") from error
    _log.info("artefact_added", kind=manifest.kind, version=manifest.version, sequence=manifest.sequence)
    return find(connection, manifest.sha256)


def _read_signed(path: Path) -> tuple[bytes, bytes]:
    try:
        made = msgspec.json.decode(path.read_bytes(), type=Signed)
        return made.manifest.encode(), bytes.fromhex(made.signature)
    except FileNotFoundError as error:
        raise ReleaseError(f"{path}: missing; `feldsher-cloud release sign` makes it where the key is") from error
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ReleaseError(f"{path}: cannot be read: {error}") from error


def _signer(connection: db.Connection, raw: bytes, signature: bytes) -> str:
    for key in keys(connection):
        public = gateway_keys.public_key(key["public"])
        if key["retired_at"] is None and gateway_keys.verified(public, signature, signed.manifest(raw)):
            return str(key["public"])
    raise ReleaseError("no release key that is trusted here has signed it (`feldsher-cloud release keys`)")


def _same_kit(file: Path, manifest: signed.Manifest) -> None:
    with file.open("rb") as opened:
        inner = _kit(opened.read(kit_artefact.HEAD + kit_artefact.MANIFEST_MAX), str(file))
    if (inner.board, inner.version, inner.sequence) != (manifest.board, manifest.version, manifest.sequence):
        raise ReleaseError(f"{file}: the firmware is {inner.version}, sequence {inner.sequence}: not what was signed")


def path_of(settings: Settings, sha256: str) -> Path:
    """Return where an update's bytes lie."""
    return settings.state / "artefacts" / sha256


def _store(settings: Settings, file: Path, manifest: signed.Manifest) -> None:
    """Copy an update into the store, whole or not at all; ReleaseError where it is not what was signed."""
    path = path_of(settings, manifest.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{manifest.sha256}.{os.getpid()}")
    try:
        shutil.copyfile(file, part)
        with part.open("rb") as copied:
            digest = hashlib.file_digest(copied, "sha256").hexdigest()
            os.fsync(copied.fileno())
        if (digest, part.stat().st_size) != (manifest.sha256, manifest.size):
            raise ReleaseError(f"{file}: it is not what was signed (damaged, or changed since)")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def artefacts(connection: db.Connection) -> list[Artefact]:
    """Return every update in the store, newest first."""
    return [Artefact(*row) for row in _queries.artefacts(connection)]


def find(connection: db.Connection, beginning: str) -> Artefact:
    """Return the update whose SHA-256 begins so; ReleaseError where none or several do."""
    found = list(_queries.artefact(connection, beginning=beginning))
    if len(found) != 1:
        raise ReleaseError(f"{beginning!r}: {'no' if not found else 'more than one'} update has it (`release list`)")
    return Artefact(*found[0])


def offer(connection: db.Connection, sha256: str) -> tuple[bytes, bytes]:
    """Return manifest and signature of an update; ReleaseError where its key is retired."""
    manifest, signature, trusted = _queries.offer(connection, sha256=sha256)
    if not trusted:
        raise ReleaseError("the release key that signed it is retired; sign it anew with another")
    return bytes(manifest), bytes(signature)


def offered_size(connection: db.Connection, sha256: str) -> int | None:
    """Return the size of an update that the asking gateway may fetch, None where it was not offered to it."""
    return _queries.size(connection, sha256=sha256)
