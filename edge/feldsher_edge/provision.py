"""From a one-time claim to this gateway's identity: the key is made here and never leaves; the cloud signs its CSR.

A claim pins the cloud's certificate authority, so the first contact needs no other trust: the authority's certificate
is fetched over an unverified connection, compared with the pin, and only then the secret is sent over a verified one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import http.client
import os
import shutil
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from feldsher_ehr_core.ids import gateway_id

PREFIX = "feldsher1."
_TIMEOUT_S = 15.0
_LARGEST = 65_536


class ProvisionError(Exception):
    """Why there is no identity; the text says what the technician can do."""


class Claim(msgspec.Struct, frozen=True):
    """What `feldsher-cloud gateway add` prints. `ca_sha256`: of the authority's certificate (DER), hexadecimal."""

    url: str
    gateway: str
    secret: str
    ca_sha256: str


class Granted(msgspec.Struct, frozen=True):
    """The cloud's answer to a claim."""

    certificate_pem: str
    ca_pem: str
    gateway: str
    mqtt_host: str
    mqtt_port: int


class Place(msgspec.Struct, frozen=True):
    """What is stored beside key and certificates: who this gateway is and where its broker."""

    gateway: str
    mqtt_host: str
    mqtt_port: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A stored identity: its facts and the files of key and certificates."""

    place: Place
    ca: Path
    certificate: Path
    key: Path


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
    _target(claim.url)
    return claim


def load_identity(state: Path) -> Identity | None:
    """Return the identity in a state directory, or None where there is none; ProvisionError if damaged."""
    directory = state / "identity"
    if not directory.exists():
        return None
    try:
        place = msgspec.json.decode((directory / "gateway.json").read_bytes(), type=Place)
    except (OSError, msgspec.DecodeError) as error:
        raise ProvisionError(f"{directory}: damaged ({error}); claim the gateway anew with --force") from error
    return Identity(place, directory / "ca.pem", directory / "certificate.pem", directory / "key.pem")


def claim_identity(text: str, state: Path, *, force: bool = False) -> Identity:
    """Exchange a claim for an identity in `state`; nothing is changed where a step fails.

    An existing identity is kept (ProvisionError) unless `force`, which moves it aside.
    """
    claim = parse_claim(text)
    if (state / "identity").exists() and not force:
        raise ProvisionError(f"{state / 'identity'} exists: this gateway has an identity; --force replaces it")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = state / "identity.new"
    key = _make_key(fresh)
    ca_pem = _pinned_ca(claim)
    granted = _exchange(claim, ca_pem, _csr(key, claim.gateway))
    _check(claim, granted, key)
    _write(fresh / "certificate.pem", granted.certificate_pem.encode())
    _write(fresh / "ca.pem", granted.ca_pem.encode())
    place = Place(granted.gateway, granted.mqtt_host, granted.mqtt_port)
    _write(fresh / "gateway.json", msgspec.json.encode(place))
    _put_in_place(fresh, state)
    identity = load_identity(state)
    if identity is None:
        raise ProvisionError(f"{state / 'identity'} vanished")
    return identity


def _make_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Return a new key, stored before it is used; one left by an interrupted claim is replaced."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    no_password = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    _write(directory / "key.pem", pem)
    return key


def _csr(key: ec.EllipticCurvePrivateKey, gateway: str) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _pinned_ca(claim: Claim) -> str:
    """Fetch the authority's certificate, which only the pin makes trusted."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE  # nothing secret is sent, and the answer is compared with the pin
    pem = _request("GET", claim.url, "/provision/ca", None, blind).decode("ascii", "replace")
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
    context = ssl.create_default_context(cadata=ca_pem)
    body = msgspec.json.encode({"gateway": claim.gateway, "secret": claim.secret, "csr": csr})
    answer = _request("POST", claim.url, "/provision/claim", body, context)
    try:
        return msgspec.json.decode(answer, type=Granted)
    except msgspec.DecodeError as error:
        raise ProvisionError(f"the server's answer cannot be read: {error}") from error


def _check(claim: Claim, granted: Granted, key: ec.EllipticCurvePrivateKey) -> None:
    _check_pin(granted.ca_pem, claim.ca_sha256)
    try:
        certificate = x509.load_pem_x509_certificate(granted.certificate_pem.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(granted.ca_pem.encode()))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ProvisionError("the certificate was not issued by the authority in the claim") from error
    if certificate.public_key() != key.public_key():
        raise ProvisionError("the certificate belongs to another key")
    names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [claim.gateway] or granted.gateway != claim.gateway:
        raise ProvisionError(f"the certificate is for {names}, the claim for {claim.gateway!r}")


def _target(url: str) -> tuple[bool, str, int, str]:
    """Return (TLS, host, port, path) of an address; plain HTTP is accepted for this machine alone."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ProvisionError(f"claim: {url!r} is no http(s) address")
    secure = parts.scheme == "https"
    if not secure and not _is_loopback(host):
        raise ProvisionError(f"claim: {url!r} would send the secret unencrypted; only https is accepted")
    return secure, host, parts.port or (443 if secure else 80), parts.path.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request(method: str, url: str, path: str, body: bytes | None, context: ssl.SSLContext) -> bytes:
    secure, host, port, base = _target(url)
    if secure:
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, base + path, body, headers)
        response = connection.getresponse()
        answer = response.read(_LARGEST)
    except (OSError, http.client.HTTPException) as error:
        raise ProvisionError(f"{host}:{port} cannot be reached: {error}") from error
    finally:
        connection.close()
    if response.status >= 300:
        raise ProvisionError(f"the server refused ({response.status}): {_reason(answer)}")
    return answer


def _reason(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer, type=dict[str, object])["error"])
    except (msgspec.DecodeError, KeyError):
        return answer[:200].decode("utf-8", "replace")


def _write(path: Path, data: bytes) -> None:
    """Write a file of mode 600 through to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(fresh: Path, state: Path) -> None:
    """Give the complete new identity its name; a former one is moved aside and kept."""
    current = state / "identity"
    if current.exists():
        n = 1
        while (aside := state / f"identity.old-{n}").exists():
            n += 1
        current.rename(aside)
    fresh.rename(current)
    handle = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
