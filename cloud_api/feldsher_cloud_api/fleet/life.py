"""The life of a device in the cloud: registered, checked, handed over, shared, taken back, emptied, replaced, retired.

Readings never change hands by any of it: each belongs to whom the device was assigned to when it measured.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from feldsher_ehr_core.ids import device_key

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import trail
from feldsher_cloud_api.project import common

KINDS = ("cuff", "cardiograph", "oximeter", "thermometer", "scale", "glucometer", "belt", "unknown")
_AHEAD = timedelta(hours=14)
"""By how much the first place on Earth is ahead of UTC: there, the technician's today is our tomorrow."""
_queries, _assignments = db.queries("fleet"), db.queries("assignment")


class LifeError(ValueError):
    """Why something cannot be done with a device or gateway; `code` is for the pages' words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Calibration:
    """A metrological check: on which day, by whom, its certificate's number, and after how many months again."""

    done_on: date
    months: int
    done_by: str
    certificate: str

    @property
    def due_on(self) -> date:
        """The day on which the next one is due: the same day `months` later, or that month's last."""
        years, month = divmod(self.done_on.month - 1 + self.months, 12)
        year, month = self.done_on.year + years, month + 1
        return date(year, month, min(self.done_on.day, calendar.monthrange(year, month)[1]))


def register(
    connection: db.Connection, *, gateway: str, address: str, kind: str, now: datetime, model: str | None = None,
    label: str | None = None,
) -> UUID:  # fmt: skip
    """Register a device that a gateway reaches and return its Device id; repeating it is harmless.

    `address`: its Bluetooth address or system id, or the name under which the gateway's configuration knows it.
    LifeError where there is no such kind.
    """
    if kind not in KINDS:
        raise LifeError("kind", f"kind: {kind!r} is not one of {', '.join(KINDS)}")
    identity, key = common.device_id(gateway, address), device_key(gateway, address)
    _assignments.know_gateway(connection, gateway=gateway)
    _assignments.know_device(connection, id=identity, address=key, kind=kind, model=model, label=label)
    _assignments.attach(connection, gateway=gateway, device=identity, local_name=address)
    store.put(connection, common.device_resource(identity, key, kind, model), patient=None, now=now)
    return identity


def add(
    connection: db.Connection, who: Principal, *, gateway: str, address: str, kind: str, model: str | None,
    label: str | None, now: datetime,
) -> UUID:  # fmt: skip
    """Register a device by somebody's hand, at a gateway that is known; LifeError where something is missing."""
    trail.permit(who)
    if not address.strip() or len(address) > 100:
        raise LifeError("address", "address: the device's address, at most 100 characters")
    if not _queries.is_gateway(connection, gateway=gateway):
        raise LifeError("gateway", f"gateway: there is no gateway {gateway!r}")
    identity = register(
        connection,
        gateway=gateway,
        address=address.strip(),
        kind=kind,
        now=now,
        model=model or None,
        label=label or None,
    )
    trail.note(connection, who, "registered", now, device=identity, gateway=gateway)
    return identity


def calibrate(connection: db.Connection, who: Principal, device: UUID, check: Calibration, now: datetime) -> None:
    """Enter a metrological check of a device; LifeError names what of it cannot be."""
    trail.permit(who)
    _state(connection, device)
    if check.done_on > (now + _AHEAD).date():
        raise LifeError("future", "done on: the day has not come yet")
    if not 1 <= check.months <= 120:
        raise LifeError("months", "months: from 1 to 120")
    if not check.done_by.strip() or not check.certificate.strip():
        raise LifeError("certificate", "who checked the device, and the number of the certificate, are needed")
    _queries.add_calibration(
        connection, id=store.new_id(now), device=device, done_on=check.done_on, months=check.months,
        due_on=check.due_on, done_by=check.done_by.strip()[:200], certificate=check.certificate.strip()[:100],
        by=who.display, now=now,
    )  # fmt: skip
    trail.note(connection, who, "calibrated", now, device=device, detail=f"{check.done_on} → {check.due_on}")


