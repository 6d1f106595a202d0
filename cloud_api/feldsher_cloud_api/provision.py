"""Provisioning: a one-time claim lets a gateway's own key be certified.

A claim is `feldsher1.` and base64url of JSON {url, gateway, secret, ca_sha256}. Only the secret's SHA-256 is stored; it
is compared in constant time, good once and for a limited time. The certificate's name is the gateway's, whatever the
request says.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from cryptography import x509
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from feldsher_ehr_core.ids import CANARY, gateway_id, is_canary
from pydantic import BaseModel, Field

from feldsher_cloud_api import access, auth, ca, db, gateway_keys, limits, originals
from feldsher_cloud_api.auth import CurrentContext
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import tasks

PREFIX = "feldsher1."
Revoked = Literal["unknown", "unclaimed", "revoked"]
"""What a revocation met: no such gateway, one without a certificate, or one whose certificate is now on the list."""
_queries, _certificates = db.queries("provision"), db.queries("certificate")
_log = structlog.get_logger()
router = APIRouter(prefix="/provision")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a technician carries to a gateway."""

    url: str
    gateway: str
    secret: str
    ca_sha256: str

    def text(self) -> str:
        """Return the claim as one word."""
        parts = {"url": self.url, "gateway": self.gateway, "secret": self.secret, "ca_sha256": self.ca_sha256}
        return PREFIX + base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


class ClaimRequest(BaseModel):
    """What a gateway sends: the claim's secret and a certificate request (PEM) for its own key."""

    secret: str = Field(min_length=20, max_length=200)
    csr: str = Field(min_length=1, max_length=10_000)
    gateway: str | None = Field(default=None, max_length=63)


def add_gateway(
    connection: db.Connection, settings: Settings, authority: ca.CertificateAuthority, name: str, description: str
) -> Claim:
    """Register a gateway, or give a registered one a new claim, and return the claim: it is shown only now.

    That a registered one is to forget everything is taken back: it would be told to whatever bears the name by then.
    """
    gateway = gateway_id(name)
    if is_canary(gateway):
        raise ValueError(f"gateway id: {name!r} begins with {CANARY!r}; such names are the test alarms' own")
    secret = secrets.token_urlsafe(32)
    tasks.to_be_claimed(connection, gateway, settings.clock())
    _queries.add_gateway(
        connection,
        id=gateway,
        name=description,
        claim_hash=auth.digest(secret),
        claim_expires=settings.clock() + settings.claim_life,
    )
    return Claim(settings.api_url, gateway, secret, authority.pin)


def revoke_gateway(
    connection: db.Connection, authority: ca.CertificateAuthority, gateway: str, now: datetime
) -> Revoked:
    """Revoke a gateway's certificates and open claim; what then has to happen at the broker is revocation.enforce."""
    row = _queries.revoke_gateway(connection, id=gateway, now=now)
    if row is None:
        return "unknown"
    tasks.revoked(connection, gateway, now)
    for (serial,) in list(_certificates.revoke_all(connection, gateway=gateway, but="", now=now)):
        authority.revoke(int(serial))
    return "unclaimed" if row[0] is None else "revoked"


def gateways(connection: db.Connection) -> list[tuple[Any, ...]]:
    """Return (id, name, state, state_at, claimed_at, certificate_expires, revoked_at, report) of every gateway."""
    return list(_queries.gateways(connection))


def attach_device(connection: db.Connection, gateway: str, device: UUID, local_name: str) -> None:
    """Note that a gateway reaches a device under a name."""
    _queries.attach_device(connection, gateway=gateway, device=device, local_name=local_name)


@router.get("/ca")
def authority_certificate(of: CurrentContext) -> Response:
    """Return the authority's certificate: a gateway checks it against its claim's pin before it believes anything."""
    return Response(ca.load(of.settings.ca_directory).certificate_pem, media_type="application/x-pem-file")


class _RefusedError(Exception):
    """Why a claim is not granted; raised inside the transaction, so that the claim stays as it was."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@router.post("/claim")
def claim(asked: ClaimRequest, request: Request, of: CurrentContext) -> Response:
    """Certify a gateway's key for a claim's secret, once."""
    now = of.settings.clock()
    if not of.brake.allows(limits.address(request), now):
        return JSONResponse({"error": "too many attempts"}, 429, headers={"Retry-After": "30"})
    authority = ca.load(of.settings.ca_directory, of.settings.clock)
    try:
        with access.nobody(of.pool) as connection:
            gateway, certificate, former = _grant(connection, authority, asked, now)
            answer = granted(connection, of.settings, gateway, certificate, authority)
    except _RefusedError as error:
        _log.warning("claim_refused", status=error.status)
        return JSONResponse({"error": str(error)}, error.status)
    for serial in former:  # only now: had the transaction failed, the former certificate would still be needed
        authority.revoke(int(serial))
    _log.info("gateway_claimed", gateway=gateway)
    return JSONResponse(answer)


def _grant(
    connection: db.Connection, authority: ca.CertificateAuthority, asked: ClaimRequest, now: datetime
) -> tuple[str, bytes, list[str]]:
    """Return the gateway, its new certificate, and the serial numbers of those it had."""
    # The update is the test: of two gateways with one claim the database lets one through.
    row = _queries.take_claim(connection, claim_hash=auth.digest(asked.secret), now=now)
    if row is None:
        raise _RefusedError(403, "the claim is unknown, used or over")
    gateway: str = row[0]
    if asked.gateway not in (None, gateway):
        raise _RefusedError(403, "the claim is another gateway's")
    try:
        certificate = authority.sign_csr(asked.csr.encode(), gateway)
    except ca.CaError as error:
        raise _RefusedError(400, str(error)) from error
    serial = remember(connection, gateway, certificate, now, used_at=now)
    former = [r[0] for r in _certificates.revoke_all(connection, gateway=gateway, but=serial, now=now)]
    _certificates.current(connection, serial=serial)
    _queries.claimed(connection, id=gateway)
    return gateway, certificate, former


def remember(
    connection: db.Connection,
    gateway: str,
    certificate: bytes,
    now: datetime,
    *,
    replaces: str | None = None,
    used_at: datetime | None = None,
) -> str:
    """Enter an issued certificate (PEM), to be able to revoke it, and return its serial number."""
    serial = str(ca.serial(certificate))
    expires = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    _certificates.issued(
        connection, serial=serial, gateway=gateway, pem=certificate.decode(), now=now, expires=expires,
        replaces=replaces, used_at=used_at,
    )  # fmt: skip
    return serial


def granted(
    connection: db.Connection, settings: Settings, gateway: str, certificate: bytes, authority: ca.CertificateAuthority
) -> dict[str, Any]:
    """Return the answer to a claim or a renewal: certificates, where the cloud is, and the keys of its word."""
    host, port = settings.gateway_broker()
    return {
        "certificate_pem": certificate.decode(),
        "ca_pem": authority.certificate_pem.decode(),
        "gateway": gateway,
        "mqtt_host": host,
        "mqtt_port": port,
        "api_url": settings.api_url,
        "word_keys": [gateway_keys.public_text(gateway_keys.word_key(settings))],
        "release_keys": [row[0] for row in _certificates.release_keys(connection)],
        "originals": originals.certificate(settings),
        "at_ms": int(settings.clock().timestamp() * 1000),
    }
