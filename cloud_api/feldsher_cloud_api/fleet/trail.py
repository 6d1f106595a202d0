"""Who did what with a device or gateway: the fleet's own log for technicians, and the audit beside it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import store

_NOBODY = UUID(int=0)
_queries = db.queries("fleet")


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the log; no patient is in it."""

    at: datetime
    what: str
    detail: str
    by: str


def administrator() -> Principal:
    """Return who acts at the command line: the account of the machine."""
    return Principal(_NOBODY, "administrator", f"administrator {getpass.getuser()}", None, (), "cli")


def permit(who: Principal) -> None:
    """Raise Forbidden for everybody but technicians and the administrator at the command line."""
    access.permit_role(who, "technician", "administrator")


def person(who: Principal) -> UUID | None:
    """Return the account of who acts, None for the administrator, who has none."""
    return None if who.person == _NOBODY else who.person


def note(
    connection: db.Connection,
    who: Principal,
    what: str,
    now: datetime,
    *,
    device: UUID | None = None,
    gateway: str | None = None,
    detail: str = "",
    patient: UUID | None = None,
) -> None:
    """Write that somebody did something with a device or gateway; `patient`: whose record's audit it concerns too."""
    _queries.add_action(
        connection, id=store.new_id(now), at=now, gateway=gateway, device=device, what=what, detail=detail,
        by=who.display, person=person(who),
    )  # fmt: skip
    touched = [f"Device/{device}"] if device is not None else []
    kind = "device" if device is not None else "gateway"
    audit.record(connection, who, interaction=f"{kind}-{what}", action="U", now=now, resources=touched, patient=patient)


def of_device(connection: db.Connection, device: UUID, most: int) -> tuple[Action, ...]:
    """Return what was done with a device, newest first."""
    return tuple(Action(*row) for row in _queries.device_actions(connection, device=device, most=most))


def of_gateway(connection: db.Connection, gateway: str, most: int) -> tuple[Action, ...]:
    """Return what was done with a gateway, newest first."""
    return tuple(Action(*row) for row in _queries.gateway_actions(connection, gateway=gateway, most=most))
