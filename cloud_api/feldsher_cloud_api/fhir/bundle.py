"""Batch (each entry has its own outcome) and transaction (all or nothing), http://hl7.org/fhir/R4/http.html#transaction.

A transaction is one of the database's: what its criteria mean is settled first, then addresses are rewritten, then
everything is validated, then DELETE, POST, PUT with PATCH, and GET are done in this order. Nothing of it is seen by
anybody before the commit, and nothing is left of it where any entry is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg import sql

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Forbidden
from feldsher_cloud_api.care import order
from feldsher_cloud_api.fhir import (
    dates,
    entry,
    guard,
    headers,
    identity,
    interaction,
    patch_fhirpath,
    patch_json,
    references,
    rewrite,
    statement,
    store,
    validate,
)
from feldsher_cloud_api.fhir.entry import Entry
from feldsher_cloud_api.fhir.interaction import Done, Turn
from feldsher_cloud_api.fhir.kinds import kind as kind_of
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError, InvalidResourceError, outcome
from feldsher_cloud_api.fhir.store import Stored

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Got:
    """What a GET in a Bundle has found: a resource or Bundle as it leaves, with version and time where it has them."""

    body: bytes
    stored: Stored | None = None


Get = Callable[[Turn, Entry], Got]
"""How a GET is answered: reading, history and search are the routes' own."""


def transaction(turn: Turn, bundle: dict[str, Any], get: Get, *, whole: bool = False) -> bytes:
    """Do everything that a transaction asks for, or nothing, and return its answer; FhirError says which entry's fault.

    `whole`: written resources are in the answer.
    """
    entries = entry.read(bundle)
    turn = replace(turn, audited=False)
    done: dict[int, Done | Got] = {}
    _settle(turn, entries, done)
    _once_each(entries)
    _rewrite(turn, entries, done)
    _checked(turn, entries, done)
    for one in sorted(entries, key=lambda e: _ORDER[e.method]):
        if one.index not in done and one.method != "POST":
            done[one.index] = _located(one, lambda one=one: _do(turn, one, get))
        elif one.index not in done:
            _create(turn, [e for e in entries if e.method == "POST" and e.index not in done], done)
    for one in entries:
        if turn.strict and one.method == "DELETE" and one.target is not None:
            _located(one, lambda one=one: _kept(turn, one))
    _audit(turn, entries, done)
    answers = [_answer(turn.base, e, done[e.index], whole=whole) for e in entries]
    return db.dumps(
        {"resourceType": "Bundle", "type": "transaction-response"} | ({"entry": answers} if answers else {})
    )


def _kept(turn: Turn, one: Entry) -> None:
    """Raise FhirError 409 where somebody still refers to what the transaction has deleted."""
    if one.target is not None:
        references.keep(turn.connection, one.kind, one.target)


_Made = TypeVar("_Made")


def _located(one: Entry, work: Callable[[], _Made]) -> _Made:
    try:
        return work()
    except FhirError as error:
        raise one.located(error) from error
    except Forbidden as error:
        raise Forbidden(f"{one.at}: {error}") from error


def _settle(turn: Turn, entries: list[Entry], done: dict[int, Done | Got]) -> None:
    """Find out which resource each entry is about; those with criteria wait for each other in one order everywhere."""
    for one in sorted(entries, key=lambda e: (e.kind, e.if_none_exist or e.query)):
        if one.method == "POST" and one.if_none_exist is not None:
            there = _located(one, lambda one=one: interaction.matches(turn, one.kind, one.if_none_exist or ""))
            if there is not None:
                done[one.index] = Done(200, one.kind, there, "one that meets ifNoneExist is there already")
        elif one.query and one.method in ("PUT", "PATCH", "DELETE"):
            there = _located(one, lambda one=one: interaction.matches(turn, one.kind, one.query))
            if there is not None:
                one.name, one.target = there.logical, there.id
            elif one.method == "DELETE":
                done[one.index] = Done(204, one.kind, None, f"no {one.kind} meets these criteria")
            elif one.method == "PATCH":
                raise one.located(FhirError(404, "not-found", f"no {one.kind} meets these criteria"))
            else:
                _new_by_criteria(turn, one)
        elif one.name and one.method not in ("GET", "HEAD"):
            one.target = identity.key(one.name)
        if one.method == "POST" and one.index not in done:
            one.name = str(store.new_id(turn.now))
            one.target = identity.key(one.name)


def _new_by_criteria(turn: Turn, one: Entry) -> None:
    """Settle a conditional update that nothing meets: it creates, under the resource's own id where it has one."""
    resource = one.resource or {}
    if "id" not in resource:
        resource["id"] = str(store.new_id(turn.now))
    one.name = str(resource["id"])
    if not identity.is_id(one.name):
        raise one.located(FhirError(400, "value", "id: cannot be a resource's id", f"{one.kind}.id"))
    one.target = identity.key(one.name)
    if store.find(turn.connection, one.kind, one.target) is not None:
        words = f"id: {one.kind}/{one.name} is there, and does not meet the criteria"
        raise one.located(FhirError(409, "conflict", words, f"{one.kind}.id"))


