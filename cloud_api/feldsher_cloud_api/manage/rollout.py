"""Offering an update to gateways, in stages: what feldsher_ehr_core.rollout decides is done here, second by second.

An offer to one gateway is a rollout of one stage, so that whatever was offered is found in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import psycopg
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.rollout import Decision, Plan, State, decide, drawn, stage_of

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.manage import release, tasks
from feldsher_cloud_api.manage.release import Artefact, ReleaseError
from feldsher_cloud_api.manage.tasks import Asker, TaskError

LIFE = timedelta(days=30)
"""So long an offer waits for a gateway that is away; it can be offered again."""
KIT_MODEL = "feldsher kit"
"""How gateways name our own cardiograph in their reports (feldsher_edge.devices.kit)."""
_queries = db.queries("rollout")
_log = structlog.get_logger()
Target = tuple[str, str]
"""A gateway, and the name it gives the kit that a firmware is for; empty for the gateway itself."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target of a rollout and how its offer stands; `state` None: not offered yet."""

    gateway: str
    device: str
    stage: int
    task: UUID | None
    state: State | None
    detail: str | None
    state_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as technicians see it; `counts`: how many targets stand how."""

    id: UUID
    artefact: str
    kind: str
    version: str
    sequence: int
    reason: str
    asked_by: str
    created: datetime
    stages: list[int]
    stage: int
    state: Literal["running", "paused", "halted", "done"]
    why: str | None
    state_at: datetime
    counts: dict[str, int]


def candidates(connection: db.Connection, artefact: Artefact) -> list[Target]:
    """Return whom an update could be for: gateways that run an older one on such a machine, or kits of our own."""
    if artefact.kind == "kit":
        return [tuple(row) for row in _queries.kits(connection, model=KIT_MODEL)]
    found = _queries.gateways(connection, sequence=artefact.sequence, target=artefact.target, python=artefact.python)
    return [tuple(row) for row in found]


def start(
    connection: db.Connection, artefact: Artefact, targets: Iterable[Target], plan: Plan, asker: Asker, *, reason: str,
    now: datetime, first: Iterable[str] = (),
) -> UUID:  # fmt: skip
    """Begin a rollout to targets and return its id; the worker offers stage after stage.

    `first`: gateways of the first stage whatever the lot says: those beside which somebody stands.
    """
    release.offer(connection, artefact.sha256)
    if not reason.strip():
        raise TaskError("a reason is needed: whoever looks later wants to know why")
    wanted, ahead = set(targets), set(first)
    if not wanted:
        raise ReleaseError("there is no gateway or kit that it could be for")
    if unknown := ahead - {gateway for gateway, _ in wanted}:
        raise ReleaseError(f"{', '.join(sorted(unknown))}: the update is not for it")
    identity, who = store.new_id(now), asker.principal
    _queries.add(
        connection, id=identity, artefact=artefact.sha256, reason=reason.strip(), asked_by=asker.name,
        person=who.person if who else None, now=now, stages=list(plan.stages), least_applied=plan.least_applied,
        most_failed=plan.most_failed, observe_s=round(plan.observe_s),
    )  # fmt: skip
    order = drawn({gateway for gateway, _ in wanted}, str(identity))
    stages = {gateway: stage_of(rank, len(order), plan.stages) for rank, gateway in enumerate(order)}
    for gateway, device in sorted(wanted):
        stage = 0 if gateway in ahead else stages[gateway]
        _queries.add_target(connection, rollout=identity, gateway=gateway, device=device, stage=stage)
    _log.info("rollout_begun", rollout=str(identity), version=artefact.version, targets=len(wanted))
    return identity


ONE = Plan((100,), least_applied=100, most_failed=0, observe_s=0)
"""The plan of an offer to gateways that are named."""


def step(connection: db.Connection, now: datetime) -> int:
    """Do what is due in the running rollouts and return how many offers were made.

    One over which this stumbles holds up no other, nor anything else of management; it is tried again next round.
    """
    made = 0
    with connection.transaction():
        for row in list(_queries.running(connection, now=now)):
            try:
                with connection.transaction():
                    made += _step(connection, row, now)
            except psycopg.OperationalError:
                raise  # the database is gone: for all of them
            except Exception:
                _log.exception("rollout_step_failed", rollout=str(row[0]))
    return made


def _step(connection: db.Connection, row: Any, now: datetime) -> int:
    identity, artefact, reason, asked_by, stages, least, most, observe_s, stage, age_s = row
    found = targets(connection, identity)
    plan = Plan(tuple(stages), least, most, observe_s)
    decision = decide(plan, stage, age_s, [(t.stage, _standing(t)) for t in found])
    if decision.act == "halt" or decision.act == "done":
        _end(connection, identity, decision, now)
        return 0
    if decision.act == "offer":
        _queries.at_stage(connection, id=identity, stage=decision.stage, now=now, why=decision.why)
    else:
        _queries.why(connection, id=identity, why=decision.why)
    due = [t for t in found if t.stage <= decision.stage and _standing(t) is None]
    try:
        manifest, signature = release.offer(connection, artefact)
    except ReleaseError as error:
        _end(connection, identity, Decision("halt", str(error), stage), now)
        return 0
    for target in due:
        message = wire.Update(**tasks.head(now), manifest=manifest, signature=signature, device=target.device)
        _offer(connection, identity, target, message, Asker(asked_by), reason, now)
    return len(due)


def _standing(target: TargetState) -> State | None:
    """Return how an offer stands; one that was withdrawn (while halted) is to be made again."""
    return None if target.state == "withdrawn" else target.state


def _offer(
    connection: db.Connection, rollout: UUID, target: TargetState, message: wire.Update, asker: Asker, reason: str,
    now: datetime,
) -> None:  # fmt: skip
    task = tasks.ask(connection, target.gateway, message, asker, reason=reason, now=now, life=LIFE)
    _queries.offered(connection, rollout=rollout, gateway=target.gateway, device=target.device, task=task)


def _end(connection: db.Connection, rollout: UUID, decision: Decision, now: datetime) -> None:
    state = "halted" if decision.act == "halt" else "done"
    _queries.change(connection, id=rollout, state=state, why=decision.why, now=now, before=["running"])
    if state == "halted":
        _take_back(connection, rollout, decision.why, now)
    _log.warning("rollout_ended", rollout=str(rollout), state=state, why=decision.why)


def _take_back(connection: db.Connection, rollout: UUID, why: str, now: datetime) -> None:
    waiting = [t.task for t in targets(connection, rollout) if t.task is not None and t.state == "waiting"]
    tasks.withdraw(connection, waiting, f"the rollout was halted: {why}", now)


def halt(connection: db.Connection, rollout: UUID, why: str, now: datetime) -> None:
    """Stop a rollout: offer nothing more, and withdraw what no gateway has begun; ReleaseError where it is over."""
    _change(connection, rollout, "halted", why, now, ("running", "paused"))
    _take_back(connection, rollout, why, now)


def pause(connection: db.Connection, rollout: UUID, why: str, now: datetime) -> None:
    """Offer nothing more for now; what was offered goes on. ReleaseError where the rollout does not run."""
    _change(connection, rollout, "paused", why, now, ("running",))


def resume(connection: db.Connection, rollout: UUID, why: str, now: datetime) -> None:
    """Let a rollout go on from where it was; ReleaseError where it is over or runs already.

    Its failures still count: where they pass the limit, it halts again (`tolerate` sets another).
    """
    _change(connection, rollout, "running", why, now, ("paused", "halted"))


def tolerate(connection: db.Connection, rollout: UUID, most_failed: int) -> None:
    """Set another limit of failures, percent; RolloutError where it is none."""
    Plan(most_failed=most_failed)
    _queries.tolerate(connection, id=rollout, most_failed=most_failed)


def _change(
    connection: db.Connection, rollout: UUID, state: str, why: str, now: datetime, before: tuple[str, ...]
) -> None:
    if _queries.change(connection, id=rollout, state=state, why=why, now=now, before=list(before)) is None:
        raise ReleaseError(f"{rollout}: no rollout that is {' or '.join(before)} (`feldsher-cloud release rollouts`)")


def targets(connection: db.Connection, rollout: UUID) -> list[TargetState]:
    """Return the targets of a rollout, stage by stage."""
    return [TargetState(*row) for row in _queries.targets(connection, rollout=rollout)]


def rollouts(connection: db.Connection, most: int = 20) -> list[Rollout]:
    """Return every rollout, newest first, at most `most`."""
    return [Rollout(*row) for row in _queries.rollouts(connection, most=most)]
