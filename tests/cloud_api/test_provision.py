"""Provisioning: a claim is good once, for a while, for one gateway; the certificate is the authority's own."""

from __future__ import annotations

import base64
import json
import ssl
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from feldsher_cloud_api import ca, provision
from feldsher_ehr_core.ids import CLOUD_WORKER, INGEST_TOOL, INGEST_USERS
from feldsher_tools.clinic import Clinic
from httpx2 import Response


def _csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ingest")])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _add(clinic: Clinic, name: str) -> provision.Claim:
    with clinic.owner() as connection:
        return provision.add_gateway(connection, clinic.settings, ca.load(clinic.settings.ca_directory), name, "test")


def _claim(clinic: Clinic, secret: str, **more: str) -> Response:
    return clinic.browser.post("/provision/claim", json={"secret": secret, "csr": _csr()} | more)


@pytest.fixture
def name() -> str:
    return f"gw-{uuid4().hex[:12]}"


def test_claim_brings_a_certificate_in_the_gateways_name(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    said = json.loads(base64.urlsafe_b64decode(claim.text().removeprefix("feldsher1.") + "=="))
    assert said["url"] == "http://testserver"
    authority = clinic.browser.get("/provision/ca").content
    assert ca.pin(authority) == said["ca_sha256"]
    answer = _claim(clinic, said["secret"], gateway=name)
    assert answer.status_code == 200, answer.text
    granted = answer.json()
    certificate = x509.load_pem_x509_certificate(granted["certificate_pem"].encode())
    assert [a.value for a in certificate.subject] == [name]  # not the name that the request asked for
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    assert (granted["gateway"], granted["mqtt_host"], granted["mqtt_port"]) == (name, "localhost", 8883)
    ssl.create_default_context(cadata=granted["ca_pem"])


def test_claim_is_good_once(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    assert _claim(clinic, claim.secret).status_code == 200
    assert _claim(clinic, claim.secret).status_code == 403


def test_claim_lapses(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    clinic.time.move(hours=24, seconds=1)
    assert _claim(clinic, claim.secret).status_code == 403


def test_forged_claim_is_refused_and_the_secret_is_not_kept(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    assert _claim(clinic, "x" * 43).status_code == 403
    assert _claim(clinic, "short").status_code == 422
    with clinic.owner() as connection:
        row = connection.execute("SELECT g::text FROM cloud.gateway g WHERE id = %s", (name,)).fetchone()
    assert row is not None
    assert claim.secret not in row[0]


def test_claim_of_another_gateway_or_a_bad_request_leaves_the_claim_good(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    assert _claim(clinic, claim.secret, gateway="another").status_code == 403
    answer = clinic.browser.post("/provision/claim", json={"secret": claim.secret, "csr": "nonsense"})
    assert (answer.status_code, answer.json()["error"][:4]) == (400, "csr:")
    assert _claim(clinic, claim.secret).status_code == 200


def test_new_claim_ends_the_old_one_and_its_certificate(clinic: Clinic, name: str) -> None:
    first = _add(clinic, name)
    granted = _claim(clinic, first.secret).json()
    second = _add(clinic, name)
    third = _add(clinic, name)
    assert _claim(clinic, second.secret).status_code == 403
    assert _claim(clinic, third.secret).status_code == 200
    authority = ca.load(clinic.settings.ca_directory)
    assert authority.is_revoked(ca.serial(granted["certificate_pem"].encode()))


def test_claim_that_fails_late_leaves_the_former_certificate_good(
    clinic: Clinic, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = _claim(clinic, _add(clinic, name).secret).json()
    again = _add(clinic, name)

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(provision, "remember", fail)
        with pytest.raises(ConnectionError):
            _claim(clinic, again.secret)
    authority = ca.load(clinic.settings.ca_directory)
    assert not authority.is_revoked(ca.serial(granted["certificate_pem"].encode()))
    assert _claim(clinic, again.secret).status_code == 200
    assert authority.is_revoked(ca.serial(granted["certificate_pem"].encode()))


def test_revoked_gateway_is_on_the_list_and_its_claim_is_dead(clinic: Clinic, name: str) -> None:
    claim = _add(clinic, name)
    granted = _claim(clinic, claim.secret).json()
    authority = ca.load(clinic.settings.ca_directory)
    with clinic.owner() as connection:
        assert provision.revoke_gateway(connection, authority, name, clinic.time()) == "revoked"
        assert provision.revoke_gateway(connection, authority, "nobody", clinic.time()) == "unknown"
    assert authority.is_revoked(ca.serial(granted["certificate_pem"].encode()))


def test_name_that_cannot_be_a_topic_is_refused(clinic: Clinic) -> None:
    for bad in ("a/b", "#", "Ä", "", *INGEST_USERS, INGEST_TOOL, CLOUD_WORKER):
        with pytest.raises(ValueError, match="gateway id"):
            _add(clinic, bad)
