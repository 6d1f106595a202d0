"""What is signed: each purpose has bytes of its own, and every field of them counts."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from feldsher_ehr_core import signed
from hypothesis import given
from hypothesis import strategies as st

GOOD = {
    "format": 1, "kind": "gateway", "version": "1.2.0+3", "sequence": 7, "target": "any", "size": 10,
    "sha256": "a" * 64, "python": "3.11",
}  # fmt: skip


def test_every_field_counts_and_no_purpose_serves_another() -> None:
    made = [
        signed.time(b"n", 1),
        signed.time(b"n", 2),
        signed.time(b"m", 1),
        signed.configuration("gw-1", 1, ""),
        signed.configuration("gw-2", 1, ""),
        signed.configuration("gw-1", 2, ""),
        signed.configuration("gw-1", 1, "x"),
        signed.wipe("gw-1", b"1"),
        signed.wipe("gw-1", b"2"),
        signed.wipe("gw-1", b"2", force=True),
        signed.request("GET", "/a", 1, b""),
        signed.request("POST", "/a", 1, b""),
        signed.request("GET", "/b", 1, b""),
        signed.request("GET", "/a", 2, b""),
        signed.request("GET", "/a", 1, b"x"),
        signed.manifest(b"{}"),
    ]
    assert len(set(made)) == len(made)


@given(st.binary(max_size=40), st.integers(0, 2**62), st.text(max_size=20), st.integers(0, 2**31))
def test_no_manifest_is_another_purpose(nonce: bytes, us: int, text: str, version: int) -> None:
    for other in (signed.time(nonce, us), signed.configuration("gw", version, text), signed.wipe("gw", nonce)):
        assert not other.startswith(signed.MANIFEST_PREFIX)


def test_a_manifest_is_read() -> None:
    found = signed.parse_manifest(json.dumps(GOOD).encode())
    assert (found.kind, found.version, found.sequence, found.python) == ("gateway", "1.2.0+3", 7, "3.11")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": 2}, r"\$\.format"),
        ({"kind": "fridge"}, r"\$\.kind"),
        ({"sequence": 0}, r"\$\.sequence"),
        ({"size": -1}, r"\$\.size"),
        ({"size": 3_000_000_000}, r"\$\.size"),
        ({"sha256": "A" * 64}, r"\$\.sha256"),
        ({"version": "../../etc"}, r"\$\.version"),
        ({"later": 1}, "later"),
        ({"target": ""}, r"\$\.target"),
        ({"kind": "kit"}, r"\$\.board"),
    ],
)
def test_a_wrong_manifest_names_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(signed.ManifestError, match=field):
        signed.parse_manifest(json.dumps(GOOD | change).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_or_an_error(raw: bytes) -> None:
    with suppress(signed.ManifestError):
        assert signed.parse_manifest(raw).sequence >= 1
