"""Signatures of the gateway and of those it believes: ECDSA P-256 with SHA-256, r and s of 32 bytes each."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_ECDSA = ec.ECDSA(hashes.SHA256())


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return the signature over `data`, 64 bytes."""
    r, s = decode_dss_signature(key.sign(data, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verified(keys: Iterable[str], signature: bytes, data: bytes) -> bool:
    """Return whether one of `keys` (P-256 points, uncompressed, base64) has signed `data`; a damaged key has not."""
    if len(signature) != 64:
        return False
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    for text in keys:
        try:
            point = base64.b64decode(text, validate=True)
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point).verify(der, data, _ECDSA)
        except (binascii.Error, ValueError, InvalidSignature):
            continue
        return True
    return False
