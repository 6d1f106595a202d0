"""What a technician does with one device, from a form or a program: words in, one act done, or told why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Forbidden, Principal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fleet import devices, life, limits, trail
from feldsher_cloud_api.fleet.life import LifeError

Given = Mapping[str, str]
_queries = db.queries("fleet")


@dataclass(frozen=True, slots=True)
class Work:
    """Who does something with which device, in which transaction."""

    of: Context
    connection: db.Connection
    who: Principal
    device: UUID


@dataclass(frozen=True, slots=True)
class Wearer:
    """The person of a card's number, as far as a technician has to know to hand a device to the right one."""

    patient: UUID
    name: str
    born: int | None


def permit(who: Principal) -> None:
    """Raise Forbidden for who may not change the fleet: technicians may, with a token that may update Device."""
    trail.permit(who)
    if who.scopes is not None and not access.scope_allows(who.scopes, who.role, "Device", "update"):
        raise Forbidden("the token's scopes do not cover update of Device")


def wearer(work: Work, number: str) -> Wearer:
    """Return whom a whole card number names; LifeError where nobody, or where there were too many guesses."""
    now = work.of.settings.clock()
    if not work.of.brake.allows(f"card {work.who.person}", now):
        raise LifeError("guesses", "too many numbers were asked for; wait a little")
    row = _queries.patient_to_assign(work.connection, number=number.strip())
    if row is None:
        raise LifeError("number", "nobody has this number; it is asked for as a whole")
    return Wearer(*row)


def asked_for(work: Work, number: str) -> Wearer:
    """Return whom a whole card number names, and write into that patient's audit that somebody has asked."""
    found = wearer(work, number)
    audit.record(
        work.connection, work.who, interaction="device-wearer", action="R", now=work.of.settings.clock(),
        resources=[f"Device/{work.device}"], patient=found.patient,
    )  # fmt: skip
    return found


def _whole(given: Given, name: str) -> int | None:
    word = given.get(name, "").strip()
    if not word:
        return None
    if not word.isascii() or not word.isdigit() or len(word) > 3 or int(word) > 254:
        raise LifeError(name, f"{name}: a whole number from 0 to 254")
    return int(word)


def _calibrate(work: Work, given: Given) -> None:
    try:
        done = date.fromisoformat(given.get("done_on", ""))
    except ValueError as error:
        raise LifeError("date", "done_on: a day is needed, YYYY-MM-DD") from error
    kind = devices.kind(work.connection, work.device)
    months = _whole(given, "months") or limits.load().calibration_months.get(kind)
    if months is None:
        raise LifeError("months", f"months: there is no interval for a {kind}, so it has to be said")
    check = life.Calibration(done, months, given.get("done_by", ""), given.get("certificate", ""))
    life.calibrate(work.connection, work.who, work.device, check, work.of.settings.clock())


def _assign(work: Work, given: Given) -> None:
    found = wearer(work, given.get("number", ""))
    now = work.of.settings.clock()
    if not life.hand_over(work.connection, work.who, work.device, found.patient, now, user=_whole(given, "user")):
        raise LifeError("theirs", "the device is this person's already")


def _share(work: Work, given: Given) -> None:
    user = _whole(given, "user")
    if user is None:
        raise LifeError("user", "user: the number of the person who has the device now is needed")
    life.share(work.connection, work.who, work.device, user, work.of.settings.clock())


def _end(work: Work, given: Given) -> None:
    if not life.end(work.connection, work.who, work.device, _whole(given, "user"), work.of.settings.clock()):
        raise LifeError("nothing", "nothing of it is assigned now")


def _replace(work: Work, given: Given) -> None:
    try:
        other = UUID(given.get("by", ""))
    except ValueError as error:
        raise LifeError("by", "by: the other device's id is needed") from error
    life.replace(work.connection, work.who, work.device, other, work.of.settings.clock())


def _simple(act: Callable[..., None]) -> Callable[[Work, Given], None]:
    return lambda work, given: act(work.connection, work.who, work.device, work.of.settings.clock())


ACTS: dict[str, Callable[[Work, Given], None]] = {
    "calibrate": _calibrate,
    "assign": _assign,
    "share": _share,
    "end": _end,
    "return": _simple(life.take_back),
    "clean": _simple(life.cleaned),
    "replace": _replace,
    "retire": _simple(life.retire),
}
"""What can be done, and with which words: calibrate (done_on, months, done_by, certificate), assign (number, user),
share (user), end (user), replace (by); return, clean and retire need none."""


def act(work: Work, what: str, given: Given) -> None:
    """Do one of ACTS; Forbidden, LifeError, AssignmentError or FhirError 404 where it cannot be done."""
    permit(work.who)
    ACTS[what](work, given)
