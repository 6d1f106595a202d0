"""From a claim to an identity, against a real TLS server; and everything that must make the gateway refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from feldsher_cloud_api import ca
from feldsher_edge.identity import ProvisionError, load_identity
from feldsher_edge.provision import claim_identity, parse_claim
from feldsher_tools.office import SECRET, Answer, Office


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
    assert not (state / "identity.next").exists()


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
    office.answers["/base/provision/claim"] = make(office, tmp_path)
    with pytest.raises(ProvisionError, match=why):
        claim_identity(office.claim(), state)
    assert load_identity(state) is None
    office.answers["/base/provision/claim"] = office.claimed  # and the next attempt succeeds
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
