"""The key to originals: made once, given to gateways, kept closed to everybody else."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from feldsher_cloud_api import originals
from feldsher_cloud_api.config import Settings


def test_the_key_is_made_once_and_only_its_certificate_is_given_away(tmp_path: Path) -> None:
    settings = Settings("", state=tmp_path)
    given = originals.certificate(settings)
    assert given == originals.certificate(settings)
    assert "PRIVATE" not in given
    assert (settings.secrets / "originals.pem").stat().st_mode & 0o777 == 0o600
    key = x509.load_pem_x509_certificate(given.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072
