"""Renewal: the time for gateways without a clock, and a new certificate for a new key before the old one ends.

A successor is on trial until its gateway says that it has connected with it; only then the old certificate may not
renew any more. So whatever is lost on the way, one of the two is good, and a copy of an old key is soon worth nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from feldsher_ehr_core import signed
from pydantic import BaseModel, Field

from feldsher_cloud_api import access, ca, db, gateway_keys, provision
from feldsher_cloud_api.auth import CurrentContext
from feldsher_cloud_api.gateway_auth import Caller, CallingGateway, GatewayRefusedError, RenewingGateway

_queries = db.queries("certificate")
_log = structlog.get_logger()
router = APIRouter(prefix="/provision")


class TimeQuestion(BaseModel):
    """A gateway's question for the time; `nonce`: 16 to 64 random bytes, hexadecimal."""

    nonce: str = Field(pattern="^([0-9a-f]{2}){16,64}$")


class RenewRequest(BaseModel):
    """A certificate request (PEM) for the gateway's next key."""

    csr: str = Field(min_length=1, max_length=10_000)


@router.post("/time")
def time(asked: TimeQuestion, of: CurrentContext) -> dict[str, Any]:
    """Return the time, signed together with the question: for gateways whose own clock cannot check a certificate."""
    now_us = int(of.settings.clock().timestamp() * 1_000_000)
    said = signed.time(bytes.fromhex(asked.nonce), now_us)
    return {"unix_us": now_us, "signature": gateway_keys.sign(gateway_keys.word_key(of.settings), said).hex()}


@router.post("/renew")
def renew(asked: RenewRequest, caller: RenewingGateway, of: CurrentContext) -> Response:
    """Certify a gateway's next key; asked again for the same key it answers with the same certificate."""
    now = of.settings.clock()
    authority = ca.load(of.settings.ca_directory, of.settings.clock)
    with access.nobody(of.pool) as connection:
        certificate, given_up = _successor(connection, authority, asked.csr.encode(), caller, now)
        answer = provision.granted(connection, of.settings, caller.gateway, certificate, authority)
    for serial in given_up:  # only now: had the transaction failed, it would still be good
        authority.revoke(int(serial))
    _log.info("gateway_renewed", gateway=caller.gateway, expired=caller.expired)
    return JSONResponse(answer)


def _successor(
    connection: db.Connection, authority: ca.CertificateAuthority, csr: bytes, caller: Caller, now: datetime
) -> tuple[bytes, list[str]]:
    """Return the certificate for a gateway's next key, and the serial numbers of successors given up for it."""
    _queries.lock(connection, gateway=caller.gateway)
    try:
        certificate = authority.sign_csr(csr, caller.gateway)
    except ca.CaError as error:
        raise GatewayRefusedError(400, "csr", str(error)) from error
    waiting = _queries.successor(connection, serial=caller.serial)
    if waiting is not None and waiting[1] is not None and _key(waiting[1].encode()) == _key(certificate):
        return waiting[1].encode(), []
    if waiting is not None:
        _queries.revoke_one(connection, serial=waiting[0], now=now)
    provision.remember(connection, caller.gateway, certificate, now, replaces=caller.serial)
    return certificate, [waiting[0]] if waiting is not None else []


def _key(certificate: bytes) -> bytes:
    key = x509.load_pem_x509_certificate(certificate).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@router.post("/confirm")
def confirm(caller: CallingGateway, of: CurrentContext) -> dict[str, str]:
    """Note that a gateway works with the certificate that signs this; its others may not renew any more."""
    now = of.settings.clock()
    with access.nobody(of.pool) as connection:
        _queries.lock(connection, gateway=caller.gateway)
        _queries.use(connection, serial=caller.serial, now=now)
        _queries.supersede(connection, gateway=caller.gateway, serial=caller.serial, now=now)
        _queries.current(connection, serial=caller.serial)
    return {"gateway": caller.gateway, "serial": caller.serial}
