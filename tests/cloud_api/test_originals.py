"""The key to originals: made once, given to gateways, kept closed to everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from feldsher_cloud_api import cli, originals
from feldsher_cloud_api.config import Settings
from typer.testing import CliRunner


def test_the_key_is_made_once_and_only_its_certificate_is_given_away(tmp_path: Path) -> None:
    settings = Settings("", state=tmp_path)
    given = originals.certificate(settings)
    assert given == originals.certificate(settings)
    assert "PRIVATE" not in given
    assert (settings.secrets / "originals.pem").stat().st_mode & 0o777 == 0o600
    key = x509.load_pem_x509_certificate(given.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 3072


def test_an_administrator_opens_an_original_for_themself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", "postgresql://nobody")
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path / "state"))
    held = originals.certificate(Settings("", state=tmp_path / "state"))
    recipient = x509.load_pem_x509_certificate(held.encode())
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(b"original").add_recipient(recipient)
    (tmp_path / "x.p7m").write_bytes(builder.encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary]))
    words = ["original", "open", str(tmp_path / "x.p7m"), str(tmp_path / "out.scp")]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.scp").read_bytes() == b"original"
    assert (tmp_path / "out.scp").stat().st_mode & 0o777 == 0o600
    (tmp_path / "x.p7m").write_bytes(b"something else")
    refused = CliRunner().invoke(cli.app, words)
    assert refused.exit_code == 2
    assert "not sealed to this installation, or damaged" in refused.output
