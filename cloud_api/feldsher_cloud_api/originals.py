"""The key to originals: gateways seal the files of foreign cardiographs to it, and only the cloud can open them.

CMS EnvelopedData (RFC 5652), RSA with AES-256: `openssl cms -decrypt -inform DER -inkey KEY` opens one as well. Key and
certificate are one file of mode 600 beside the other secrets.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.secret import keep_secret

_BITS = 3072
"""As strong as AES-128 (NIST SP 800-57 part 1, table 2): good beyond 2030."""


class SealError(ValueError):
    """A file that is not sealed to this installation's key, or is damaged."""


def new_key() -> bytes:
    """Return a new private key and its own certificate, which only names it, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "feldsher originals")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    # a key for sealing has no end: what gateways believe of time must not decide whether an original is kept
    dated = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(9999, 12, 31, tzinfo=UTC)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + dated.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def certificate(settings: Settings) -> str:
    """Return the certificate that gateways seal to, as PEM; made at first use."""
    held = x509.load_pem_x509_certificate(_kept(settings))
    return held.public_bytes(serialization.Encoding.PEM).decode()


def opened(settings: Settings, sealed: bytes) -> bytes:
    """Return a sealed original as the cardiograph wrote it; SealError where it is not ours or damaged."""
    pem = _kept(settings)
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SealError("the key to originals is of another kind")
    try:
        return pkcs7.pkcs7_decrypt_der(sealed, x509.load_pem_x509_certificate(pem), key, [])
    except ValueError as error:
        raise SealError(f"not sealed to this installation, or damaged: {error}") from error


def _kept(settings: Settings) -> bytes:
    return keep_secret(settings.secrets / "originals.pem", new_key)
