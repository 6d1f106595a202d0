"""Renewal: proof of the key, one successor at a time, the grace after the end, and what revocation refuses."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from feldsher_cloud_api import ca, gateway_keys, provision
from feldsher_ehr_core import signed
from feldsher_tools.clinic import Clinic
from httpx2 import Response


def csr(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Gateway:
    """A gateway's side by hand: a key, its certificate, and requests signed with it."""

    clinic: Clinic
    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    pem: str = ""

    def claim(self) -> dict[str, Any]:
        with self.clinic.owner() as connection:
            authority = ca.load(self.clinic.settings.ca_directory, self.clinic.time)
            claim = provision.add_gateway(connection, self.clinic.settings, authority, self.name, "test")
        answer = self.clinic.browser.post("/provision/claim", json={"secret": claim.secret, "csr": csr(self.key)})
        assert answer.status_code == 200, answer.text
        self.pem = answer.json()["certificate_pem"]
        return answer.json()

    def header(self, method: str, path: str, body: bytes, **changes: Any) -> str:
        at = int(self.clinic.time().timestamp() * 1e6) + changes.get("late_us", 0)
        said = signed.request(method, changes.get("said_path", path), at, changes.get("said_body", body))
        certificate = x509.load_pem_x509_certificate(changes.get("pem", self.pem).encode())
        der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        signature = gateway_keys.sign(changes.get("by", self.key), said)
        return f"Feldsher-Gateway {der} {at} {base64.b64encode(signature).decode()}"

    def post(self, path: str, value: object, **changes: Any) -> Response:
        body = json.dumps(value).encode()
        headers = {"content-type": "application/json", "authorization": self.header("POST", path, body, **changes)}
        return self.clinic.browser.post(path, content=body, headers=headers)

    def renew(self, key: ec.EllipticCurvePrivateKey, **changes: Any) -> Response:
        return self.post("/provision/renew", {"csr": csr(key)}, **changes)

    def take(self, answer: Response, key: ec.EllipticCurvePrivateKey) -> None:
        assert answer.status_code == 200, answer.text
        self.pem, self.key = answer.json()["certificate_pem"], key

    @property
    def serial(self) -> int:
        return ca.serial(self.pem.encode())

    def is_listed(self, serial: int) -> bool:
        return ca.load(self.clinic.settings.ca_directory).is_revoked(serial)


@pytest.fixture
def gateway(clinic: Clinic) -> Gateway:
    made = Gateway(clinic, f"gw-{uuid4().hex[:12]}")
    made.claim()
    return made


