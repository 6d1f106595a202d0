"""Two records of one person brought together and taken apart again: nothing is lost, and each gets back its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.identity import duplicate, merge
from feldsher_tools.clinic import Clinic

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WHY = "the same papers"


@dataclass(frozen=True, slots=True)
class People:
    """A connection whose work is undone, and two records of one person with something of each."""

    connection: db.Connection
    survivor: UUID
    source: UUID
    own: UUID
    other: UUID
    both: UUID

    def content(self, kind: str, key: UUID) -> dict[str, Any]:
        return store.read(self.connection, kind, key).content()

    def whose(self, kind: str, key: UUID) -> UUID | None:
        return store.read(self.connection, kind, key).patient

    def put(self, kind: str, **elements: Any) -> UUID:
        identity = uuid4()
        store.insert(self.connection, {"resourceType": kind, "id": str(identity), **elements}, now=NOW)
        return identity

    def found(self, patient: UUID) -> set[UUID]:
        rows = self.connection.execute(
            "SELECT id FROM fhir.condition WHERE terms && ARRAY[fhir.term('patient=Patient/' || %s::text)]", (patient,)
        ).fetchall()
        return {row[0] for row in rows}


def person(given: str = "Анна") -> dict[str, Any]:
    name = {"family": "Щегловитова", "given": [given, "Никаноровна"]}
    return {"name": [name], "birthDate": "1961-02-03", "gender": "female"}


def subject(patient: UUID) -> dict[str, str]:
    return {"reference": f"Patient/{patient}"}


@pytest.fixture
def people(clinic: Clinic) -> Iterator[People]:
    with db.connect(clinic.url, db.WORKER) as connection:
        empty = People(connection, *[UUID(int=0)] * 5)
        survivor, source = empty.put("Patient", **person()), empty.put("Patient", active=True, **person())
        own = empty.put("Condition", subject=subject(survivor))
        other = empty.put("Condition", subject=subject(source), asserter=subject(source))
        both = empty.put("Condition", subject=subject(survivor), asserter=subject(source))
        yield People(connection, survivor, source, own, other, both)
        connection.rollback()


def test_what_was_the_sources_becomes_the_survivors(people: People) -> None:
    report = merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    assert report.moved["Condition"] == 2
    to = subject(people.survivor)
    moved = people.content("Condition", people.other)
    assert (moved["subject"], moved["asserter"], people.whose("Condition", people.other)) == (to, to, people.survivor)
    assert people.content("Condition", people.both)["asserter"] == to
    assert people.found(people.survivor) >= {people.own, people.other, people.both}
    gone, kept = people.content("Patient", people.source), people.content("Patient", people.survivor)
    assert (gone["active"], gone["link"]) == (False, [{"other": to, "type": "replaced-by"}])
    assert kept["link"] == [{"other": subject(people.source), "type": "replaces"}]


def test_undoing_restores_exactly_what_came_from_which(people: People) -> None:
    before = {k: people.content("Condition", k) for k in (people.own, people.other, people.both)}
    patients = {k: people.content("Patient", k) for k in (people.survivor, people.source)}
    report = merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    since = people.put("Condition", subject=subject(people.survivor))
    undone = merge.unmerge(people.connection, report.merge, reason="two people after all", now=NOW + timedelta(days=1))
    assert undone.left == {}

    def bare(resource: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in resource.items() if k != "meta"}

    assert {k: bare(people.content("Condition", k)) for k in before} == {k: bare(v) for k, v in before.items()}
    assert {k: bare(people.content("Patient", k)) for k in patients} == {k: bare(v) for k, v in patients.items()}
    assert people.whose("Condition", people.other) == people.source
    assert people.whose("Condition", since) == people.survivor  # written since, so nobody knows of whom
    assert [m["undone_reason"] for m in merge.of(people.connection, people.source)] == ["two people after all"]


def test_what_has_been_changed_since_is_not_overwritten(people: People) -> None:
    report = merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    third = people.put("Patient", **person("Ольга"))
    changed = people.content("Condition", people.other) | {"subject": subject(third), "asserter": subject(third)}
    store.update(people.connection, changed, now=NOW)
    undone = merge.unmerge(people.connection, report.merge, reason="no", now=NOW)
    assert undone.left == {"Condition": 1}
    assert people.content("Condition", people.other)["subject"] == subject(third)


def test_devices_go_over_and_come_back(people: People, clinic: Clinic) -> None:
    with clinic.owner() as owner:
        device = owner.execute("SELECT id FROM cloud.device ORDER BY id LIMIT 1").fetchone()
        assert device is not None
        during = "tstzrange('2001-01-01', '2001-02-01')"
        assignment = uuid4()
        owner.execute(
            f"INSERT INTO cloud.device_assignment (id, device, patient, during) VALUES (%s, %s, %s, {during})",  # noqa: S608
            (assignment, device[0], people.source),
        )
    try:

        def holder() -> UUID:
            row = people.connection.execute(
                "SELECT patient FROM cloud.device_assignment WHERE id = %s", (assignment,)
            ).fetchone()
            assert row is not None
            return row[0]

        report = merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
        assert holder() == people.survivor
        merge.unmerge(people.connection, report.merge, reason="no", now=NOW)
        assert holder() == people.source
    finally:
        people.connection.rollback()
        with clinic.owner() as owner:
            owner.execute("DELETE FROM cloud.device_assignment WHERE id = %s", (assignment,))


def test_what_cannot_be_merged_is_refused(people: People) -> None:
    merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    third = people.put("Patient", **person())
    for survivor, source, status in (
        (people.survivor, people.survivor, 422),
        (third, people.source, 409),
        (people.source, third, 409),
        (third, uuid4(), 404),
    ):
        with pytest.raises(FhirError) as refusal:
            merge.merge(people.connection, survivor, source, reason=WHY, now=NOW)
        assert refusal.value.status == status


def test_later_merges_are_undone_first(people: People) -> None:
    first = merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    third = people.put("Patient", **person())
    second = merge.merge(people.connection, third, people.survivor, reason=WHY, now=NOW)
    with pytest.raises(FhirError, match="undo that first"):
        merge.unmerge(people.connection, first.merge, reason="no", now=NOW)
    merge.unmerge(people.connection, second.merge, reason="no", now=NOW)
    merge.unmerge(people.connection, first.merge, reason="no", now=NOW)
    assert people.whose("Condition", people.other) == people.source
    with pytest.raises(FhirError, match="undone already"):
        merge.unmerge(people.connection, first.merge, reason="no", now=NOW)


def test_duplicates_wait_until_a_person_decides(people: People) -> None:
    assert duplicate.look(people.connection, people.source, NOW) == 1
    assert duplicate.look(people.connection, people.survivor, NOW) == 1  # the same pair, once
    pair = tuple(sorted((people.survivor, people.source)))
    row = people.connection.execute(
        "SELECT grade, decision FROM cloud.identity_pair WHERE (first, second) = (%s, %s)", pair
    ).fetchall()
    assert row == [("certain", None)]
    merge.merge(people.connection, people.survivor, people.source, reason=WHY, now=NOW)
    decided = people.connection.execute(
        "SELECT decision FROM cloud.identity_pair WHERE (first, second) = (%s, %s)", pair
    ).fetchone()
    assert decided == ("same",)


def test_the_applications_role_merges_nothing(clinic: Clinic) -> None:
    with clinic.raw("doctor") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT count(*) FROM cloud.identity_merge")


def test_doctors_and_patients_may_not(clinic: Clinic) -> None:
    asked = {"survivor": clinic.patients[0], "source": clinic.patients[1], "reason": WHY}
    for name in ("doctor", "anna"):
        answer = clinic.browser.post("/api/identity/merges", json=asked, headers=clinic.sign_in(name))
        assert answer.status_code == 403, answer.text
