"""The key by which gateways know the cloud's word, and the form of its signatures: P-256, r and s of 32 bytes each.

It signs times, configurations and the command to wipe; never updates: their keys are the releasing person's own. It is
a file of mode 600 beside the other secrets, apart from the authority's and the web server's key.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.secret import keep_secret

_ECDSA = ec.ECDSA(hashes.SHA256())


class KeyFormError(ValueError):
    """A key that is not P-256 in our form."""


def new_key() -> bytes:
    """Return a new private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a PEM text; KeyFormError where it is another kind of key."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFormError(f"not a private key in PEM without password: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFormError("the key is not EC P-256")
    return key


def word_key(settings: Settings) -> ec.EllipticCurvePrivateKey:
    """Return the installation's key for gateways, made at first use."""
    return load(keep_secret(settings.secrets / "gateway-word.key", new_key))


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key's public point (uncompressed, 65 bytes) as base64."""
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return base64.b64encode(point).decode()


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return the signature over `data`, 64 bytes."""
    r, s = decode_dss_signature(key.sign(data, _ECDSA))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a text made by `public_text`; KeyFormError where it is none."""
    try:
        point = base64.b64decode(text, validate=True)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (binascii.Error, ValueError) as error:
        raise KeyFormError(f"not a P-256 point in base64: {error}") from error


def verified(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> bool:
    """Return whether a signature of 64 bytes over `data` is of this key."""
    if len(signature) != 64:
        return False
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, data, _ECDSA)
    except InvalidSignature:
        return False
    return True
