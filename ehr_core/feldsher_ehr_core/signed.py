"""What is signed between gateway and cloud: the exact bytes, so that a signature for one purpose serves no other.

Signatures are ECDSA P-256 with SHA-256, r and s of 32 bytes each, big-endian: a kit's MicroPython needs no DER.
The rooms on both sides hold keys and do the arithmetic; here are only bytes (docs/decisions/0010).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import msgspec

MANIFEST_PREFIX = b"feldsher update\0"
"""Stands before a manifest's bytes when they are signed, so that no other text of ours can be taken for one."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,39}")


class ManifestError(ValueError):
    """A manifest that cannot be believed; the text names the field."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an update is. `sequence` only ever grows: a smaller one than what runs is refused (anti-rollback).

    `kind`: `gateway` (a wheelhouse for the gateway's own environment) or `kit` (firmware of an ECG kit). Of a gateway's
    update, `target` is the machine (`any`, `aarch64`, `x86_64`), `python` the interpreter that the wheels were made
    for, and `keys` the release keys trusted from then on (empty: they stay). Of a kit's, `board` is the kit's board.
    """

    format: Literal[1] = 1
    kind: Literal["gateway", "kit"]
    version: str
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    size: Annotated[int, msgspec.Meta(ge=1, le=2_000_000_000)]
    sha256: str
    board: str = ""
    target: str = ""
    python: str = ""
    keys: tuple[str, ...] = ()


def parse_manifest(raw: bytes) -> Manifest:
    """Return the manifest of JSON bytes; ManifestError names the field. Its signature is to be checked first."""
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"manifest: {error}") from error
    if not _SHA256.fullmatch(manifest.sha256):
        raise ManifestError("manifest: not 64 hexadecimal digits - at `$.sha256`")
    if not _VERSION.fullmatch(manifest.version):
        raise ManifestError("manifest: not 1 to 40 letters, digits, dots, plus and hyphens - at `$.version`")
    wanted = ("board",) if manifest.kind == "kit" else ("target", "python")
    for name in wanted:
        if not getattr(manifest, name):
            raise ManifestError(f"manifest: an update of kind {manifest.kind} needs it - at `$.{name}`")
    return manifest


def manifest(raw: bytes) -> bytes:
    """Return the bytes that are signed of an update: its manifest, which names the artefact's size and SHA-256."""
    return MANIFEST_PREFIX + raw


def time(nonce: bytes, unix_us: int) -> bytes:
    """Return the bytes that are signed of a time: it answers one question (`nonce`), so it cannot be an old one."""
    return msgspec.msgpack.encode(("feldsher time 1", nonce, unix_us))


def configuration(gateway: str, version: int, toml: str) -> bytes:
    """Return the bytes that are signed of a configuration: for one gateway, in one version."""
    return msgspec.msgpack.encode(("feldsher configuration 1", gateway, version, toml))


def wipe(gateway: str, task: bytes, *, force: bool = False) -> bytes:
    """Return the bytes that are signed of the command to forget everything: for one gateway, as one task (its id).

    `force`: also what was not sent; whoever carries the command on must not make that of it.
    """
    return msgspec.msgpack.encode(("feldsher wipe 1 by force" if force else "feldsher wipe 1", gateway, task))


def request(method: str, path: str, at_us: int, body: bytes) -> bytes:
    """Return the bytes that a gateway signs of an HTTP request, with its time; `path` includes the query."""
    digest = hashlib.sha256(body).digest()
    return msgspec.msgpack.encode(("feldsher request 1", method, path, at_us, digest))
