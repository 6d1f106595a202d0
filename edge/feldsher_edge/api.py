"""The cloud's HTTPS interface for gateways: the server is known by the pinned authority, the gateway by its key."""

from __future__ import annotations

import base64
import http.client
import secrets
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives import serialization
from feldsher_ehr_core import signed

from feldsher_edge import proxy, tls
from feldsher_edge.identity import Identity, ProvisionError
from feldsher_edge.signing import sign, verified
from feldsher_edge.true_time import TrueTime, TrueTimeError

TIMEOUT_S = 15.0
LARGEST = 65_536
"""Bytes of an answer that is read into memory; artefacts are read piece by piece."""


class RefusedError(ProvisionError):
    """The cloud has refused: `status` of HTTP, and its `code`, empty where it gave none."""

    def __init__(self, words: str, status: int, code: str) -> None:
        super().__init__(words)
        self.status, self.code = status, code


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""
    code: str = ""


class _Time(msgspec.Struct, frozen=True):
    unix_us: int
    signature: str


@dataclass(frozen=True, slots=True)
class Api:
    """The cloud as one gateway asks it. `identity`: whose key signs; calls block and raise ProvisionError."""

    identity: Identity
    time: TrueTime

    def ask_time(self) -> int:
        """Learn the time from the cloud and return by how many µs this machine's wall clock is behind it.

        The server's certificate cannot be judged by time yet; what makes the answer true is the cloud's signature over
        it and our question. ProvisionError where it does not fit.
        """
        place = self.identity.place
        nonce = secrets.token_bytes(16)
        body = msgspec.json.encode({"nonce": nonce.hex()})
        answer = request("POST", self._url(), "/provision/time", body, tls.context(self.identity.ca, None))
        try:
            told = msgspec.json.decode(answer, type=_Time)
            signature = bytes.fromhex(told.signature)
        except (msgspec.DecodeError, ValueError) as error:
            raise ProvisionError(f"the server's answer cannot be read: {error}") from error
        if not verified(place.word_keys, signature, signed.time(nonce, told.unix_us)):
            raise ProvisionError("the time was not signed by this gateway's cloud: somebody is in between")
        try:
            return self.time.learn(told.unix_us)
        except TrueTimeError as error:
            raise ProvisionError(str(error)) from error

    def post(self, path: str, value: object) -> bytes:
        """Send a value as JSON, signed, and return the answer; RefusedError where the cloud says no."""
        return self.send("POST", path, msgspec.json.encode(value), "application/json")

    def send(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        """Send a body, signed, and return the answer."""
        headers = self._headers(method, path, body) | {"Content-Type": kind}
        return request(method, self._url(), path, body, self._context(), headers)

    @contextmanager
    def download(self, path: str, start: int) -> Generator[http.client.HTTPResponse]:
        """Ask for a large body from byte `start` on, signed; RefusedError where the cloud says no."""
        headers = self._headers("GET", path, b"") | ({"Range": f"bytes={start}-"} if start else {})
        with _asked("GET", self._url(), path, None, self._context(), headers) as response:
            yield response

    def _url(self) -> str:
        if not self.identity.place.api_url:
            raise ProvisionError("the cloud's address is not known: the gateway was claimed long ago; claim it anew")
        return self.identity.place.api_url

    def _context(self) -> ssl.SSLContext:
        return tls.context(self.identity.ca, self.time.now)

    def _headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        at_us = self.time.now_us()
        der = self.identity.shown().public_bytes(serialization.Encoding.DER)
        signature = sign(self.identity.private(), signed.request(method, path, at_us, body))
        shown, proof = base64.b64encode(der).decode(), base64.b64encode(signature).decode()
        return {"Authorization": f"Feldsher-Gateway {shown} {at_us} {proof}"}


def request(
    method: str, url: str, path: str, body: bytes | None, context: ssl.SSLContext, headers: dict[str, str] | None = None
) -> bytes:
    """Return the answer to one request; ProvisionError says what failed, RefusedError that the server said no."""
    if headers is None:
        headers = {"Content-Type": "application/json"} if body is not None else {}
    with _asked(method, url, path, body, context, headers) as response:
        return response.read(LARGEST)


@contextmanager
def _asked(
    method: str, url: str, path: str, body: bytes | None, context: ssl.SSLContext, headers: dict[str, str]
) -> Generator[http.client.HTTPResponse]:
    secure, host, port, base = target(url)
    if secure:
        connection: Any = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    connection._create_connection = _through  # the one door of http.client to another way out
    try:
        connection.request(method, base + path, body, headers)
        response = connection.getresponse()
        if response.status >= 300:
            raise _refused(response.status, response.read(LARGEST))
        yield response
    except (OSError, http.client.HTTPException) as error:
        raise ProvisionError(f"{host}:{port} cannot be reached: {error}") from error
    finally:
        connection.close()


def _through(to: tuple[str, int], timeout: float, source: object = None) -> socket.socket:
    del source
    return proxy.connect(*to, timeout)


def _refused(status: int, answer: bytes) -> RefusedError:
    try:
        refusal = msgspec.json.decode(answer, type=_Refusal)
    except msgspec.DecodeError:
        refusal = _Refusal()
    words = refusal.error or answer[:200].decode("utf-8", "replace")
    return RefusedError(f"the server refused ({status}): {words}", status, refusal.code)


def target(url: str) -> tuple[bool, str, int, str]:
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
