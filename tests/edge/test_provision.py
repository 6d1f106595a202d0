"""From a claim to an identity, against a real TLS server; and everything that must make the gateway refuse."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from feldsher_cloud_api import ca
from feldsher_edge.provision import ProvisionError, claim_identity, load_identity, parse_claim

SECRET = "a-secret-of-more-than-twenty-characters"
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Office:
    """The cloud's provisioning over real TLS, with what it was asked and a replaceable answer."""

    def __init__(self, folder: Path) -> None:
        self.authority = ca.create(folder / "ca")
        self.shown_pem = self.authority.certificate_pem
        self.asked: list[dict[str, Any]] = []
        self.answer: Answer = self.grant
        office = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(200 if self.path == "/base/provision/ca" else 404, office.shown_pem)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                office.asked.append(body)
                status, answer = office.answer(body)
                self._reply(status, json.dumps(answer).encode())

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                del format, args

        certificate, key = self.authority.issue_server(["127.0.0.1"]).write(folder, "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def grant(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        certificate = self.authority.sign_csr(body["csr"].encode(), "gw-7").decode()
        return 200, {
            "certificate_pem": certificate,
            "ca_pem": self.authority.certificate_pem.decode(),
            "gateway": "gw-7",
            "mqtt_host": "broker.example",
            "mqtt_port": 8883,
        }

    def claim(self, **fields: str) -> str:
        url = f"https://127.0.0.1:{self.server.server_address[1]}/base"
        parts = {"url": url, "gateway": "gw-7", "secret": SECRET, "ca_sha256": self.authority.pin} | fields
        return "feldsher1." + base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path / "office")
    yield made
    made.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_claim_becomes_an_identity(office: Office, state: Path) -> None:
    identity = claim_identity(office.claim(), state)
    assert load_identity(state) == identity
    place = identity.place
    assert (place.gateway, place.mqtt_host, place.mqtt_port) == ("gw-7", "broker.example", 8883)
    key = load_pem_private_key(identity.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
    assert certificate.public_key() == key.public_key()
    assert certificate.not_valid_after_utc > datetime.now(UTC)
    for path in (identity.key, identity.certificate, identity.ca, state / "identity" / "gateway.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert [a["secret"] for a in office.asked] == [SECRET]
    assert "PRIVATE KEY" not in json.dumps(office.asked)
    assert not (state / "identity.new").exists()


def test_a_claim_copied_over_several_lines_is_read(office: Office, state: Path) -> None:
    text = office.claim()
    assert claim_identity(f"  {text[:40]}\n   {text[40:]}\n", state).place.gateway == "gw-7"


def test_an_identity_is_not_replaced_by_accident(office: Office, state: Path) -> None:
    first = claim_identity(office.claim(), state).key.read_bytes()
    with pytest.raises(ProvisionError, match="--force"):
        claim_identity(office.claim(), state)
    assert len(office.asked) == 1
    second = claim_identity(office.claim(), state, force=True)
    assert second.key.read_bytes() != first
    assert (state / "identity.old-1" / "key.pem").read_bytes() == first


def test_another_authority_than_the_pinned_one_gets_no_secret(office: Office, state: Path, tmp_path: Path) -> None:
    office.shown_pem = ca.create(tmp_path / "other").certificate_pem
    with pytest.raises(ProvisionError, match="not the one in the claim"):
        claim_identity(office.claim(), state)
    assert office.asked == []
    assert load_identity(state) is None


def test_a_server_not_certified_by_the_pinned_authority_gets_no_secret(
    office: Office, state: Path, tmp_path: Path
) -> None:
    other = ca.create(tmp_path / "other")
    office.shown_pem = other.certificate_pem  # someone in between shows an authority that the claim pins ...
    with pytest.raises(ProvisionError, match="certificate verify failed"):
        claim_identity(office.claim(ca_sha256=other.pin), state)  # ... but has no certificate from it
    assert office.asked == []


def foreign_key(office: Office, _tmp: Path) -> Answer:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        made = office.authority.issue_client("gw-7").certificate_pem.decode()
        return 200, office.grant(body)[1] | {"certificate_pem": made}

    return answer


def foreign_name(office: Office, _tmp: Path) -> Answer:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        made = office.authority.sign_csr(body["csr"].encode(), "gw-8").decode()
        return 200, office.grant(body)[1] | {"certificate_pem": made}

    return answer


def foreign_authority(office: Office, tmp: Path) -> Answer:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        made = ca.create(tmp / "foreign").sign_csr(body["csr"].encode(), "gw-7").decode()
        return 200, office.grant(body)[1] | {"certificate_pem": made}

    return answer


def swapped_ca(office: Office, tmp: Path) -> Answer:
    def answer(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return 200, office.grant(body)[1] | {"ca_pem": ca.create(tmp / "foreign").certificate_pem.decode()}

    return answer


def refusal(_office: Office, _tmp: Path) -> Answer:
    return lambda _body: (403, {"error": "the claim is unknown, used or over"})


def nonsense(_office: Office, _tmp: Path) -> Answer:
    return lambda _body: (200, {"gateway": 5})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (foreign_key, "belongs to another key"),
        (foreign_name, "the certificate is for"),
        (foreign_authority, "not issued by the authority"),
        (swapped_ca, "not the one in the claim"),
        (refusal, r"refused \(403\): the claim is unknown, used or over"),
        (nonsense, "answer cannot be read"),
    ],
)
def test_wrong_answers_leave_no_identity(
    office: Office, state: Path, tmp_path: Path, make: Callable[[Office, Path], Answer], why: str
) -> None:
    office.answer = make(office, tmp_path)
    with pytest.raises(ProvisionError, match=why):
        claim_identity(office.claim(), state)
    assert load_identity(state) is None
    office.answer = office.grant  # and the next attempt succeeds
    assert claim_identity(office.claim(), state).place.gateway == "gw-7"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must begin with"),
        ("feldsher2.abcd", "must begin with"),
        ("feldsher1.%%%", "damaged"),
        ("feldsher1.e30", "damaged"),
    ],
)
def test_a_damaged_claim_is_named(text: str, why: str) -> None:
    with pytest.raises(ProvisionError, match=why) as caught:
        parse_claim(text)
    assert "secret" not in str(caught.value).replace("`secret`", "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"url": "http://cloud.example"}, "only https"),
        ({"url": "ftp://127.0.0.1"}, "no http"),
        ({"url": "https://"}, "no http"),
        ({"gateway": "../etc"}, "gateway id"),
    ],
)
def test_a_claim_that_would_do_harm_is_refused(office: Office, fields: dict[str, str], why: str) -> None:
    with pytest.raises(ProvisionError, match=why) as caught:
        parse_claim(office.claim(**fields))
    assert SECRET not in str(caught.value)


def test_plain_http_is_accepted_on_this_machine(office: Office) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert parse_claim(office.claim(url=f"http://{host}:1")).gateway == "gw-7"


def test_a_server_that_does_not_answer_is_named(office: Office, state: Path) -> None:
    with pytest.raises(ProvisionError, match=r"127\.0\.0\.1:1 cannot be reached"):
        claim_identity(office.claim(url="https://127.0.0.1:1"), state)


def test_a_damaged_identity_is_named(office: Office, state: Path) -> None:
    claim_identity(office.claim(), state)
    (state / "identity" / "gateway.json").write_text("{")
    with pytest.raises(ProvisionError, match="claim the gateway anew"):
        load_identity(state)
