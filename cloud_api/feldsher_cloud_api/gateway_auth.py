"""Who a gateway is over HTTPS: its request is signed with its certificate's key, inside the server's TLS.

Not mutual TLS: a certificate that has expired could not even complain there, and a proxy in front of us would hide it.
The header is `Authorization: Feldsher-Gateway <certificate, DER, base64> <time, µs> <signature, base64>`.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import Depends, Request
from feldsher_ehr_core import signed

from feldsher_cloud_api import access, ca, db, gateway_keys
from feldsher_cloud_api.auth import CurrentContext

SCHEME = "feldsher-gateway"
SKEW = timedelta(minutes=5)
"""How far a request's time may be from ours. Gateways ask us for the time first where their own clock is not set."""
GRACE = timedelta(days=180)
"""So long after its end a certificate may still renew itself (docs/decisions/0010); it may do nothing else."""
_queries = db.queries("certificate")


class GatewayRefusedError(Exception):
    """Why a gateway's request is not answered: HTTP status, a code for its program, and words for its technician."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Caller:
    """A gateway that has proved its name; `expired`: its certificate is past its end but within the grace."""

    gateway: str
    serial: str
    expired: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    certificate: x509.Certificate
    at_us: int
    signature: bytes


async def _body(request: Request) -> bytes:
    return await request.body()


def renewing(request: Request, of: CurrentContext, body: Annotated[bytes, Depends(_body)]) -> Caller:
    """Return the gateway that asks, its certificate in force or within the grace after its end."""
    now = of.settings.clock()
    shown = _shown(request.headers.get("authorization", ""))
    name = _name(shown.certificate, ca.load(of.settings.ca_directory, of.settings.clock))
    if abs(now.timestamp() - shown.at_us / 1e6) > SKEW.total_seconds():
        raise GatewayRefusedError(401, "clock", "the request's time is not ours; ask for the time first")
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    said = signed.request(request.method, target, shown.at_us, body)
    key = shown.certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not gateway_keys.verified(key, shown.signature, said):
        raise GatewayRefusedError(401, "signature", "the signature is not of the certificate's key over this request")
    with access.nobody(of.pool) as connection:
        _in_force(connection, name, str(shown.certificate.serial_number))
    return Caller(name, str(shown.certificate.serial_number), _expired(shown.certificate, now))


def calling(caller: Annotated[Caller, Depends(renewing)]) -> Caller:
    """Return the gateway that asks, with a certificate in force (a FastAPI dependency); else GatewayRefusedError."""
    if caller.expired:
        raise GatewayRefusedError(403, "expired", "the certificate has expired: renew it first")
    return caller


def _shown(header: str) -> _Shown:
    parts = header.split(" ")
    if len(parts) != 4 or parts[0].lower() != SCHEME:
        raise GatewayRefusedError(401, "unsigned", "the request is not signed by a gateway")
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(parts[1], validate=True))
        return _Shown(certificate, int(parts[2]), base64.b64decode(parts[3], validate=True))
    except (binascii.Error, ValueError) as error:
        raise GatewayRefusedError(401, "unsigned", f"the Authorization header cannot be read: {error}") from error


def _name(certificate: x509.Certificate, authority: ca.CertificateAuthority) -> str:
    """Return whose a certificate is; it must be of this authority, and for clients."""
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise GatewayRefusedError(403, "foreign", "the certificate was not issued by this authority") from error
    names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or len(names) != 1:
        raise GatewayRefusedError(403, "foreign", "the certificate is not a gateway's")
    return names[0]


def _expired(certificate: x509.Certificate, now: datetime) -> bool:
    if now > certificate.not_valid_after_utc + GRACE:
        words = f"the certificate ended more than {GRACE.days} days ago; claim the gateway anew"
        raise GatewayRefusedError(403, "expired", words)
    return now > certificate.not_valid_after_utc


def _in_force(connection: db.Connection, gateway: str, serial: str) -> None:
    row = _queries.standing(connection, serial=serial, gateway=gateway)
    if row is None:
        raise GatewayRefusedError(403, "unknown", "the certificate is not known here; claim the gateway anew")
    revoked, superseded = row
    if revoked:
        raise GatewayRefusedError(403, "revoked", "the gateway or its certificate is revoked; claim the gateway anew")
    if superseded:
        raise GatewayRefusedError(403, "superseded", "a newer certificate of this gateway is in use")


CallingGateway = Annotated[Caller, Depends(calling)]
RenewingGateway = Annotated[Caller, Depends(renewing)]
