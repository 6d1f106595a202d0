"""Gateways as the fleet's pages and programs see them: life signs, clock, queue, losses, wanted beside reported."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet.limits import Limits

STATES = ("online", "offline", "never", "unclaimed", "revoked", "returning", "retired")
MOST = 100
"""Lines of one history on a gateway's page."""
_queries = db.queries("fleet")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway with its newest word.

    `state`: one of STATES. `clock`: synced, holdover, unsynced. `sources`: seconds since each source's last sign of
    life, as of `heard_at`. `config_*`, `update_*`: what is wanted, what the gateway reports, and how it stands.
    `lost_*`: what it says it had to drop lately. `slot`: which of its two program slots runs.
    """

    id: str
    name: str
    state: str
    heard_at: datetime | None
    clock: str | None
    software: str | None
    certificate_expires: datetime | None
    claim_expires: datetime | None
    outbox_rows: int | None
    outbox_bytes: int | None
    oldest_waiting: datetime | None
    sources: dict[str, float] | None
    config_wanted: int | None
    config_reported: int | None
    config_state: str | None
    config_detail: str | None
    update_wanted: int | None
    update_reported: int | None
    update_state: str | None
    update_detail: str | None
    slot: str | None
    open_tasks: int | None
    bundle_at: datetime | None
    lost_readings: int
    lost_messages: int
    revoked_at: datetime | None
    replaced_by: str | None
    devices: int


@dataclass(frozen=True, slots=True)
class Loss:
    """One record of what a gateway had to drop, by its own word."""

    told_at: datetime
    what: str
    why: str
    device: str | None
    count: int
    readings: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gateways a list shows; None: whatever it is. `named`: part of id or name."""

    state: str | None = None
    named: str | None = None
    only: tuple[str, ...] | None = None


def page(
    connection: db.Connection, wanted: Wanted, limits: Limits, now: datetime, *, after: str | None = None,
    most: int = 50,
) -> tuple[list[Gateway], int]:  # fmt: skip
    """Return up to `most` gateways after one in order of id, and how many there are in all."""
    values: dict[str, Any] = {
        "state": wanted.state, "named": wanted.named, "only": None if wanted.only is None else list(wanted.only)
    }  # fmt: skip
    total = int(_queries.gateway_count(connection, **values))
    values |= {"since": now - timedelta(days=limits.losses_days), "after": after, "most": most}
    with connection.cursor(row_factory=class_row(Gateway)) as cursor:
        return cursor.execute(_queries.gateways.sql.encode(), values).fetchall(), total


def one(connection: db.Connection, gateway: str, limits: Limits, now: datetime) -> Gateway:
    """Return a gateway; FhirError 404 where there is none."""
    found, _ = page(connection, Wanted(only=(gateway,)), limits, now)
    if not found:
        raise FhirError(404, "not-found", "there is no such gateway")
    return found[0]


def losses(connection: db.Connection, gateway: str) -> tuple[Loss, ...]:
    """Return what a gateway had to drop, by its own word, newest first."""
    return tuple(Loss(*row) for row in _queries.losses(connection, gateway=gateway, most=MOST))


def states(connection: db.Connection) -> dict[str, int]:
    """Return how many gateways are in which state."""
    return dict(_queries.gateway_states(connection))


def plain(gateway: Gateway) -> dict[str, Any]:
    """Return a gateway as JSON's values."""
    return dataclasses.asdict(gateway)
