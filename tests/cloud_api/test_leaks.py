"""What is out of reach does not exist: no search, chain, include, count, history or address tells that it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import accounts, auth
from feldsher_cloud_api.fhir import store
from feldsher_tools.clinic import Clinic

SECRET = "Zzyzx"
ROLES = ("doctor", "nurse", "registrar", "examiner", "patient")


@dataclass
class Two:
    """The clinic with a near and a far patient and resources of each; the browser's person reaches the near."""

    clinic: Clinic
    near: str
    far: str
    of_far: dict[str, str]

    def get(self, path: str) -> Any:
        return self.clinic.browser.get(f"/fhir{path}" if path.startswith("?") else f"/fhir/{path}")

    def ids(self, path: str) -> set[str]:
        """Return the ids of a search's entries, 403 being none."""
        answer = self.get(path)
        assert answer.status_code in (200, 403), (path, answer.text)
        return {e["resource"]["id"] for e in answer.json().get("entry", []) if "id" in e["resource"]}


def _record(patient: UUID, name: str) -> list[dict[str, Any]]:
    subject = {"reference": f"Patient/{patient}"}
    code = {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": name}
    observation, encounter = str(uuid4()), str(uuid4())
    return [
        {"resourceType": "Patient", "id": str(patient), "name": [{"family": name}], "birthDate": "1961-02-03",
         "identifier": [{"system": "urn:test", "value": name}]},
        {"resourceType": "Encounter", "id": encounter, "status": "finished", "class": {"code": "AMB"},
         "subject": subject},
        {"resourceType": "Observation", "id": observation, "status": "final", "code": code, "subject": subject,
         "encounter": {"reference": f"Encounter/{encounter}"}, "effectiveDateTime": "2026-01-02",
         "valueQuantity": {"value": 171, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}},
        {"resourceType": "Condition", "id": str(uuid4()), "subject": subject, "code": {"text": name}},
        {"resourceType": "DiagnosticReport", "id": str(uuid4()), "status": "final", "code": code, "subject": subject,
         "result": [{"reference": f"Observation/{observation}"}]},
        {"resourceType": "Coverage", "id": str(uuid4()), "status": "active", "beneficiary": subject,
         "payor": [subject]},
    ]  # fmt: skip


@pytest.fixture(params=ROLES)
def two(request: pytest.FixtureRequest, clinic: Clinic) -> Iterator[Two]:
    """Two patients, and somebody of each role who reaches one of them."""
    role: str = request.param
    near, far, person = uuid4(), uuid4(), uuid4()
    made = [*_record(near, "Nearly"), *_record(far, SECRET)]
    with clinic.owner() as connection:
        for resource in made:
            store.put(connection, resource, now=datetime.now(UTC))
        accounts.add_person(
            connection, identity=person, username=f"{role}{person}", display=role, role=role, password=None,
            patient=near if role == "patient" else None,
        )  # fmt: skip
        if role == "examiner":
            connection.execute(
                "INSERT INTO cloud.access_grant (kind, person, patient, during, reason)"
                " VALUES ('examination', %s, %s, tstzrange(now(), now() + interval '1 hour'), 'x')",
                (person, near),
            )
        elif role != "patient":
            accounts.care_for(connection, person, near, "test")
    clinic.browser.cookies.set(auth.COOKIE, auth.open_session(clinic.context, person))
    yield Two(clinic, str(near), str(far), {r["resourceType"]: r["id"] for r in made[len(made) // 2 :]})
    with clinic.owner() as connection:
        for kind in ("Patient", "Encounter", "Condition", "Coverage"):
            gone = ([UUID(r["id"]) for r in made if r["resourceType"] == kind],)
            connection.execute(f"DELETE FROM fhir.{kind.lower()} WHERE id = ANY (%s)".encode(), gone)  # noqa: S608
        connection.execute("DELETE FROM cloud.access_grant")


def _searches(of: Two) -> list[str]:
    far, observation, condition = of.far, of.of_far["Observation"], of.of_far["Condition"]
    return [
        f"Patient?_id={far}",
        f"Patient?identifier=urn:test|{SECRET}",
        f"Patient?name={SECRET}",
        "Patient?family:contains=zyz",
        "Patient?birthdate=1961-02-03&_count=100",
        f"Patient?_has:Observation:patient:_id={observation}",
        f"Patient?_has:Condition:patient:_id={condition}",
        "Patient?_revinclude=Observation:patient&_count=100",
        f"Observation?patient={far}",
        f"Observation?subject=Patient/{far}",
        f"Observation?patient=Patient/{far}/_history/1",
        f"Observation?subject:Patient.name={SECRET}",
        f"Observation?patient.identifier=urn:test|{SECRET}",
        f"Observation?code:text={SECRET}",
        "Observation?code=8480-6&_count=100",
        "Observation?value-quantity=171&_count=100",
        "Observation?_include=Observation:patient&_count=100",
        "Observation?_include=*&_include:iterate=*&_count=100",
        "DiagnosticReport?_include=DiagnosticReport:result&_count=100",
        f"DiagnosticReport?result={observation}",
        "Encounter?_revinclude=Observation:encounter&_count=100",
        "Condition?subject:Patient._has:Observation:patient:code=8480-6",
        f"Coverage?beneficiary.name={SECRET}",
        f"AuditEvent?patient={far}",
        f"Patient/{far}/Observation",
        f"Patient/{far}/*",
        "?_type=Patient,Observation&_count=100",
    ]


def test_no_search_finds_it(two: Two) -> None:
    beyond = set(two.of_far.values())
    for path in _searches(two):
        answer = two.get(path)
        assert answer.status_code in (200, 400, 403, 404), (path, answer.text)
        found = {e["resource"].get("id") for e in answer.json().get("entry", [])}
        assert not found & beyond, path
        if f"={SECRET}" not in path and f"|{SECRET}" not in path:  # the link `self` says what was asked
            assert SECRET not in answer.text, path


def test_counts_do_not_count_it(two: Two) -> None:
    for path in (f"Patient?name={SECRET}", f"Patient?_id={two.far}", f"Observation?patient={two.far}",
                 f"Observation?subject:Patient.name={SECRET}"):  # fmt: skip
        for how in ("&_total=accurate", "&_summary=count", "&_total=estimate"):
            answer = two.get(path + how)
            assert answer.status_code in (200, 403), answer.text
            assert answer.json().get("total", 0) == 0, path + how


def test_ids_of_others_answer_like_ids_of_nobody(two: Two) -> None:
    """Reading what is out of reach and what never was: one status, the same words (404; 403 is about a type)."""
    for kind, identity in two.of_far.items():
        for form in ("{}/{}", "{}/{}/_history", "{}/{}/_history/1"):
            theirs, nobodys = two.get(form.format(kind, identity)), two.get(form.format(kind, uuid4()))
            assert theirs.status_code in (403, 404), (kind, form)
            assert (theirs.status_code, theirs.text) == (nobodys.status_code, nobodys.text), (kind, form)


def test_what_is_near_is_found(two: Two) -> None:
    assert two.near in two.ids("Patient?name=Nearly")
    assert two.ids(f"Patient?name={SECRET}") == set()
    assert two.get(f"Patient/{two.near}").status_code == 200


def test_each_patient_shown_has_one_event_for_a_request_with_all_that_came_along(two: Two) -> None:
    if not two.ids("Observation?_include=Observation:patient&_include=Observation:encounter"):
        pytest.skip("this role does not read Observations")
    with two.clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content FROM fhir.auditevent WHERE patient_id = %s ORDER BY id", (UUID(two.near),)
        ).fetchall()
    assert len(rows) == 1
    shown = {e["what"]["reference"].partition("/")[0] for e in rows[0][0]["entity"]}
    assert shown == {"Observation", "Encounter", "Patient"}
