"""The kit's update as bytes: known bytes, round trips, and every refusal names its field."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from feldsher_signal import artefact
from hypothesis import given
from hypothesis import strategies as st

IMAGE = b"\xe9image"
DIGEST = hashlib.sha256(IMAGE).digest()
MANIFEST = artefact.Manifest("FELDSHER_KIT_S3", "1.2.0", 7, len(IMAGE), DIGEST)


def _changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(MANIFEST.pack()) | fields).encode()


def test_the_layout():
    manifest = MANIFEST.pack()
    data = artefact.pack(bytes(range(64)), manifest, IMAGE)
    assert data[:64] == bytes(range(64))
    assert int.from_bytes(data[64:66], "big") == len(manifest)
    assert artefact.head_length(data[: artefact.HEAD]) == 66 + len(manifest)
    assert data[66:] == manifest + IMAGE
    assert artefact.signed(manifest) == b"feldsher update\0" + manifest


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16),
    st.integers(1, 2**32 - 1),
    st.integers(1, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_manifest_round_trip(board: str, version: str, sequence: int, size: int, sha256: bytes):
    found = artefact.parse_manifest(artefact.Manifest(board, version, sequence, size, sha256).pack())
    assert (found.board, found.version, found.sequence, found.size, found.sha256) == (
        board,
        version,
        sequence,
        size,
        sha256,
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_else_happens(data: bytes):
    with pytest.raises(artefact.ArtefactError, match="manifest"):
        artefact.parse_manifest(data)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"format": 2}, "manifest format: 2, not 1"),
        ({"kind": "gateway"}, "manifest kind: gateway, not kit"),
        ({"board": 5}, "manifest board: no printable ASCII"),
        ({"version": ""}, "manifest version: 1 to 16 characters"),
        ({"version": "é"}, "manifest version: no printable ASCII"),
        ({"sequence": 0}, "manifest sequence: no number from 1"),
        ({"sequence": True}, "manifest sequence: no number from 1"),
        ({"sequence": 1.5}, "manifest sequence: no number from 1"),
        ({"size": 2**32}, "manifest size: no number from 1"),
        ({"sha256": "xyz"}, "manifest sha256: no hexadecimal"),
        ({"sha256": "00"}, "manifest sha256: 1 bytes, not 32"),
    ],
)
def test_refused_with_the_field(fields: dict[str, Any], match: str):
    with pytest.raises(artefact.ArtefactError, match=match):
        artefact.parse_manifest(_changed(**fields))


def test_lengths():
    with pytest.raises(artefact.ArtefactError, match="signature: 3 bytes, not 64"):
        artefact.pack(b"abc", MANIFEST.pack(), IMAGE)
    with pytest.raises(artefact.ArtefactError, match="manifest: 513 bytes, not 1 to 512"):
        artefact.pack(bytes(64), bytes(513), IMAGE)
    with pytest.raises(artefact.ArtefactError, match="manifest: 0 bytes, not 1 to 512"):
        artefact.head_length(bytes(66))
    with pytest.raises(artefact.ArtefactError, match="manifest: no object"):
        artefact.parse_manifest(b"[]")
