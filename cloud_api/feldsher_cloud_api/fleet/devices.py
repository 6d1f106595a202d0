"""Devices as the fleet's pages and programs see them: state, battery, check and periods; never whose, never a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from feldsher_cloud_api import access, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir.outcome import FhirError

MOST = 100
"""Lines of one history on a device's page."""
_queries = db.queries("fleet")


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its newest word.

    `life`: ready, to_clean, retired. `state`: present, absent, busy, fault, None where it never said. `heard_at`: when
    the cloud last took something of it; `measured_at`: when it last measured. `battery`: percent. `unassigned`:
    measurements of it that belong to nobody. `assigned`: to how many people it is assigned now, since `assigned_since`.
    """

    id: UUID
    address: str
    label: str | None
    kind: str
    model: str | None
    life: str
    life_at: datetime | None
    cleaned_at: datetime | None
    replaced_by: UUID | None
    gateway: str | None
    local_name: str | None
    heard_at: datetime | None
    state: str | None
    detail: str | None
    firmware: str | None
    battery: int | None
    battery_at: datetime | None
    measured_at: datetime | None
    calibrated_on: date | None
    calibration_due: date | None
    unassigned: int
    assigned: int
    assigned_since: datetime | None

    @property
    def name(self) -> str:
        """What people call it: the sticker, else the address."""
        return self.label or self.address


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when a device was assigned to somebody, and which user number of it."""

    since: datetime
    until: datetime | None
    user: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One metrological check as entered."""

    done_on: date
    months: int
    due_on: date
    done_by: str
    certificate: str
    entered_by: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which devices a list shows; None: whatever it is. `named`: part of sticker, address or model."""

    kind: str | None = None
    life: str | None = None
    gateway: str | None = None
    assigned: bool | None = None
    named: str | None = None
    only: tuple[UUID, ...] | None = None

    def values(self) -> dict[str, Any]:
        """Return the conditions as a query's parameters."""
        return dataclasses.asdict(self) | {"only": None if self.only is None else list(self.only)}


def page(
    connection: db.Connection, wanted: Wanted, now: datetime, *, after: UUID | None = None, most: int = 50
) -> tuple[list[Device], int]:
    """Return up to `most` devices after one in order of id, and how many there are in all."""
    values = wanted.values() | {"now": now}
    total = int(_queries.device_count(connection, **values))
    return _rows(connection, values | {"after": after, "most": most}), total


def _rows(connection: db.Connection, values: dict[str, Any]) -> list[Device]:
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(_queries.devices.sql.encode(), values).fetchall()


def every(connection: db.Connection, now: datetime) -> Iterator[Device]:
    """Yield all devices in order of id, a page at a time."""
    after: UUID | None = None
    while found := page(connection, Wanted(), now, after=after, most=500)[0]:
        yield from found
        after = found[-1].id


def one(connection: db.Connection, device: UUID, now: datetime) -> Device:
    """Return a device; FhirError 404 where there is none."""
    found, _ = page(connection, Wanted(only=(device,)), now)
    if not found:
        raise FhirError(404, "not-found", "there is no such device")
    return found[0]


def kind(connection: db.Connection, device: UUID) -> str:
    """Return a device's kind; FhirError 404 where there is no such device."""
    row = connection.execute("SELECT kind FROM cloud.device WHERE id = %s", (device,)).fetchone()
    if row is None:
        raise FhirError(404, "not-found", "there is no such device")
    return str(row[0])


def plain(device: Device) -> dict[str, Any]:
    """Return a device as JSON's values."""
    return dataclasses.asdict(device) | {"name": device.name}


def periods(connection: db.Connection, device: UUID) -> tuple[Period, ...]:
    """Return when a device was assigned to somebody, newest first."""
    return tuple(Period(*row) for row in _queries.periods(connection, device=device, most=MOST))


def checks(connection: db.Connection, device: UUID) -> tuple[Check, ...]:
    """Return the metrological checks of a device, newest first."""
    return tuple(Check(*row) for row in _queries.calibrations(connection, device=device, most=MOST))


def lives(connection: db.Connection, now: datetime) -> dict[str, int]:
    """Return how many devices are assigned, ready, to be cleaned, retired."""
    return dict(_queries.device_lives(connection, now=now))


@dataclass(frozen=True, slots=True)
class Cardiograph:
    """A device that an ECG can be ordered from."""

    id: UUID
    label: str


def cardiographs(connection: db.Connection, who: Principal) -> tuple[Cardiograph, ...]:
    """Return the cardiographs that an order can reach; Forbidden for who may not order."""
    access.permit(who, "ServiceRequest", "create")
    return tuple(Cardiograph(row[0], f"{row[1]} · {row[2]}") for row in _queries.cardiographs(connection))