def code(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_a_certificate_lives_thirty_days_and_a_claim_pins_the_clouds_word(clinic: Clinic) -> None:
    granted = Gateway(clinic, f"gw-{uuid4().hex[:12]}").claim()
    certificate = x509.load_pem_x509_certificate(granted["certificate_pem"].encode())
    assert round((certificate.not_valid_after_utc - clinic.time()).total_seconds() / 86_400) == 30
    assert granted["api_url"] == "http://testserver"
    assert granted["at_ms"] == int(clinic.time().timestamp() * 1000)
    assert granted["word_keys"] == [gateway_keys.public_text(gateway_keys.word_key(clinic.settings))]


def test_the_time_is_signed_with_the_question(clinic: Clinic) -> None:
    word = gateway_keys.word_key(clinic.settings).public_key()
    answer = clinic.browser.post("/provision/time", json={"nonce": "ab" * 16}).json()
    signature = bytes.fromhex(answer["signature"])
    assert answer["unix_us"] == int(clinic.time().timestamp() * 1e6)
    assert gateway_keys.verified(word, signature, signed.time(b"\xab" * 16, answer["unix_us"]))
    assert not gateway_keys.verified(word, signature, signed.time(b"\xac" * 16, answer["unix_us"]))
    assert clinic.browser.post("/provision/time", json={"nonce": "ab"}).status_code == 422


def test_a_renewed_certificate_supersedes_the_old_one_once_it_is_confirmed(gateway: Gateway) -> None:
    old_key, old_pem, old_serial = gateway.key, gateway.pem, gateway.serial
    key = new_key()
    gateway.take(gateway.renew(key), key)
    certificate = x509.load_pem_x509_certificate(gateway.pem.encode())
    assert certificate.public_key() == key.public_key()
    assert gateway.renew(new_key(), by=old_key, pem=old_pem).status_code == 200  # not confirmed: the old one is good
    gateway.take(gateway.renew(key, by=old_key, pem=old_pem), key)
    assert gateway.post("/provision/confirm", {}).status_code == 200
    assert code(gateway.renew(new_key(), by=old_key, pem=old_pem)) == (403, "superseded")
    assert not gateway.is_listed(old_serial)  # it ends by itself within days; only a stolen one is listed


def test_a_renewal_whose_answer_was_lost_brings_the_same_certificate(gateway: Gateway) -> None:
    key = new_key()
    first, second = gateway.renew(key).json(), gateway.renew(key).json()
    assert first["certificate_pem"] == second["certificate_pem"]


def test_a_successor_given_up_for_another_is_revoked(gateway: Gateway) -> None:
    given_up = gateway.renew(new_key()).json()["certificate_pem"]
    key = new_key()
    gateway.take(gateway.renew(key), key)
    assert gateway.is_listed(ca.serial(given_up.encode()))
    assert not gateway.is_listed(gateway.serial)


def test_an_expired_certificate_may_renew_within_the_grace_and_nothing_else(clinic: Clinic, gateway: Gateway) -> None:
    clinic.time.move(days=45)
    assert code(gateway.post("/provision/confirm", {})) == (403, "expired")
    key = new_key()
    gateway.take(gateway.renew(key), key)
    assert gateway.post("/provision/confirm", {}).status_code == 200
    clinic.time.move(days=30 + 181)
    assert code(gateway.renew(new_key())) == (403, "expired")


def test_a_revoked_gateway_cannot_renew_and_all_its_certificates_are_listed(clinic: Clinic, gateway: Gateway) -> None:
    key, former = new_key(), gateway.serial
    successor = ca.serial(gateway.renew(key).json()["certificate_pem"].encode())
    authority = ca.load(clinic.settings.ca_directory)
    with clinic.owner() as connection:
        assert provision.revoke_gateway(connection, authority, gateway.name, clinic.time()) == "revoked"
    assert gateway.is_listed(former)
    assert gateway.is_listed(successor)
    assert code(gateway.renew(key)) == (403, "revoked")
    clinic.time.move(days=45)
    assert code(gateway.renew(key)) == (403, "revoked")


def test_a_new_claim_ends_what_could_renew(gateway: Gateway) -> None:
    old = (gateway.key, gateway.pem)
    gateway.key = new_key()
    gateway.claim()
    assert code(gateway.renew(new_key(), by=old[0], pem=old[1])) == (403, "revoked")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"by": new_key()}, (401, "signature")),
        ({"said_path": "/provision/confirm"}, (401, "signature")),
        ({"said_body": b"{}"}, (401, "signature")),
        ({"late_us": 301_000_000}, (401, "clock")),
        ({"late_us": -301_000_000}, (401, "clock")),
    ],
)
def test_what_proves_nothing_is_refused(gateway: Gateway, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    assert code(gateway.renew(new_key(), **changes)) == expected


def test_certificates_of_others_are_refused(clinic: Clinic, gateway: Gateway, tmp_path_factory: Any) -> None:
    foreign = ca.create(tmp_path_factory.mktemp("foreign") / "ca").issue_client(gateway.name)
    key = gateway_keys.load(foreign.key_pem)
    assert code(gateway.renew(key, by=key, pem=foreign.certificate_pem.decode())) == (403, "foreign")
    authority = ca.load(clinic.settings.ca_directory)
    server = authority.issue_server(["localhost"])
    key = gateway_keys.load(server.key_pem)
    assert code(gateway.renew(key, by=key, pem=server.certificate_pem.decode())) == (403, "foreign")
    unknown = authority.issue_client(gateway.name)  # of the authority, but nobody's in the table
    key = gateway_keys.load(unknown.key_pem)
    assert code(gateway.renew(key, by=key, pem=unknown.certificate_pem.decode())) == (403, "unknown")


@pytest.mark.parametrize(
    "header", ["", "Bearer x", "Feldsher-Gateway", "Feldsher-Gateway a b c", "Feldsher-Gateway  1 "]
)
def test_unsigned_requests_are_refused(clinic: Clinic, header: str) -> None:
    answer = clinic.browser.post("/provision/renew", json={"csr": "x"}, headers={"authorization": header})
    assert code(answer) == (401, "unsigned")


def test_a_bad_request_for_a_certificate_is_named(gateway: Gateway) -> None:
    answer = gateway.post("/provision/renew", {"csr": "nonsense"})
    assert code(answer) == (400, "csr")
    assert "not a certificate request" in answer.json()["error"]
