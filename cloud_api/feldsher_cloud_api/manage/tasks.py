"""What a gateway is asked to do to itself: asked by a person, published until it answers, ended by its word or by time.

A task's id is the command's id on the wire, so every answer finds its question. Repeats are ever rarer while a gateway
is silent, and come at once when it is back.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from feldsher_ehr_core import wire

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.commands import Publisher
from feldsher_cloud_api.fhir import store

AGAIN_S, LONGEST_AGAIN_S = 3.0, 600.0
"""An unanswered task is published again after 3 s, then ever later, at most after ten minutes."""
SENT_AGAIN_LIFE = timedelta(days=90)
"""So long a configuration waits that is sent again to a machine which has taken a gateway's place."""
_queries = db.queries("task")
_log = structlog.get_logger()


class TaskError(ValueError):
    """Why a gateway cannot be asked; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: `name` as technicians see it; `principal`: the signed-in person, None at the command line."""

    name: str
    principal: Principal | None = None


def person(principal: Principal) -> Asker:
    """Return a signed-in technician as the asker; Forbidden for every other role."""
    access.permit_role(principal, "technician")
    return Asker(principal.display, principal)


def administrator() -> Asker:
    """Return the asker at the command line: the account of the machine."""
    return Asker(f"administrator {getpass.getuser()}")


@dataclass(frozen=True, slots=True)
class Task:
    """One task as technicians see it."""

    id: UUID
    kind: str
    device: str
    reason: str
    asked_by: str
    created: datetime
    expires_at: datetime
    sent: int
    sent_at: datetime | None
    state: str
    detail: str | None
    state_at: datetime | None


def head(now: datetime) -> dict[str, Any]:
    """Return what every command begins with: a fresh id and the time."""
    return {"id": store.new_id(now), "sent_us": _micros(now)}


def check_gateway(connection: db.Connection, gateway: str) -> None:
    """Raise TaskError where there is no such gateway, or none that could answer."""
    row = _queries.known(connection, gateway=gateway)
    if row is None:
        raise TaskError(f"{gateway}: there is no such gateway; `feldsher-cloud gateway list` names all")
    revoked, claimed = row
    if revoked:
        raise TaskError(f"{gateway}: it is revoked and cannot be reached")
    if not claimed:
        raise TaskError(f"{gateway}: nobody has claimed it yet (feldsher-edge claim)")


def ask(
    connection: db.Connection, gateway: str, message: wire.Down, asker: Asker, *, reason: str, now: datetime,
    life: timedelta,
) -> UUID:  # fmt: skip
    """Ask something of a gateway and return the task's id; TaskError where it cannot be asked."""
    check_gateway(connection, gateway)
    if not reason.strip():
        raise TaskError("a reason is needed: whoever looks later wants to know why")
    kind = str(message.__struct_config__.tag)
    device = message.device if isinstance(message, wire.Update) else ""
    who = asker.principal
    _queries.add(
        connection, id=message.id, gateway=gateway, kind=kind, device=device, payload=wire.encode(message),
        reason=reason.strip(), asked_by=asker.name, person=who.person if who else None, created=now,
        expires=now + life,
    )  # fmt: skip
    if who is not None:
        audit.record(connection, who, interaction=f"gateway-{kind}", action="E", now=now)
    _log.info("task_asked", gateway=gateway, kind=kind, task=str(message.id))
    return message.id


def publish_due(connection: db.Connection, publisher: Publisher, now: datetime) -> int:
    """Publish the tasks that are due, with the present time in them, and return how many were handed over."""
    count = 0
    with connection.transaction():
        for task, gateway, kind, payload, state, sent, expires in list(_queries.due(connection, now=now)):
            message = msgspec.structs.replace(wire.decode_down(bytes(payload)), sent_us=_micros(now))
            again = min(LONGEST_AGAIN_S, AGAIN_S * 2.0 ** min(sent, 20))
            life_s = max(1, int(min(again, (expires - now).total_seconds())))
            if publisher.publish(wire.down_topic(gateway, kind), wire.encode(message), life_s):
                _queries.sent(connection, id=task, again=again if state == "waiting" else None)
                _log.info("task_published", gateway=gateway, kind=kind, task=str(task), before=sent)
                count += 1
    return count


