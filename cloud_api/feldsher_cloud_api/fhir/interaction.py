"""What can be done to resources: create, update, patch, delete, each also by criteria; in the caller's transaction.

Routes and bundles both come here, so that rights, validation, what is protected, preconditions and the audit are the
same wherever a change comes from. Who may win a race is decided by the database: conditional interactions with the same
criteria wait for each other on a lock of the transaction, a version that is expected is compared under the row's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast
from urllib.parse import parse_qsl
from uuid import UUID

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Interaction, Principal, Reach
from feldsher_cloud_api.care import order
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import binary, guard, identity, references, search, store, validate
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError, not_found
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.store import Stored

_ACTION: dict[str, audit.Action] = {"create": "C", "update": "U", "patch": "U", "delete": "D"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One person's or program's turn at the record: the transaction, who it is, what they reach, and the rules.

    `strict`: references have to lead somewhere. `audited`: False where the caller writes the audit events itself
    (bundles: one for each patient).
    """

    connection: db.Connection
    who: Principal
    reach: Reach
    now: datetime
    base: str
    order_life: timedelta
    update_create: bool = True
    strict: bool = False
    audited: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an interaction: its HTTP status and the version that is current now, None where nothing is."""

    status: int
    kind: str
    stored: Stored | None = None
    words: str = ""

    @property
    def made(self) -> bool:
        """Whether a resource is there that was not before."""
        return self.status == 201


@contextmanager
def take(of: Context, who: Principal) -> Generator[Turn]:
    """Open the transaction of a person's or program's turn; it commits at a good end."""
    with access.asking(of.pool, who) as connection:
        settings = of.settings
        reach = access.reach(connection, who)
        yield Turn(
            connection,
            who,
            reach,
            settings.clock(),
            settings.fhir_base,
            settings.order_life,
            update_create=settings.update_create,
            strict=settings.references == "refuse",
        )


def known(kind: str) -> str:
    """Return the name of a resource type; FhirError 404 where R4 has none of it."""
    if kind not in names():
        raise FhirError(404, "not-supported", f"there is no resource type {kind[:64]} in R4")
    return kind


@cache
def names() -> frozenset[str]:
    """Return the names of all resource types."""
    return frozenset(definitions().resources)


def key(kind: str, text: str) -> UUID:
    """Return the key of a resource's id; FhirError 404 where no resource can have it."""
    if not identity.is_id(text):
        raise not_found(kind)
    return identity.key(text)


def create(turn: Turn, kind: str, resource: dict[str, Any], *, if_none_exist: str | None = None) -> Done:
    """Store a new resource under an id of ours; where one meets `if_none_exist`, that one is returned instead (200).

    FhirError 412 where several meet it, 422 for a resource that is not whole.
    """
    access.permit(turn.who, kind, "create")
    if if_none_exist is not None:
        there = matches(turn, kind, if_none_exist)
        if there is not None:
            _note(turn, "create", kind, there)
            return Done(200, kind, there, "one that meets If-None-Exist is there already")
    return create_as(turn, kind, resource, store.new_id(turn.now))


def create_as(turn: Turn, kind: str, resource: dict[str, Any], at: UUID) -> Done:
    """Store a new resource under this id; an order for an ECG goes to its gateway at once."""
    access.permit(turn.who, kind, "create")
    if kind == "ServiceRequest" and order.is_order(resource):
        order.place(turn.connection, turn.who, resource, now=turn.now, life=turn.order_life, identity=at)
        return Done(201, kind, store.read(turn.connection, kind, at))
    checked(turn, resource)
    return Done(201, kind, _insert(turn, kind, {**resource, "id": str(at)}, "create"))


def checked(turn: Turn, resource: dict[str, Any]) -> None:
    """Raise InvalidResourceError (422) with every fault of a resource, and where it claims to be the system's own."""
    faults: list[FaultError] = validate.errors(resource, turn.now)
    validate.check(faults or guard.claimed(resource))
    if turn.strict:
        validate.check(references.refused(references.missing(turn.connection, [resource]), [resource]))


def _insert(turn: Turn, kind: str, resource: dict[str, Any], as_: Interaction) -> Stored:
    extra, content = binary.parts(turn.connection, turn.reach, resource) if kind == "Binary" else ({}, resource)
    if not store.insert(turn.connection, content, now=turn.now, **extra):
        raise FhirError(409, "conflict", f"this {kind} is there already")
    return _written(turn, kind, identity.key(resource["id"]), as_)


