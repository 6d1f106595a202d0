"""From a one-time claim to this gateway's identity: the key is made here and never leaves; the cloud signs its CSR.

A claim pins the cloud's certificate authority, so the first contact needs no other trust: the authority's certificate
is fetched over an unverified connection, compared with the pin, and only then the secret is sent over a verified one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from feldsher_ehr_core.ids import gateway_id

from feldsher_edge import identity, tls
from feldsher_edge.api import request, target
from feldsher_edge.clock import SystemClock
from feldsher_edge.identity import Identity, Place, ProvisionError, load_identity

PREFIX = "feldsher1."


class Claim(msgspec.Struct, frozen=True):
    """What `feldsher-cloud gateway add` prints. `ca_sha256`: of the authority's certificate (DER), hexadecimal."""

    url: str
    gateway: str
    secret: str
    ca_sha256: str


class Granted(msgspec.Struct, frozen=True):
    """The cloud's answer to a claim or a renewal; `at_ms`: when by its clock, ms since 1970."""

    certificate_pem: str
    ca_pem: str
    gateway: str
    mqtt_host: str
    mqtt_port: int
    api_url: str = ""
    word_keys: tuple[str, ...] = ()
    release_keys: tuple[str, ...] = ()
    originals: str = ""
    at_ms: int = 0


def parse_claim(text: str) -> Claim:
    """Return the claim of a text; ProvisionError says what is wrong with it, without showing its secret."""
    text = "".join(text.split())  # copied from a terminal it may be broken over lines
    if not text.startswith(PREFIX):
        raise ProvisionError(f"claim: it must begin with {PREFIX!r}; copy the whole line that `gateway add` printed")
    body = text.removeprefix(PREFIX)
    try:
        claim = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Claim)
        gateway_id(claim.gateway)
    except (binascii.Error, ValueError) as error:
        raise ProvisionError(f"claim: damaged or not complete: {error}") from error
    target(claim.url)
    return claim


def claim_identity(text: str, state: Path, *, force: bool = False) -> Identity:
    """Exchange a claim for an identity in `state`; nothing is changed where a step fails.

    An existing identity is kept (ProvisionError) unless `force`, which moves it aside.
    """
    claim = parse_claim(text)
    standing = identity.settle(state)
    if standing != "none" and not force:
        raise ProvisionError(f"{identity.at(state)} exists: this gateway has an identity; --force replaces it")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity.drop_next(state)
    key = identity.next_key(state)
    ca_pem = _pinned_ca(claim)
    granted = _exchange(claim, ca_pem, identity.request_pem(key, claim.gateway))
    _check_pin(granted.ca_pem, claim.ca_sha256)
    check_granted(granted, claim.gateway, granted.ca_pem, key)
    place = Place(
        granted.gateway,
        granted.mqtt_host,
        granted.mqtt_port,
        granted.api_url or claim.url,
        granted.word_keys,
        granted.release_keys,
        granted.originals,
        granted.at_ms,
    )
    identity.write_next(state, granted.certificate_pem, granted.ca_pem, place)
    identity.replace(state)
    made = load_identity(state)
    if made is None:
        raise ProvisionError(f"{identity.at(state)} vanished")
    return made


def _pinned_ca(claim: Claim) -> str:
    """Fetch the authority's certificate, which only the pin makes trusted."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # nothing secret is sent, and the answer is compared with the pin
    pem = request("GET", claim.url, "/provision/ca", None, blind).decode("ascii", "replace")
    _check_pin(pem, claim.ca_sha256)
    return pem


def _check_pin(pem: str, pin: str) -> None:
    try:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError as error:
        raise ProvisionError(f"the server's authority is no certificate: {error}") from error
    if digest != pin.lower():
        raise ProvisionError("the server's authority is not the one in the claim: wrong address, or someone in between")


def _exchange(claim: Claim, ca_pem: str, csr: str) -> Granted:
    body = msgspec.json.encode({"gateway": claim.gateway, "secret": claim.secret, "csr": csr})
    clock = SystemClock()
    # A new gateway may not know the time yet: then the pinned authority alone tells that the server is the right one.
    now = (lambda: datetime.now(UTC)) if clock.quality() == "synced" else None
    return read_granted(request("POST", claim.url, "/provision/claim", body, tls.context(ca_pem, now)))


def read_granted(answer: bytes) -> Granted:
    """Return the cloud's answer; ProvisionError where it cannot be read."""
    try:
        return msgspec.json.decode(answer, type=Granted)
    except msgspec.DecodeError as error:
        raise ProvisionError(f"the server's answer cannot be read: {error}") from error


def check_granted(granted: Granted, gateway: str, ca_pem: str, key: ec.EllipticCurvePrivateKey) -> None:
    """Raise ProvisionError where a certificate is not of the authority `ca_pem`, for this gateway and for this key."""
    try:
        certificate = x509.load_pem_x509_certificate(granted.certificate_pem.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_pem.encode()))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ProvisionError("the certificate was not issued by the authority in the claim") from error
    if certificate.public_key() != key.public_key():
        raise ProvisionError("the certificate belongs to another key")
    names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [gateway] or granted.gateway != gateway:
        raise ProvisionError(f"the certificate is for {names}, the claim for {gateway!r}")
