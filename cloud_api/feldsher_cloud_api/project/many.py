"""The readings of many events at once: what is asked and written for each alone is asked and written for all together.

What becomes of a reading is what `vitals.project` makes of it. Whatever is not plain (a clock nobody trusts, a device
that may still hold another's readings) is asked for by itself. Where anything fails, the caller projects the events one
by one: only the bad one stays behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID, uuid5

from feldsher_ingest import read
from feldsher_ingest.read import StoredVital

from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.project import common, vitals
from feldsher_cloud_api.project.common import Event, ProjectionError

MOST = 100
"""Readings brought into the record at once, beyond those of one event: about a fifth of a second's work."""
_APART_US = 14 * 86_400_000_000
"""Readings whose key times are further apart are looked for apart: each question looks into few chunks."""
_SEEN = timedelta(minutes=1)
"""So exactly is it noted when a gateway has last heard of a device, while many readings come."""
_queries = db.queries("project")


@dataclass(slots=True)
class _Reading:
    """A reading on its way into the record, with what is made of it."""

    event: Event
    values: list[StoredVital]
    device: UUID
    kind: str
    made: list[dict[str, Any]]
    patient: UUID | None = None
    reason: str = assignment.EARLIER

    @property
    def first(self) -> StoredVital:
        """Its first value, which stands for all where it is about device, user or time."""
        return self.values[0]


def size(event: Event) -> int:
    """Return how many readings an event brings into the record; continuous ones stay in the time series."""
    return 0 if event.body.get("continuous") else len(event.body["readings"])


def project(connection: db.Connection, events: Sequence[Event], now: datetime) -> None:
    """Bring the readings of several events into the record where they are not yet.

    ProjectionError where one is not stored, or where somebody else brings it in this very moment.
    """
    readings = _unknown(connection, _stored(connection, [e for e in events if size(e)]))
    if not readings:
        return
    _devices(connection, readings, now)
    _owners(connection, readings)
    resources, patients = list[dict[str, Any]](), list[UUID | None]()
    for one in readings:
        subject = {} if one.patient is None else {"subject": {"reference": f"Patient/{one.patient}"}}
        made = [resource | subject for resource in one.made]
        references = [f"Observation/{r['id']}" for r in made]
        trail = uuid5(one.first.reading_id, "provenance")
        source = str(one.first.message_id)
        made.append(common.provenance(trail, references, one.device, now, source, "feldsher cloud worker"))
        resources += made
        patients += [one.patient] * len(made)
    if not all(store.insert_many(connection, resources, now=now, patients=patients)):
        raise ProjectionError("readings: somebody else brings them in this very moment")
    for one in readings:
        if one.patient is None:
            common.queue_unassigned(
                connection, identity=one.first.reading_id, kind="vitals", resource=f"Observation/{one.made[0]['id']}",
                device=one.device, gateway=one.first.gateway, at=one.first.taken_at, reason=one.reason,
            )  # fmt: skip


def _stored(connection: db.Connection, events: Sequence[Event]) -> list[_Reading]:
    """Return the stored readings of events, each once."""
    of: dict[UUID, Event] = {}
    for event in events:
        for identity in event.body["readings"]:
            of.setdefault(UUID(identity), event)
    spans: dict[int | None, list[UUID]] = {}
    for identity, event in of.items():
        key_us = event.body.get("key_us")
        spans.setdefault(None if key_us is None else key_us[0] // _APART_US, []).append(identity)
    values: list[StoredVital] = []
    for ids in spans.values():
        keys = [key for i in ids for key in of[i].body.get("key_us") or ()]
        values += read.readings(connection, ids, (min(keys), max(keys)) if keys else None)
    found = [_made(of[identity], list(group)) for identity, group in groupby(values, lambda v: v.reading_id)]
    if len(found) < len(of):
        raise ProjectionError(f"readings: {len(of) - len(found)} of {len(of)} are not stored")
    return found


def _made(event: Event, values: list[StoredVital]) -> _Reading:
    device = common.device_id(values[0].gateway, values[0].device)
    return _Reading(event, values, device, vitals.kind(values), vitals.resources(values, device, None))


def _unknown(connection: db.Connection, readings: Sequence[_Reading]) -> list[_Reading]:
    ids = [UUID(one.made[0]["id"]) for one in readings]
    known = {row[0] for row in _queries.known_observations(connection, ids=ids)}
    return [one for one, identity in zip(readings, ids, strict=True) if identity not in known]


def _devices(connection: db.Connection, readings: Iterable[_Reading], now: datetime) -> None:
    """Register devices at first sight and note that they were heard of, in one order for everybody.

    What was noted a moment ago is left alone: its row is not locked until all this commits.
    """
    heard: dict[tuple[str, UUID], _Reading] = {}
    for one in readings:
        key = one.first.gateway, one.device
        if key not in heard or heard[key].kind == "unknown":
            heard[key] = one
    asked = {"gateways": [g for g, _ in heard], "devices": [d for _, d in heard], "since": now - _SEEN}
    fresh = {(gateway, device) for gateway, device in _queries.heard(connection, **asked)}
    for key in sorted(heard.keys() - fresh):
        one = heard[key]
        model = one.event.body.get("model")
        common.device(connection, one.first.gateway, one.first.device, now, kind=one.kind, model=model)


def _owners(connection: db.Connection, readings: Iterable[_Reading]) -> None:
    """Find whose readings are: by the time of measurement, where nothing speaks against that."""
    asked = [one for one in readings if not one.event.body.get("unowned")]
    trusted = read.clocks_trusted(connection, {(one.first.gateway, one.first.message_id) for one in asked})
    plain = [one for one in asked if (one.first.gateway, one.first.message_id) in trusted and _timed(one)]
    held: dict[int, dict[int | None, UUID]] = {}
    devices, times = [one.device for one in plain], [one.first.taken_at for one in plain]
    for place, patient, number in _queries.holding_all(connection, devices=devices, times=times):
        held.setdefault(place - 1, {})[number] = patient
    for place, one in enumerate(plain):
        one.patient, one.reason = assignment.of_users(held.get(place, {}), one.first.user_no)
    found = {id(one) for one in plain}
    for one in asked:
        if id(one) not in found:
            one.patient, one.reason = vitals.owner(connection, one.first, one.device, one.kind, one.event.at)


def _timed(one: _Reading) -> bool:
    """Whether a reading's own time decides whose it is (vitals.owner)."""
    ahead = one.first.taken_at == one.first.time and one.first.time > one.first.received_at + assignment.AHEAD_BY
    return not ahead and not (one.first.sent_at is None and one.kind in assignment.REMEMBERING)