def is_there(connection: db.Connection, gateway: str) -> None:
    """Note that a gateway has connected: what it has not ended is published to it at once."""
    _queries.again(connection, gateway=gateway)


def reported(connection: db.Connection, gateway: str, body: dict[str, Any], at: datetime) -> None:
    """Take a gateway's report: its answer to a task, and how its newest configuration and update stand.

    One that has never seen the configuration which it had is another machine in its place, and gets it again.
    """
    if body.get("task") and body.get("task_state", "none") != "none":
        _answer(connection, UUID(body["task"]), gateway, body["task_state"], body.get("task_detail"), at)
    config = _queries.configuration_task(connection, gateway=gateway, version=body.get("config_wanted") or 0)
    if config is not None and body.get("config_state", "none") != "none":
        _answer(connection, config, gateway, body["config_state"], body.get("config_detail"), at)
    seen = max(body.get("config") or 0, body.get("config_wanted") or 0)
    _queries.lost_configuration(connection, gateway=gateway, seen=seen, at=at, expires=at + SENT_AGAIN_LIFE)
    update = _queries.update_task(connection, gateway=gateway, sequence=body.get("update_wanted") or 0)
    if update is not None and body.get("update_state", "none") != "none":
        _answer(connection, update, gateway, body["update_state"], body.get("update_detail"), at)


def _answer(connection: db.Connection, task: UUID, gateway: str, state: str, detail: str | None, at: datetime) -> None:
    _queries.answered(connection, id=task, gateway=gateway, state=state, detail=detail, at=at)


def revoked(connection: db.Connection, gateway: str, now: datetime) -> None:
    """Withdraw what a gateway has not begun that is revoked now: it cannot be told any more."""
    waiting = [row[0] for row in _queries.open(connection, gateway=gateway)]
    withdraw(connection, waiting, "the gateway was revoked", now)


def to_be_claimed(connection: db.Connection, gateway: str, now: datetime) -> None:
    """Take back that a gateway is to forget everything: a new claim is for another machine, which must not be wiped."""
    _queries.call_off(connection, gateway=gateway, kind="wipe", why="a new claim was made for this name", now=now)


def withdraw(connection: db.Connection, tasks: Iterable[UUID], why: str, now: datetime) -> list[UUID]:
    """Take tasks back that their gateways have not begun; return those that were taken back."""
    return [row[0] for row in _queries.withdraw(connection, ids=list(tasks), why=why, now=now)]


def open_of_kind(connection: db.Connection, gateway: str, kind: str, now: datetime) -> list[UUID]:
    """Return what a gateway was asked of one kind and has not ended, newest first."""
    return [row[0] for row in _queries.open_of_kind(connection, gateway=gateway, kind=kind, now=now)]


def lapse(connection: db.Connection, now: datetime) -> int:
    """End the tasks whose time is over and return how many there were."""
    with connection.transaction():
        ended = list(_queries.lapse(connection, now=now))
    for task, gateway, kind in ended:
        _log.info("task_lapsed", gateway=gateway, kind=kind, task=str(task))
    return len(ended)


def of_gateway(connection: db.Connection, gateway: str, most: int = 20) -> list[Task]:
    """Return what a gateway was asked, newest first, at most `most`."""
    return [Task(*row) for row in _queries.of_gateway(connection, gateway=gateway, most=most)]


def one(connection: db.Connection, task: UUID) -> Task | None:
    """Return a task, None where there is none."""
    row = _queries.one(connection, id=task)
    return None if row is None else Task(*row)


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