def _once_each(entries: list[Entry]) -> None:
    """Refuse a transaction that would change one resource twice."""
    seen: dict[tuple[str, Any], Entry] = {}
    for one in entries:
        if one.target is None or one.method in ("GET", "HEAD"):
            continue
        other = seen.setdefault((one.kind, one.target), one)
        if other is not one:
            words = f"it is about {one.kind}/{one.name}, and so is {other.at}"
            raise one.located(FhirError(400, "duplicate", words))


def _rewrite(turn: Turn, entries: list[Entry], done: dict[int, Done | Got]) -> None:
    """Put the ids that resources get in the place of the addresses that entries go by."""
    addresses: dict[str, str] = {}
    for one in entries:
        already = done.get(one.index)
        there = already.stored if isinstance(already, Done) else None
        name = there.logical if there is not None else one.name
        if one.full_url and name and one.method in ("POST", "PUT"):
            addresses[one.full_url] = f"{one.kind}/{name}"
    met: dict[str, str] = {}
    for one in entries:
        if one.resource is None or one.index in done or one.method == "PATCH":
            continue
        for text in rewrite.references(one.resource):
            if text not in met and rewrite.conditional(text) is not None:
                met[text] = _located(one, lambda text=text: _the_one(turn, text))
        rewrite.rewrite(one.resource, rewrite.finder(addresses | met, one.full_url))


def _the_one(turn: Turn, text: str) -> str:
    kind, criteria = rewrite.conditional(text) or ("", "")
    there = interaction.matches(turn, kind, criteria)
    if there is None:
        raise FhirError(412, "not-found", f"no {kind} meets the conditional reference {text[:120]!r}")
    return f"{kind}/{there.logical}"


def _checked(turn: Turn, entries: list[Entry], done: dict[int, Done | Got]) -> None:
    """Raise InvalidResourceError with the faults of all resources that would be written."""
    written = [e for e in entries if e.index not in done and e.resource is not None and e.method != "PATCH"]
    faults: list[FaultError] = []
    for one in written:
        resource = one.resource or _NOTHING
        faults += _faults(one, validate.errors(resource, turn.now) or guard.claimed(resource))
    validate.check(faults)
    if turn.strict:
        whole = [{**(one.resource or _NOTHING), "id": one.name} for one in written]
        for missing in references.missing(turn.connection, whole):
            faults += _faults(written[missing.number], references.refused([missing], [_NOTHING]))
        validate.check(faults)


def _faults(one: Entry, found: list[FaultError]) -> list[FaultError]:
    located = one.located(InvalidResourceError(found)) if found else None
    return located.faults if isinstance(located, InvalidResourceError) else []


def _create(turn: Turn, entries: list[Entry], done: dict[int, Done | Got]) -> None:
    """Create what POST asks for: orders and bytes one by one, all else at once."""
    plain: list[Entry] = []
    for one in entries:
        _located(one, lambda one=one: access.permit(turn.who, one.kind, "create"))
        resource = one.resource or _NOTHING
        if one.kind == "Binary" or (one.kind == "ServiceRequest" and order.is_order(resource)):
            done[one.index] = _located(one, lambda one=one: _singly(turn, one))
        else:
            plain.append(one)
    if not plain:
        return
    resources = [{**(one.resource or _NOTHING), "id": one.name} for one in plain]
    if not all(store.insert_many(turn.connection, resources, now=turn.now)):
        raise FhirError(409, "conflict", "a new id was taken already: send it again")
    there = _seen(turn, plain)
    for one in plain:
        stored = there.get((one.kind, one.target))
        if stored is None:
            raise one.located(FhirError(403, "forbidden", "it would belong to somebody outside of your reach"))
        access.written(turn.connection, turn.who, one.kind, stored.id, "create")
        done[one.index] = Done(201, one.kind, stored)


def _singly(turn: Turn, one: Entry) -> Done:
    if one.target is None:
        raise AssertionError("every POST has got its key")
    return interaction.create_as(turn, one.kind, one.resource or {}, one.target)


def _seen(turn: Turn, entries: list[Entry]) -> dict[tuple[str, Any], Stored]:
    """Return what of the created resources their writer reaches: all of it, or the transaction is refused."""
    found: dict[tuple[str, Any], Stored] = {}
    for name in {one.kind for one in entries}:
        of, keys = kind_of(name), [one.target for one in entries if one.kind == name]
        where, values = turn.reach.predicate(name)
        query = sql.SQL(
            "SELECT id, version, updated, patient_id, content::text, logical FROM {} WHERE {} id = ANY (%s) AND {}"
        ).format(statement.table(of), statement.typed(of), where)
        for row in turn.connection.execute(query, [keys, *values]).fetchall():
            found[name, row[0]] = Stored(*row)
        if access.narrowings(turn.who, name, "c"):
            for at in keys:
                access.written(turn.connection, turn.who, name, at, "create")  # pyright: ignore[reportArgumentType]
    return found


