"""Whose devices are: assigning for a period, as a whole or by user number, and whose a reading is.

A shared device tells its users apart by a number; each number is one patient's for a period. A device that is one
patient's alone is theirs whatever number it sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store

NOBODY, CLOCK = "the device was assigned to nobody at the time of measurement", "clock not trusted"
SHARED = "the device is shared and the reading names no user"
AHEAD = "the device's clock is ahead of its own reading's arrival"
EARLIER = "it may have been measured before the device was given to its present user"
LEFT_OVER = "the device sent no time and may still hold readings of its last user"
"""Why a measurement waits for staff."""
AHEAD_BY = timedelta(minutes=10)
"""So far may a device's clock, which nobody compared, be ahead before its times decide nothing. Chosen by us."""
REMEMBERING = frozenset({"cuff", "scale", "glucometer", "thermometer"})
"""Kinds of devices that keep readings until somebody fetches them."""
_queries = db.queries("assignment")


class AssignmentError(ValueError):
    """Why a device is not assigned; `code` is for the pages' words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def assign(
    connection: db.Connection,
    device: UUID,
    patient: UUID,
    start: datetime,
    until: datetime | None = None,
    *,
    user: int | None = None,
    person: UUID | None = None,
) -> bool:
    """Assign a device, or one user number of it, from `start` on, ending what held; False where it is theirs already.

    AssignmentError where the device is one patient's alone and only a user number of it is asked for, or where a later
    period is in the way.
    """
    try:
        with connection.transaction():
            said = _queries.assign(
                connection, id=store.new_id(start), device=device, user=user, patient=patient, start=start,
                until=until, person=person,
            )  # fmt: skip
    except psycopg.errors.ExclusionViolation as error:
        raise AssignmentError("later", "the device is already assigned for a later time; end that first") from error
    if said == "whole":
        words = "the device is one patient's alone; give them a user number first: feldsher-cloud device share"
        raise AssignmentError("whole", words)
    return said == "assigned"


def share(connection: db.Connection, device: UUID, user: int, start: datetime, *, person: UUID | None = None) -> None:
    """Make one patient's device a shared one whose user `user` they are; AssignmentError where nobody has it alone."""
    with connection.transaction():
        if not _queries.share(connection, id=store.new_id(start), device=device, user=user, start=start, person=person):
            raise AssignmentError("nobody", "nobody has this device for themselves alone, so there is nothing to share")


def end(connection: db.Connection, device: UUID, at: datetime, *, user: int | None = None) -> int:
    """End what is assigned of a device (or of one user number) and return how many assignments that were."""
    return int(_queries.end(connection, device=device, user=user, at=at))


def move(connection: db.Connection, old: UUID, new: UUID, at: datetime, *, person: UUID | None = None) -> int:
    """Give another device to whoever has one, from a time on; return to how many people."""
    return int(_queries.move(connection, old=old, new=new, at=at, person=person))


def holder(connection: db.Connection, device: UUID, at: datetime, user: int | None) -> tuple[UUID | None, str]:
    """Return whose a measurement of a device taken `at` under a user number is; if nobody's, why."""
    numbers: dict[int | None, UUID] = {
        number: patient for patient, number in _queries.holding(connection, device=device, at=at)
    }
    return of_users(numbers, user)


def of_users(numbers: Mapping[int | None, UUID], user: int | None) -> tuple[UUID | None, str]:
    """Return whose a measurement under a user number is, of those whose the device is by number; if nobody's, why."""
    if None in numbers:
        return numbers[None], ""
    if numbers and user is None:
        return None, SHARED
    patient = numbers.get(user)
    return patient, "" if patient is not None else NOBODY


def sole_holder(
    connection: db.Connection, device: UUID, user: int | None, *, at: datetime, received: datetime
) -> UUID | None:
    """Return the one patient whose a measurement can be where its time decides nothing, None where there is none."""
    return _queries.sole_patient(connection, device=device, user=user, at=at, received=received)


def may_hold_others(connection: db.Connection, device: UUID, patient: UUID, at: datetime, user: int | None) -> bool:
    """Return whether a device may still hold readings of somebody who had it before, because nobody has emptied it."""
    return bool(_queries.may_hold_others(connection, device=device, patient=patient, at=at, user=user))
