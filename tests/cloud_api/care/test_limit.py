"""Individual limits: who may set and read them, what is refused and named, and that every version stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic

Put = Callable[..., Any]
RULE = {"rule": "range", "codes": [150021], "above": "150"}


def asked(clinic: Clinic, **changes: Any) -> dict[str, Any]:
    review = (clinic.time.now + timedelta(days=90)).isoformat()
    return {"rule": RULE, "severity": "warning", "zone": "Europe/Berlin", "review_at": review} | changes


def address(clinic: Clinic, patient: int = 0, rest: str = "") -> str:
    return f"/api/patient/{clinic.patients[patient]}/limits{rest}"


@pytest.fixture
def limit(clinic: Clinic) -> UUID:
    """A limit that a doctor has set; the browser is signed in as that doctor."""
    answer = clinic.browser.post(address(clinic), json=asked(clinic), headers=clinic.sign_in("doctor"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["version"] == 1
    return UUID(answer.json()["id"])


def listed(clinic: Clinic) -> list[dict[str, Any]]:
    answer = clinic.browser.get(address(clinic))
    assert answer.status_code == 200, answer.text
    return answer.json()["limits"]


def test_a_change_is_a_new_version_and_the_old_one_stays(clinic: Clinic, limit: UUID) -> None:
    clinic.time.move(days=2)
    wider = asked(clinic, rule=RULE | {"above": "160"}, severity="urgent")
    answer = clinic.browser.put(address(clinic, rest=f"/{limit}"), json=wider, headers=clinic.sign_in("doctor"))
    assert answer.json() == {"id": str(limit), "version": 2}
    newest, first = listed(clinic)
    assert [(v["version"], v["rule"]["above"], v["severity"]) for v in (newest, first)] == [
        (2, "160", "urgent"), (1, "150", "warning"),
    ]  # fmt: skip
    assert first["until"] == newest["start"]
    assert newest["until"] is None
    assert {newest["set_by"], first["set_by"], first["ended_by"]} == {str(demo_id("person/doctor"))}


def test_what_has_ended_stays_readable(clinic: Clinic, limit: UUID) -> None:
    clinic.time.move(days=1)
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post(address(clinic, rest=f"/{limit}/end"), headers=headers, json={})
    assert answer.json()["ended"] == 1
    (only,) = listed(clinic)
    assert datetime.fromisoformat(only["until"]) == clinic.time.now
    again = clinic.browser.post(address(clinic, rest=f"/{limit}/end"), headers=headers, json={})
    assert again.json()["ended"] == 0


def test_a_patient_reads_their_own_and_nobody_elses_and_sets_none(clinic: Clinic, limit: UUID) -> None:
    headers = clinic.sign_in("anna")
    assert [v["id"] for v in listed(clinic)] == [str(limit)]
    assert clinic.browser.get(address(clinic, 1)).status_code == 404
    assert clinic.browser.post(address(clinic), json=asked(clinic), headers=headers).status_code == 403
    assert clinic.browser.post(address(clinic, rest=f"/{limit}/end"), json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("role", ["technician", "manager"])
def test_who_keeps_the_fleet_sees_none(clinic: Clinic, limit: UUID, role: str) -> None:
    headers = clinic.sign_in(role)
    assert clinic.browser.get(address(clinic)).status_code == 403
    assert clinic.browser.post(address(clinic), json=asked(clinic), headers=headers).status_code == 403


def test_a_program_reads_and_sets_none(clinic: Clinic, limit: UUID) -> None:
    clinic.sign_out()
    headers = {"authorization": f"Bearer {clinic.program_token()}"}
    assert clinic.browser.get(address(clinic), headers=headers).status_code == 200
    assert clinic.browser.post(address(clinic), json=asked(clinic), headers=headers).status_code == 403


def test_another_patients_limit_is_not_changed(clinic: Clinic, limit: UUID) -> None:
    headers = clinic.sign_in("doctor")
    other = address(clinic, 1, f"/{limit}")
    assert clinic.browser.put(other, json=asked(clinic), headers=headers).status_code == 404
    assert clinic.browser.post(f"{other}/end", json={}, headers=headers).status_code == 404
    unknown = address(clinic, 0, f"/{uuid4()}")
    assert clinic.browser.put(unknown, json=asked(clinic), headers=headers).status_code == 404
    assert clinic.browser.get(f"/api/patient/{uuid4()}/limits").status_code == 404


def test_raw_sql_follows_the_care_relationship(clinic: Clinic, limit: UUID) -> None:
    count = "SELECT count(*) FROM watch_limit"
    with clinic.raw("doctor", uuid4()) as connection:
        assert connection.execute(count).fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute(
                "INSERT INTO watch_limit (id, version, subject, rule, severity, during, set_by)"
                " VALUES (gen_random_uuid(), 1, %s, '{}', 'note', tstzrange(now(), NULL), app.person())",
                (clinic.patients[0],),
            )
    with clinic.raw("technician", demo_id("person/technician")) as connection:
        assert connection.execute(count).fetchone() == (0,)
    with clinic.raw("patient", uuid4(), clinic.patients[1]) as connection:
        assert connection.execute(count).fetchone() == (0,)


def test_reading_and_setting_is_audited(clinic: Clinic, limit: UUID) -> None:
    listed(clinic)
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content #>> '{subtype,0,code}' FROM fhir.auditevent WHERE patient_id = %s ORDER BY id",
            (clinic.patients[0],),
        ).fetchall()
    assert sorted(row[0] for row in rows) == ["create", "search-type"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rule": {"rule": "range", "codes": [150021]}}, "$.above"),
        ({"rule": {"rule": "range", "codes": [1], "above": "150"}}, "$.codes"),
        ({"rule": {"rule": "absent"}}, "rule"),
        ({"rule": "150"}, "rule"),
        ({"severity": "loud"}, "$.severity"),
        ({"zone": "Europe/Nowhere"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"review_at": "2026-01-01T00:00:00Z"}, "review_at"),
        ({"review_at": "2040-01-01T00:00:00Z"}, "review_at"),
        ({"start": "2020-01-01T00:00:00Z"}, "start"),
        ({"start": "2030-01-01T00:00:00"}, "start"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_watched_is_refused_and_named(clinic: Clinic, changes: dict[str, Any], field: str) -> None:
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post(address(clinic), json=asked(clinic, **changes), headers=headers)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["issue"][0]["diagnostics"]
    assert listed(clinic) == []