def _do(turn: Turn, one: Entry, get: Get) -> Done | Got:
    expected = headers.expected(one.request.get("ifMatch"))
    if one.method in ("GET", "HEAD"):
        return get(turn, one)
    if one.method == "DELETE":
        return interaction.delete(turn, one.kind, one.name, expected=expected, alone=turn.audited)
    if one.method == "PUT":
        resource = one.resource or {}
        if one.query:
            resource = {**resource, "id": resource.get("id", one.name)}
        # What belongs to a transaction is checked as a whole, before any of it is written.
        whole = not turn.audited
        return interaction.update(turn, one.kind, one.name, resource, expected=expected, validated=whole)
    return interaction.patch(turn, one.kind, one.name, _change(one), expected=expected)


def _change(one: Entry) -> interaction.Change:
    is_json, given = entry.patch_of(one)
    if is_json:
        operations = validate.parsed(given if isinstance(given, bytes) else b"")
        return lambda resource: patch_json.apply(resource, operations)
    return lambda resource: patch_fhirpath.apply(resource, given if isinstance(given, dict) else {})


def batch(turn: Turn, bundle: dict[str, Any], get: Get, *, whole: bool = False) -> bytes:
    """Do what each entry of a batch asks for, each for itself, and return their outcomes in the same order."""
    answers: list[dict[str, Any]] = []
    for one in entry.read(bundle):
        try:
            with turn.connection.transaction():
                answers.append(_answer(turn.base, one, _alone(turn, one, get), whole=whole))
        except FhirError as error:
            located = one.located(error)
            answers.append(_refusal(located.status, located.outcome()))
        except Forbidden as error:
            answers.append(_refusal(403, outcome([FhirError(403, "forbidden", str(error), one.at)])))
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.InsufficientPrivilege) as error:
            answers.append(_refusal(*refused(error, one.at)))
    return db.dumps({"resourceType": "Bundle", "type": "batch-response"} | ({"entry": answers} if answers else {}))


def refused(error: psycopg.Error, at: str | None = None) -> tuple[int, dict[str, Any]]:
    """Return status and OperationOutcome of what the database itself has refused."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        known = FhirError(403, "forbidden", "this would belong to somebody outside of your reach", at)
    elif isinstance(error, psycopg.IntegrityError):
        known = FhirError(409, "conflict", "this contradicts what is there already", at)
    else:
        known = FhirError(400, "value", "a value cannot be stored: a number too large, or a character that is none", at)
    return known.status, known.outcome()


def _refusal(status: int, said: dict[str, Any]) -> dict[str, Any]:
    return {"response": {"status": str(status), "outcome": said}}


def _alone(turn: Turn, one: Entry, get: Get) -> Done | Got:
    expected = headers.expected(one.request.get("ifMatch"))
    if one.method == "POST":
        return interaction.create(turn, one.kind, one.resource or {}, if_none_exist=one.if_none_exist)
    if not one.query or one.method in ("GET", "HEAD"):
        return _do(turn, one, get)
    if one.method == "DELETE":
        return interaction.delete_where(turn, one.kind, one.query)
    if one.method == "PUT":
        return interaction.update_where(turn, one.kind, one.query, one.resource or {}, expected=expected)
    return interaction.patch_where(turn, one.kind, one.query, _change(one), expected=expected)


def _answer(base: str, one: Entry, done: Done | Got, *, whole: bool) -> dict[str, Any]:
    if isinstance(done, Got):
        said: dict[str, Any] = {"status": "200"}
        if done.stored is not None:
            said |= {"etag": headers.etag(done.stored.version), "lastModified": dates.render(done.stored.updated)}
        body = {} if one.method == "HEAD" else {"resource": msgspec.Raw(done.body)}
        return body | {"response": said}
    said = {"status": str(done.status)}
    stored = done.stored
    if stored is None:
        return {"response": said}
    place = f"{base}/{done.kind}/{stored.logical}"
    said |= {"etag": headers.etag(stored.version), "lastModified": dates.render(stored.updated)}
    if stored.deleted:
        return {"response": said}
    said["location"] = f"{place}/_history/{stored.version}"
    shown = {"fullUrl": place, "resource": msgspec.Raw(stored.json.encode())} if whole else {"fullUrl": place}
    return shown | {"response": said}


def _audit(turn: Turn, entries: list[Entry], done: dict[int, Done | Got]) -> None:
    """Write one event for each patient whom a transaction has touched, or one where it touched nobody's."""
    touched: dict[Any, list[str]] = {}
    for one in entries:
        found = done[one.index].stored
        if found is not None:
            references = touched.setdefault(found.patient, [])
            if one.kind != "Patient":
                references.append(f"{one.kind}/{found.logical}")
    for patient, references in (touched or {None: []}).items():
        audit.record(
            turn.connection, turn.who, interaction="transaction", action="E", now=turn.now, resources=references,
            patient=patient,
        )  # fmt: skip
