"""Bulk export over HTTP: what may be seen and nothing else, nobody skipped, in pieces, taken over, seen by patients."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.bulk import export
from feldsher_cloud_api.fhir.identity import key
from feldsher_tools.clinic import Clinic

ASYNC = {"prefer": "respond-async"}


def observation(clinic: Clinic, patient: int, name: str, at: datetime) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"text": f"measured {at.isoformat()}"},
        "subject": {"reference": f"Patient/{clinic.patients[patient]}"},
    }


def stored(clinic: Clinic, *names: str, patient: int = 0) -> None:
    now = clinic.time.now
    with clinic.owner() as connection:
        store.insert_many(connection, [observation(clinic, patient, name, now) for name in names], now=now)


def program(clinic: Clinic) -> dict[str, str]:
    clinic.sign_out()
    return {"authorization": f"Bearer {clinic.program_token()}"}


def kicked_off(clinic: Clinic, path: str, headers: dict[str, str], **parameters: str) -> str:
    answer = clinic.browser.get(f"/fhir/{path}", params=parameters, headers=headers | ASYNC)
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"]


def exported(clinic: Clinic, path: str, headers: dict[str, str], **parameters: str) -> dict[str, list[dict[str, Any]]]:
    """Export and return what the files hold, by type."""
    status = clinic.browser.get(kicked_off(clinic, path, headers, **parameters), headers=headers)
    assert status.status_code == 200, status.text
    found: dict[str, list[dict[str, Any]]] = {}
    for file in status.json()["output"]:
        answer = clinic.browser.get(file["url"], headers=headers)
        assert answer.headers["content-type"].startswith("application/fhir+ndjson")
        lines = [db.loads(line) for line in answer.content.splitlines()]
        assert len(lines) == file["count"]
        assert {line["resourceType"] for line in lines} == {file["type"]}
        found.setdefault(file["type"], []).extend(lines)
    return found


def ids(found: dict[str, list[dict[str, Any]]], kind: str) -> set[str]:
    return {r["id"] for r in found.get(kind, [])}


def test_everything_that_a_program_may_read_comes_whole(clinic: Clinic) -> None:
    stored(clinic, "o1", "o2")
    headers = program(clinic)
    found = exported(clinic, "$export", headers)
    assert ids(found, "Patient") == set(clinic.patients)
    assert ids(found, "Observation") == {"o1", "o2"}
    assert ids(found, "Organization")
    assert "AuditEvent" not in found
    read = clinic.browser.get("/fhir/Observation/o1", headers=headers).json()
    assert next(r for r in found["Observation"] if r["id"] == "o1") == read


def test_of_patients_or_of_a_group_only_their_records_come(clinic: Clinic) -> None:
    stored(clinic, "a1")
    stored(clinic, "b1", patient=1)
    member = {"entity": {"reference": f"Patient/{clinic.patients[1]}"}}
    group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": [member]}
    with clinic.owner() as connection:
        store.put(connection, group, now=clinic.time.now)
    headers = program(clinic)
    everybody = exported(clinic, "Patient/$export", headers, _type="Patient,Observation,Organization")
    assert (ids(everybody, "Observation"), ids(everybody, "Organization")) == ({"a1", "b1"}, set())
    few = exported(clinic, "Group/g/$export", headers)
    assert (ids(few, "Patient"), ids(few, "Observation")) == ({clinic.patients[1]}, {"b1"})
    one = exported(clinic, "Patient/$export", headers, patient=f"Patient/{clinic.patients[0]}")
    assert (ids(one, "Patient"), ids(one, "Observation")) == ({clinic.patients[0]}, {"a1"})
    assert clinic.browser.get("/fhir/Group/none/$export", headers=headers | ASYNC).status_code == 404


def test_a_patient_exports_their_own_record_and_sees_who_exported_it(clinic: Clinic) -> None:
    stored(clinic, "mine")
    stored(clinic, "anothers", patient=1)
    exported(clinic, "$export", program(clinic), _type="Observation")
    clinic.sign_in("anna")
    found = exported(clinic, "$export", {}, _type="Patient,Observation")
    assert (ids(found, "Patient"), ids(found, "Observation")) == ({clinic.patients[0]}, {"mine"})
    looked = clinic.browser.get("/fhir/AuditEvent", params={"subtype": "urn:feldsher:operation|export"}).json()
    assert len(looked["entry"]) == 2  # the program's and her own


def test_what_another_asked_for_is_not_there(clinic: Clinic) -> None:
    place = kicked_off(clinic, "$export", program(clinic), _type="Patient")
    clinic.sign_in("doctor")
    assert clinic.browser.get(place).status_code == 404
    assert clinic.browser.get(place.replace("-poll", "-file") + "/Patient-1.ndjson").status_code == 404


def test_since_an_earlier_export_nothing_is_skipped_that_committed_late(clinic: Clinic) -> None:
    late = observation(clinic, 0, "late", clinic.time.now)
    with db.connect(clinic.url) as other:
        store.insert(other, late, now=clinic.time.now)  # written before the export, committed after it
        clinic.time.move(seconds=1)
        headers = program(clinic)
        first = clinic.browser.get(kicked_off(clinic, "$export", headers), headers=headers).json()
        other.commit()
    clinic.time.move(seconds=5)
    found = exported(clinic, "$export", headers, _since=first["transactionTime"], _type="Observation")
    assert ids(found, "Observation") == {"late"}


def test_since_a_moment_deletions_are_told(clinic: Clinic) -> None:
    stored(clinic, "o1", "o2")
    since = clinic.time.now.isoformat()
    clinic.time.move(seconds=5)
    with clinic.owner() as connection:
        store.delete(connection, "Observation", key("o1"), now=clinic.time.now)
    headers = program(clinic)
    status = clinic.browser.get(kicked_off(clinic, "$export", headers, _since=since), headers=headers).json()
    (file,) = status["deleted"]
    bundle = db.loads(clinic.browser.get(file["url"], headers=headers).content)
    assert bundle["entry"][0]["request"] == {"method": "DELETE", "url": f"Observation/{key('o1')}"}


def test_files_and_pieces_are_bounded(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PIECE", 500)
    monkeypatch.setattr(export, "FILE", 4)
    names = [f"o{number}" for number in range(10)]
    stored(clinic, *names)
    assert ids(exported(clinic, "$export", program(clinic), _type="Observation"), "Observation") == set(names)


def test_of_elements_only_those_asked_for_come_tagged(clinic: Clinic) -> None:
    found = exported(clinic, "$export", program(clinic), _type="Patient", _elements="Patient.birthDate")
    assert all("birthDate" in r and not {"name", "gender"} & set(r) for r in found["Patient"])
    assert all(r["meta"]["tag"][-1]["code"] == "SUBSETTED" for r in found["Patient"])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"_type": "Wrong"}, "_type"),
        ({"_type": "AuditEvent"}, "_type"),
        ({"_since": "yesterday"}, "_since"),
        ({"_outputFormat": "text/csv"}, "_outputFormat"),
        ({"_typeFilter": "Patient?active=true"}, "_typeFilter"),
        ({"patient": "Patient/1"}, "patient"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(clinic: Clinic, parameters: dict[str, str], named: str) -> None:
    answer = clinic.browser.get("/fhir/$export", params=parameters, headers=program(clinic) | ASYNC)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [f"http.{named}"]


def test_it_must_be_asked_for_asynchronously(clinic: Clinic) -> None:
    assert clinic.browser.get("/fhir/$export", headers=program(clinic)).status_code == 400


def dead(*_: object) -> None:
    """Stand for a process that dies before it has written anything."""


def test_a_third_export_has_to_wait_for_the_others(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "write", dead)
    headers = program(clinic)
    for _ in range(export.AT_ONCE):
        kicked_off(clinic, "$export", headers)
    assert clinic.browser.get("/fhir/$export", headers=headers | ASYNC).status_code == 429


def test_an_export_whose_process_has_died_is_taken_over(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = program(clinic)
    with monkeypatch.context() as dying:
        dying.setattr(export, "write", dead)
        place = kicked_off(clinic, "$export", headers, _type="Patient")
        assert clinic.browser.get(place, headers=headers).status_code == 202
    clinic.time.move(seconds=(export.STALE + timedelta(seconds=1)).total_seconds())
    assert clinic.browser.get(place, headers=headers).status_code == 202  # taken over by who asked
    assert clinic.browser.get(place, headers=headers).json()["output"][0]["count"] == len(clinic.patients)


def test_who_writes_the_audit_of_many_patients_is_not_taken_for_dead(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "AUDITED", 1)
    slow = audit.exported

    def slowly(*told: Any) -> None:
        slow(*told)
        clinic.time.move(seconds=40)  # of three patients: longer than who is silent is taken to live

    monkeypatch.setattr(audit, "exported", slowly)
    headers = program(clinic)
    began = clinic.time.now
    place = kicked_off(clinic, "$export", headers, _type="Patient")
    assert clinic.time.now - began > export.STALE
    with clinic.owner() as connection:
        found = connection.execute("SELECT beat FROM cloud.bulk_export").fetchone()
    assert found is not None
    assert clinic.time.now - found[0] < export.STALE
    assert clinic.browser.get(place, headers=headers).status_code == 200


def test_a_cancelled_export_stops_and_leaves_nothing(clinic: Clinic) -> None:
    headers = program(clinic)
    place = kicked_off(clinic, "$export", headers, _type="Patient")
    assert clinic.browser.delete(place, headers=headers).status_code == 202
    assert clinic.browser.get(place, headers=headers).status_code == 404
    with clinic.owner() as connection:
        assert connection.execute("SELECT count(*) FROM cloud.bulk_piece").fetchone() == (0,)


def test_what_stops_an_export_is_told_to_who_asked(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> access.Reach:
        raise RuntimeError("a disk is full")

    headers = program(clinic)
    with monkeypatch.context() as breaking:
        breaking.setattr(access, "reach", broken)
        place = kicked_off(clinic, "$export", headers)
    answer = clinic.browser.get(place, headers=headers)
    assert answer.status_code == 422
    assert "could not be written" in answer.json()["issue"][0]["diagnostics"]
