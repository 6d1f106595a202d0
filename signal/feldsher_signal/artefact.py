"""A firmware update of the kit as one string of bytes: signature, manifest, image (docs/kit-protocol.md, "Updates").

    signature 64 | u16 manifest length | manifest (JSON, as it was signed) | image

The signature is ECDSA on P-256 with SHA-256 over DOMAIN and the manifest, as r and s of 32 bytes each; the manifest
names the image by its length and SHA-256. So a receiver knows after a few hundred bytes whether it wants the rest.

This file also runs on the kit: like frame.py it keeps to what CPython and MicroPython share. It holds no cryptography.
"""

import binascii
import json
import struct

SIGNATURE = 64
HEAD = SIGNATURE + 2
MANIFEST_MAX = 512
DOMAIN = b"feldsher update\0"
FORMAT = 1
KIND = "kit"
VERSION_MAX = 16


class ArtefactError(ValueError):
    """An artefact that is not one; the text names the field."""


class Manifest:
    """What an image is: for which `board`, its `version` for people, its `sequence` for order, `size`, `sha256`."""

    def __init__(self, board: str, version: str, sequence: int, size: int, sha256: bytes) -> None:
        self.board = board
        self.version = version
        self.sequence = sequence
        self.size = size
        self.sha256 = sha256

    def pack(self) -> bytes:
        """Return the manifest as bytes to be signed."""
        return json.dumps(
            {
                "format": FORMAT,
                "kind": KIND,
                "board": self.board,
                "version": self.version,
                "sequence": self.sequence,
                "size": self.size,
                "sha256": binascii.hexlify(self.sha256).decode(),
            }
        ).encode()


def pack(signature: bytes, manifest: bytes, image: bytes) -> bytes:
    """Return the artefact; ArtefactError where a part has the wrong length."""
    if len(signature) != SIGNATURE:
        raise ArtefactError("signature: " + str(len(signature)) + " bytes, not " + str(SIGNATURE))
    if not 0 < len(manifest) <= MANIFEST_MAX:
        raise ArtefactError("manifest: " + str(len(manifest)) + " bytes, not 1 to " + str(MANIFEST_MAX))
    return signature + struct.pack(">H", len(manifest)) + manifest + image


def head_length(start: bytes) -> int:
    """Return the bytes before the image, by at least the first HEAD of them; ArtefactError where they are too many."""
    length = start[SIGNATURE] << 8 | start[SIGNATURE + 1]
    if not 0 < length <= MANIFEST_MAX:
        raise ArtefactError("manifest: " + str(length) + " bytes, not 1 to " + str(MANIFEST_MAX))
    return HEAD + length


def signed(manifest: bytes) -> bytes:
    """Return the bytes that the signature is over."""
    return DOMAIN + manifest


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest of a kit's image; ArtefactError names the field. To be called once the signature holds."""
    fields = _object(data)
    if fields.get("format") != FORMAT:
        raise ArtefactError("manifest format: " + str(fields.get("format")) + ", not " + str(FORMAT))
    if fields.get("kind") != KIND:
        raise ArtefactError("manifest kind: " + str(fields.get("kind")) + ", not " + KIND)
    version = _text(fields, "version")
    if not 0 < len(version) <= VERSION_MAX:
        raise ArtefactError("manifest version: 1 to " + str(VERSION_MAX) + " characters")
    return Manifest(
        _text(fields, "board"), version, _number(fields, "sequence"), _number(fields, "size"), _digest(fields)
    )


def _object(data: bytes) -> dict[str, object]:
    try:
        fields: object = json.loads(data.decode())
    except ValueError as error:  # also what is no UTF-8
        raise ArtefactError("manifest: no JSON") from error
    if not isinstance(fields, dict):
        raise ArtefactError("manifest: no object")
    return fields  # pyright: ignore[reportUnknownVariableType] - JSON knows no other keys than text


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not all(" " <= letter <= "~" for letter in value):
        raise ArtefactError("manifest " + name + ": no printable ASCII")
    return value


def _number(fields: dict[str, object], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 0xFFFFFFFF:
        raise ArtefactError("manifest " + name + ": no number from 1 to 4294967295")
    return value


def _digest(fields: dict[str, object]) -> bytes:
    text = _text(fields, "sha256")
    try:
        digest = binascii.unhexlify(text)
    except ValueError as error:
        raise ArtefactError("manifest sha256: no hexadecimal") from error
    if len(digest) != 32:
        raise ArtefactError("manifest sha256: " + str(len(digest)) + " bytes, not 32")
    return digest
