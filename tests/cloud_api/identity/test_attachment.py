"""Whose patient a resident is, vacancies and substitutes, a register's list, and what a death ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.identity import attachment, reconcile
from feldsher_cloud_api.identity.attachment import AttachmentError
from feldsher_cloud_api.identity.reconcile import ListError
from feldsher_tools.clinic import Clinic

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Town:
    """A connection whose work is undone, a clinic with a district, a resident, two therapists."""

    connection: db.Connection
    clinic: UUID
    district: UUID
    resident: UUID
    holder: UUID
    other: UUID

    def patient(self) -> dict[str, Any]:
        return store.read(self.connection, "Patient", self.resident).content()

    def in_charge(self, at: datetime) -> UUID | None:
        row = self.connection.execute("SELECT app.therapist_of(%s, %s)", (self.resident, at)).fetchone()
        return row[0] if row else None

    def attached(self, at: datetime) -> UUID | None:
        row = self.connection.execute("SELECT app.clinic_of(%s, %s)", (self.resident, at)).fetchone()
        return row[0] if row else None


@pytest.fixture
def town(clinic: Clinic) -> Iterator[Town]:
    with db.connect(clinic.url) as connection:
        organization, resident = uuid4(), uuid4()
        for kind, identity, value in (("Organization", organization, "C"), ("Patient", resident, "P")):
            of = [{"system": "urn:test:list", "value": value}]
            store.insert(connection, {"resourceType": kind, "id": str(identity), "identifier": of}, now=NOW)
        district = attachment.district(connection, organization, "7", NOW)
        yield Town(connection, organization, district, resident, uuid4(), uuid4())
        connection.rollback()


def attach(town: Town, at: datetime = NOW) -> bool:
    return attachment.attach(town.connection, town.resident, town.clinic, town.district, at, reason="residence")


def test_a_resident_shows_their_clinic_and_who_is_in_charge(town: Town) -> None:
    assert attach(town)
    assert not attach(town, NOW + DAY)
    assert "generalPractitioner" not in town.patient()
    assert [v["residents"] for v in attachment.vacancies(town.connection, NOW) if v["district"] == town.district] == [1]
    assert attachment.appoint(town.connection, town.district, town.holder, NOW + DAY) == 1
    shown = town.patient()
    assert shown["managingOrganization"] == {"reference": f"Organization/{town.clinic}"}
    assert shown["generalPractitioner"] == [{"reference": f"Practitioner/{town.holder}"}]
    assert not [v for v in attachment.vacancies(town.connection, NOW + DAY) if v["district"] == town.district]
    rows = town.connection.execute("SELECT app.residents_of(%s, %s)", (town.holder, NOW + DAY)).fetchall()
    assert rows == [(town.resident,)]
    care = town.connection.execute(
        "SELECT patient FROM cloud.clinic_patient WHERE organization = %s AND during @> %s", (town.clinic, NOW)
    ).fetchall()
    assert care == [(town.resident,)]  # what the clinic's staff reaches (access)


def test_a_substitute_stands_in_for_a_time_and_a_successor_follows(town: Town) -> None:
    attach(town)
    attachment.appoint(town.connection, town.district, town.holder, NOW)
    attachment.appoint(town.connection, town.district, town.other, NOW + 5 * DAY, NOW + 9 * DAY, acting=True)
    assert [town.in_charge(NOW + n * DAY) for n in (1, 6, 10)] == [town.holder, town.other, town.holder]
    attachment.appoint(town.connection, town.district, town.other, NOW + 20 * DAY)
    assert [town.in_charge(NOW + n * DAY) for n in (19, 21)] == [town.holder, town.other]
    attachment.vacate(town.connection, town.district, NOW + 30 * DAY)
    assert town.in_charge(NOW + 31 * DAY) is None
    with pytest.raises(AttachmentError, match="later time"):
        attachment.appoint(town.connection, town.district, town.holder, NOW - DAY)


def test_who_moves_is_attached_elsewhere_from_then_on(town: Town) -> None:
    attach(town)
    elsewhere = uuid4()
    moved = NOW + 10 * DAY
    assert attachment.attach(town.connection, town.resident, elsewhere, None, moved, reason="transfer")
    assert [town.attached(NOW + n * DAY) for n in (9, 11)] == [town.clinic, elsewhere]
    assert attachment.end(town.connection, town.resident, moved + DAY, "moved-away")
    assert "managingOrganization" not in town.patient()
    with pytest.raises(AttachmentError, match="another time"):
        attachment.attach(town.connection, town.resident, elsewhere, None, NOW - DAY, reason="choice")


def test_a_death_ends_the_attachment_and_its_withdrawal_resumes_it(town: Town) -> None:
    attach(town)
    died = NOW + 3 * DAY
    store.update(town.connection, town.patient() | {"deceasedDateTime": died.isoformat()}, now=died)
    assert [town.attached(died + n * DAY) for n in (-1, 1)] == [town.clinic, None]
    with pytest.raises(AttachmentError) as refusal:
        attach(town, died + DAY)
    assert refusal.value.code == "dead"
    alive = town.patient()
    del alive["deceasedDateTime"]
    store.update(town.connection, alive, now=died + 2 * DAY)
    assert town.attached(died + DAY) == town.clinic


@pytest.mark.parametrize("said", ["2026", "2026-11", "2026-11-04"])
def test_a_death_of_a_partial_date_is_understood(town: Town, said: str) -> None:
    attach(town)
    store.update(town.connection, town.patient() | {"deceasedDateTime": said}, now=NOW + 60 * DAY)
    assert town.attached(datetime(2027, 1, 2, tzinfo=UTC)) is None


def test_a_list_is_applied_and_every_line_accounted_for(town: Town) -> None:
    me, here = "urn:test:list|P", "urn:test:list|C"
    lines = [
        "patient,clinic,district,since",
        f"{me},{here},7,2026-11-01T00:00:00+00:00",
        f"{me},{here},8,2026-11-01T00:00:00+00:00",
        f"urn:test:list|nobody,{here},7,2026-11-01T00:00:00+00:00",
        f"{me}x,urn:test:list|nowhere,7,2026-11-01T00:00:00+00:00",
    ]
    report = reconcile.apply(town.connection, reconcile.read(lines), NOW)
    assert (report.lines, report.attached, report.unchanged) == (4, 1, 0)
    assert [(line, why.partition(":")[0]) for line, why in report.refused] == [
        (3, "twice"),
        (4, "unknown-patient"),
        (5, "unknown-patient"),
    ]
    again = reconcile.apply(town.connection, reconcile.read(lines[:2]), NOW)
    assert (again.attached, again.unchanged) == (0, 1)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["patient,clinic"], "line 1: the columns district, since"),
        (["patient,clinic,district,since", "a,b,c,x"], "line 2: since"),
    ],
)
def test_a_list_that_cannot_be_read_names_its_line(lines: list[str], words: str) -> None:
    with pytest.raises(ListError, match=words):
        list(reconcile.read(lines))