def _written(turn: Turn, kind: str, at: UUID, as_: Interaction, *, interaction: str = "") -> Stored:
    access.written(turn.connection, turn.who, kind, at, as_)
    stored = store.find(turn.connection, kind, at, turn.reach)
    if stored is None:
        # Somebody may write only what they may also see: a mistaken subject would else vanish before their eyes.
        raise FhirError(403, "forbidden", f"this {kind} would belong to somebody outside of your reach")
    _note(turn, interaction or as_, kind, stored)
    return stored


def _note(turn: Turn, interaction: str, kind: str, stored: Stored) -> None:
    if not turn.audited:
        return
    audit.record(
        turn.connection, turn.who, interaction=interaction, action=_ACTION[interaction], now=turn.now,
        resources=[f"{kind}/{stored.logical}"] if kind != "Patient" else [], patient=stored.patient,
    )  # fmt: skip


def update(
    turn: Turn,
    kind: str,
    name: str,
    resource: dict[str, Any],
    *,
    expected: int | None = None,
    validated: bool = False,
) -> Done:
    """Store a resource's next version under the id that its sender knows; 201 where nothing (any more) was there.

    `validated`: the caller has checked the resource. FhirError 400 where the ids differ, 405 where ids are not the
    sender's to give, 409 for what is protected, 412.
    """
    access.permit(turn.who, kind, "update")
    if not identity.is_id(name):
        raise FhirError(400, "value", f"{name[:80]!r} cannot be a resource's id", f"{kind}.id")
    if resource.get("id") != name:
        raise FhirError(
            400, "invariant", f"id: the address says {name!r}, and the resource has to say the same", f"{kind}.id"
        )
    at = identity.key(name)
    before = _current(turn, kind, at)
    if before is None:
        return _update_as_create(turn, kind, resource, expected, validated=validated)
    guard.unchangeable(turn.connection, before)
    if not validated:
        checked(turn, resource)
    return _next(turn, kind, resource, before, expected, "PUT")


def _current(turn: Turn, kind: str, at: UUID) -> Stored | None:
    """Return the current version, its row locked until the transaction ends; None where there is none within reach."""
    return store.find(turn.connection, kind, at, turn.reach) if store.lock(turn.connection, kind, at) else None


def _update_as_create(
    turn: Turn, kind: str, resource: dict[str, Any], expected: int | None, *, validated: bool
) -> Done:
    if not turn.update_create:
        raise FhirError(405, "not-supported", f"there is no such {kind}, and a new one gets its id here: POST it")
    if kind == "ServiceRequest" and order.is_order(resource):
        raise FhirError(
            422, "business-rule", "an order for an ECG is placed by POST: it gets its id here", f"{kind}.id"
        )
    access.permit(turn.who, kind, "create")
    if not validated:
        checked(turn, resource)
    extra, content = binary.parts(turn.connection, turn.reach, resource) if kind == "Binary" else ({}, resource)
    store.put(turn.connection, content, now=turn.now, expected=expected, **extra)
    return Done(201, kind, _written(turn, kind, identity.key(resource["id"]), "create"))


def _next(
    turn: Turn, kind: str, resource: dict[str, Any], before: Stored, expected: int | None, method: store.Method
) -> Done:
    extra, content = binary.parts(turn.connection, turn.reach, resource) if kind == "Binary" else ({}, resource)
    store.update(turn.connection, content, now=turn.now, expected=expected, method=method, **extra)
    word = "patch" if method == "PATCH" else "update"
    return Done(200, kind, _written(turn, kind, before.id, "update", interaction=word))


def update_where(
    turn: Turn, kind: str, criteria: str, resource: dict[str, Any], *, expected: int | None = None
) -> Done:
    """Update the one resource that meets criteria, create it where none does; FhirError 412 where several do."""
    access.permit(turn.who, kind, "update")
    there = matches(turn, kind, criteria)
    name = resource.get("id")
    if there is not None:
        if name not in (None, there.logical):
            words = f"id: {there.logical} meets the criteria, and the resource says {str(name)[:80]!r}"
            raise FhirError(400, "invariant", words, f"{kind}.id")
        return update(turn, kind, there.logical, {**resource, "id": there.logical}, expected=expected)
    store.expect(None, expected)
    if name is None:
        return create(turn, kind, resource)
    if isinstance(name, str) and identity.is_id(name) and _current(turn, kind, identity.key(name)) is not None:
        raise FhirError(409, "conflict", f"id: {kind}/{name} is there, and does not meet the criteria", f"{kind}.id")
    return update(turn, kind, str(name), resource, expected=expected)


