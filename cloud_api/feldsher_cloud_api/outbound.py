"""What this server fetches from others on the way of a sign-in: JSON over HTTPS, small, soon, and not redirected."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

MOST_BYTES = 256 * 1024
PATIENCE_S = 5.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class OutboundError(OSError):
    """Another server did not answer as it should; the text names its host, never what was sent."""


def allowed(uri: str) -> bool:
    """Return whether an address may be fetched: HTTPS, or plain HTTP on this machine."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return bool((parts.scheme == "https" or plain) and parts.hostname and port != 0) and not (
        parts.username or parts.password or parts.fragment
    )


def fetch_json(uri: str, form: bytes | None = None, headers: Mapping[str, str] | None = None) -> Any:
    """Return the JSON at an address (POST with a form where one is given); OutboundError where there is none.

    One answer of at most MOST_BYTES is read, redirects are not followed, and the certificate is verified.
    """
    if not allowed(uri):
        raise OutboundError("the address is not https://")
    parts = urlsplit(uri)
    assert parts.hostname is not None  # noqa: S101 - `allowed` has seen one
    connection = (
        http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=PATIENCE_S, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    )
    sent = {"Accept": "application/json", "User-Agent": "feldsher"} | dict(headers or {})
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET" if form is None else "POST", path, form, sent)
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise OutboundError(f"{parts.hostname} does not answer") from error
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > MOST_BYTES:
        raise OutboundError(f"{parts.hostname} answers {answer.status} with {len(body)} bytes")
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise OutboundError(f"{parts.hostname} does not answer with JSON") from error


@dataclass(slots=True)
class Remembered:
    """Documents of a few other servers, fetched again after an hour; those that the configuration names, no others."""

    life: timedelta = timedelta(hours=1)
    _kept: dict[str, tuple[datetime, Any]] = field(default_factory=dict[str, tuple[datetime, Any]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, uri: str, now: datetime) -> Any:
        """Return the JSON at an address; OutboundError where there is none and none is remembered."""
        with self._lock:
            at, kept = self._kept.get(uri, (None, None))
        if at is not None and now - at < self.life:
            return kept
        found = fetch_json(uri)
        with self._lock:
            self._kept[uri] = (now, found)
        return found