def hand_over(
    connection: db.Connection, who: Principal, device: UUID, patient: UUID, now: datetime, *, user: int | None = None,
    start: datetime | None = None,
) -> bool:  # fmt: skip
    """Assign a device, or one user number of it, to a patient; False where it is theirs already.

    LifeError where the device is not ready; AssignmentError where what holds is in the way.
    """
    trail.permit(who)
    life, _ = _state(connection, device)
    if life != "ready":
        code, words = _NOT_READY[life]
        raise LifeError(code, words)
    person = trail.person(who)
    if not assignment.assign(connection, device, patient, start or now, user=user, person=person):
        return False
    detail = "" if user is None else f"№ {user}"
    trail.note(connection, who, "assigned", now, device=device, detail=detail, patient=patient)
    return True


_NOT_READY = {
    "to_clean": ("to_clean", "the device came back and may hold readings of its last user: empty it, then say so"),
    "retired": ("retired", "the device is retired"),
}


def share(connection: db.Connection, who: Principal, device: UUID, user: int, now: datetime) -> None:
    """Make a device of one patient a shared one, whose user `user` they are."""
    trail.permit(who)
    _state(connection, device)
    assignment.share(connection, device, user, now, person=trail.person(who))
    trail.note(connection, who, "shared", now, device=device, detail=f"№ {user}")


def end(connection: db.Connection, who: Principal, device: UUID, user: int | None, now: datetime) -> int:
    """End what is assigned of a device or of one user number, the device staying where it is; return how many."""
    trail.permit(who)
    _state(connection, device)
    ended = assignment.end(connection, device, now, user=user)
    if ended:
        trail.note(connection, who, "ended", now, device=device, detail="" if user is None else f"№ {user}")
    return ended


def take_back(connection: db.Connection, who: Principal, device: UUID, now: datetime) -> None:
    """Note that a device came back: its assignments end, and it is not handed out again before it is emptied."""
    trail.permit(who)
    life, _ = _state(connection, device)
    if life == "retired":
        raise LifeError("retired", "the device is retired")
    assignment.end(connection, device, now)
    _queries.device_life(connection, device=device, life="to_clean", now=now)
    trail.note(connection, who, "returned", now, device=device)


def cleaned(connection: db.Connection, who: Principal, device: UUID, now: datetime) -> None:
    """Note that a device's memory and bonds are empty and that it was disinfected: it may be handed out."""
    trail.permit(who)
    life, _ = _state(connection, device)
    if life == "retired":
        raise LifeError("retired", "the device is retired")
    _queries.device_cleaned(connection, device=device, now=now)
    trail.note(connection, who, "cleaned", now, device=device)


def replace(connection: db.Connection, who: Principal, old: UUID, new: UUID, now: datetime) -> int:
    """Give whoever has a device another of its kind instead and return to how many people; the old one came back.

    Readings stay whose they are: the old device's are theirs until now, the new one's from now on.
    """
    trail.permit(who)
    _, kind = _state(connection, old)
    life, other = _state(connection, new)
    if old == new or kind != other:
        raise LifeError("kind", f"the other device has to be another {kind}")
    if life != "ready":
        raise LifeError(*_NOT_READY[life])
    if _queries.is_assigned(connection, device=new, at=now):
        raise LifeError("taken", "the other device is assigned to somebody already")
    moved = assignment.move(connection, old, new, now, person=trail.person(who))
    _queries.device_replaced(connection, device=old, by=new, now=now)
    trail.note(connection, who, "replaced", now, device=old, detail=_queries.device_name(connection, device=new))
    trail.note(connection, who, "replaces", now, device=new, detail=_queries.device_name(connection, device=old))
    return moved


def retire(connection: db.Connection, who: Principal, device: UUID, now: datetime) -> None:
    """Note that a device is used no more: its assignments end, and its Device resource says inactive."""
    trail.permit(who)
    _state(connection, device)
    assignment.end(connection, device, now)
    _queries.device_life(connection, device=device, life="retired", now=now)
    content: dict[str, Any] = store.read(connection, "Device", device).content()
    store.update(connection, content | {"status": "inactive"}, patient=None, now=now)
    trail.note(connection, who, "retired", now, device=device)


def _state(connection: db.Connection, device: UUID) -> tuple[str, str]:
    """Return a device's life and kind, locked; FhirError 404 where there is none."""
    row = _queries.device_state(connection, device=device)
    if row is None:
        raise FhirError(404, "not-found", "there is no such device")
    return row[0], row[1]