Change = Callable[[dict[str, Any]], Any]


def patch(turn: Turn, kind: str, name: str, change: Change, *, expected: int | None = None) -> Done:
    """Store what `change` makes of a resource as its next version; FhirError 404, 409, 410, 412, 422."""
    access.permit(turn.who, kind, "update")
    before = _current(turn, kind, key(kind, name))
    if before is None:
        before = store.read(turn.connection, kind, key(kind, name), turn.reach)  # it says 410 or 404
    store.expect(before.version, expected)
    made: Any = change(binary.whole(turn.connection, before) if kind == "Binary" else before.content())
    resource = cast("dict[str, Any]", made) if isinstance(made, dict) else {}
    if resource.get("resourceType") != kind or resource.get("id") != before.logical:
        raise FhirError(422, "invariant", "a patch changes neither resourceType nor id", f"{kind}.id")
    guard.unchangeable(turn.connection, before)
    checked(turn, resource)
    return _next(turn, kind, resource, before, expected, "PATCH")


def patch_where(turn: Turn, kind: str, criteria: str, change: Change, *, expected: int | None = None) -> Done:
    """Patch the one resource that meets criteria; FhirError 404 where none does, 412 where several do."""
    access.permit(turn.who, kind, "update")
    there = matches(turn, kind, criteria)
    if there is None:
        raise FhirError(404, "not-found", f"no {kind} meets these criteria")
    return patch(turn, kind, there.logical, change, expected=expected)


def delete(turn: Turn, kind: str, name: str, *, expected: int | None = None, alone: bool = True) -> Done:
    """Delete a resource; its versions stay in its history. Deleting what is not there (any more) changes nothing.

    FhirError 409 for what is protected or (unless not `alone`: the caller looks later) referred to, 412.
    """
    access.permit(turn.who, kind, "delete")
    at = key(kind, name)
    before = _current(turn, kind, at)
    store.expect(before.version if before else None, expected)
    if before is None:
        return Done(204, kind, None, f"there is no such {kind}")
    guard.unchangeable(turn.connection, before)
    if turn.strict and alone:
        references.keep(turn.connection, kind, at)
    version = store.delete(turn.connection, kind, at, now=turn.now)
    _note(turn, "delete", kind, before)
    gone = Stored(before.id, version or before.version, turn.now, before.patient, "", before.name)
    return Done(204, kind, gone, f"{kind}/{before.logical} is deleted; its versions are in its history")


def delete_where(turn: Turn, kind: str, criteria: str) -> Done:
    """Delete the one resource that meets criteria; FhirError 412 where several do."""
    access.permit(turn.who, kind, "delete")
    there = matches(turn, kind, criteria)
    if there is None:
        return Done(204, kind, None, f"no {kind} meets these criteria")
    return delete(turn, kind, there.logical)


def matches(turn: Turn, kind: str, criteria: str) -> Stored | None:
    """Return the one resource within reach that meets criteria, None where none does; FhirError 412 where several do.

    Until the transaction ends, everybody else with the same criteria waits: none of them can come between.
    """
    access.permit(turn.who, kind, "search")
    pairs = parse_qsl(criteria.partition("?")[2] or criteria, keep_blank_values=True)
    if not any(not name.startswith("_") or name.partition(":")[0] in _CRITERIA for name, _ in pairs):
        raise FhirError(412, "incomplete", "criteria without any search parameter would mean every resource")
    wait = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    turn.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{kind}?{wait}",))
    query = search.understand(kind, [*pairs, ("_count", "2")], turn.base, now=turn.now)
    found = search.answer(
        turn.connection, query, turn.reach, may=lambda k: access.may(turn.who, k, "search")
    ).page.found
    if len(found) > 1:
        raise FhirError(412, "multiple-matches", f"more than one {kind} meets these criteria")
    return found[0].stored if found else None


_CRITERIA = ("_id", "_lastUpdated", "_tag", "_profile", "_security", "_source", "_has", "_list", "_text", "_content")
