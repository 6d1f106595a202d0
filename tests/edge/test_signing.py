"""Signatures of 64 bytes: of one key over one text, and nothing else is accepted."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from feldsher_cloud_api import gateway_keys
from feldsher_edge import signing
from hypothesis import given
from hypothesis import strategies as st

KEY = gateway_keys.load(gateway_keys.new_key())
PUBLIC = gateway_keys.public_text(KEY)


@given(st.binary(max_size=200))
def test_both_rooms_sign_and_read_alike(data: bytes) -> None:
    for signature in (signing.sign(KEY, data), gateway_keys.sign(KEY, data)):
        assert len(signature) == 64
        assert signing.verified(["not a key", PUBLIC], signature, data)
        assert gateway_keys.verified(gateway_keys.public_key(PUBLIC), signature, data)
        assert not signing.verified([PUBLIC], signature, data + b"\0")


@given(st.integers(0, 511), st.integers(0, 63))
def test_a_changed_bit_or_a_cut_signature_is_refused(bit: int, length: int) -> None:
    signature = signing.sign(KEY, b"x")
    changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not signing.verified([PUBLIC], changed, b"x")
    assert not signing.verified([PUBLIC], signature[:length], b"x")


def test_without_keys_nothing_is_believed() -> None:
    other = gateway_keys.public_text(ec.generate_private_key(ec.SECP256R1()))
    assert not signing.verified([], signing.sign(KEY, b"x"), b"x")
    assert not signing.verified([other], signing.sign(KEY, b"x"), b"x")
