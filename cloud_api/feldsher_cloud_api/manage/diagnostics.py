"""Diagnostics bundles: asked for by a person, sent by the gateway, kept for a month; nothing personal is in them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from feldsher_ehr_core import wire

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.gateway_auth import GatewayRefusedError
from feldsher_cloud_api.manage import tasks
from feldsher_cloud_api.manage.tasks import Asker

LIFE = timedelta(days=2)
"""So long a gateway that is away may still answer; who asked has gone on to something else by then."""
KEPT = timedelta(days=30)
LARGEST = 1_000_000
"""Bytes of a bundle; a gateway with twenty devices makes one of ten thousand."""
_LARGEST_UNPACKED, _MOST_PARTS = 20_000_000, 50
_queries = db.queries("diagnostics")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was received; its bytes: `content`."""

    id: UUID
    gateway: str
    received_at: datetime
    keep_until: datetime
    size: int
    sha256: str
    asked_by: str
    reason: str


def ask(connection: db.Connection, gateway: str, asker: Asker, *, reason: str, now: datetime) -> UUID:
    """Ask a gateway for a bundle and return the task's id; TaskError where it cannot be asked."""
    message = wire.Diagnose(**tasks.head(now))
    return tasks.ask(connection, gateway, message, asker, reason=reason, now=now, life=LIFE)


def receive(connection: db.Connection, gateway: str, data: bytes, now: datetime) -> None:
    """Keep the bundle that a gateway was asked for; repeating it is harmless, GatewayRefusedError where nobody asked.

    `connection`: the gateway's own (access.gateway).
    """
    check(data)
    asked = tasks.open_of_kind(connection, gateway, "diagnose", now)
    if not asked:
        raise GatewayRefusedError(409, "not-asked", "nobody has asked for a bundle, or it was too long ago")
    digest = hashlib.sha256(data).hexdigest()
    _queries.add(
        connection, id=store.new_id(now), gateway=gateway, task=asked[0], now=now, keep_until=now + KEPT,
        size=len(data), sha256=digest, content=data,
    )  # fmt: skip


def check(data: bytes) -> None:
    """Raise GatewayRefusedError where bytes are no bundle of a reasonable size, packed and unpacked."""
    if len(data) > LARGEST:
        raise GatewayRefusedError(413, "too-large", f"a bundle of {len(data)} bytes, more than {LARGEST}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            infos = parts.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise GatewayRefusedError(400, "no-bundle", f"not a ZIP file: {error}") from error
    if len(infos) > _MOST_PARTS or sum(i.file_size for i in infos) > _LARGEST_UNPACKED:
        raise GatewayRefusedError(413, "too-large", "the bundle has too many parts, or grows too large unpacked")


def bundles(connection: db.Connection, gateway: str) -> list[Bundle]:
    """Return the bundles of a gateway, newest first."""
    return [Bundle(*row) for row in _queries.bundles(connection, gateway=gateway)]


def content(connection: db.Connection, bundle: UUID) -> bytes | None:
    """Return the bytes of a bundle, None where there is none (any more)."""
    found = _queries.content(connection, id=bundle)
    return None if found is None else bytes(found)


def purge(connection: db.Connection, now: datetime) -> int:
    """Delete the bundles that need not be kept any more and return how many there were."""
    with connection.transaction():
        return int(_queries.purge(connection, now=now))
