"""Giving a measurement of nobody to its patient: all that was made of it moves, once, and it is written who did it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import cli
from feldsher_cloud_api.access import Forbidden
from feldsher_cloud_api.care import unassigned
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_tools.clinic import Clinic
from typer.testing import CliRunner

BP = {150021: "132", 150022: "84", 149546: "71"}


def _ecg(clinic: Clinic) -> UUID:
    message = clinic.recording(UUID(int=9))
    clinic.receive(message)
    clinic.work()
    return message.env.id


def _reading(clinic: Clinic) -> UUID:
    message = clinic.vitals(clinic.time.now - timedelta(days=4000), BP)
    clinic.receive(message)
    clinic.work()
    with clinic.owner() as connection:
        return UUID(str(unassigned.waiting(connection)[0]["id"]))


def _patients(clinic: Clinic, *kinds: str) -> set[str | None]:
    with clinic.owner() as connection:
        return {
            row[0]
            for kind in kinds
            for row in connection.execute(f"SELECT patient_id::text FROM fhir.{kind}".encode())  # noqa: S608 - fixed
        }


def _assign(clinic: Clinic, identity: UUID, patient: str, by: str = "doctor") -> list[str]:
    with clinic.owner() as connection, connection.transaction():
        who = unassigned.staff(connection, by)
        return unassigned.assign(connection, who, identity, UUID(patient), clinic.time())


def test_ecg_moves_with_its_results_picture_and_provenance(clinic: Clinic) -> None:
    report = _ecg(clinic)
    kinds = ("diagnosticreport", "observation", "binary", "provenance")
    assert _patients(clinic, *kinds) == {None}
    with clinic.owner() as connection:
        (entry,) = unassigned.waiting(connection)
    assert (entry["id"], entry["kind"], entry["order"]) == (report, "ecg", UUID(int=9))
    moved = _assign(clinic, report, clinic.patients[1])
    assert moved[0] == f"DiagnosticReport/{report}"
    assert {m.partition("/")[0] for m in moved} == {"DiagnosticReport", "Observation", "Binary", "Task"}
    assert _patients(clinic, *kinds) == {clinic.patients[1]}
    clinic.sign_in("doctor")
    shown = clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json()
    assert shown["subject"]["reference"] == f"Patient/{clinic.patients[1]}"
    assert clinic.browser.get(f"/fhir/{shown['presentedForm'][0]['url']}").status_code == 200
    trail = clinic.browser.get(f"/fhir/Provenance?target=DiagnosticReport/{report}").json()
    people = [e["resource"]["agent"][0]["who"].get("display") for e in trail["entry"]]
    assert "DEMO Doctor" in people
    with clinic.owner() as connection:
        assert unassigned.waiting(connection) == []
        event = connection.execute(
            "SELECT content FROM fhir.auditevent WHERE content #>> '{subtype,0,code}' = 'assign'"
        ).fetchall()
    assert [(e[0]["agent"][0]["name"], e[0]["action"]) for e in event] == [("DEMO Doctor", "U")]


def test_reading_moves_with_all_its_values(clinic: Clinic) -> None:
    identity = _reading(clinic)
    assert len(_assign(clinic, identity, clinic.patients[2])) == 2
    assert _patients(clinic, "observation", "provenance") == {clinic.patients[2]}


def test_what_cannot_be_assigned_says_why_and_changes_nothing(clinic: Clinic) -> None:
    report = _ecg(clinic)
    with pytest.raises(FhirError, match="no such Patient"):
        _assign(clinic, report, str(uuid4()))
    with pytest.raises(FhirError, match="no such unassigned"):
        _assign(clinic, uuid4(), clinic.patients[0])
    with pytest.raises(FhirError, match="no such person"):
        _assign(clinic, report, clinic.patients[0], by="nobody")
    with pytest.raises(Forbidden):
        _assign(clinic, report, clinic.patients[0], by="technician")
    assert _patients(clinic, "diagnosticreport") == {None}
    _assign(clinic, report, clinic.patients[0])
    with pytest.raises(FhirError, match="already"):
        _assign(clinic, report, clinic.patients[1])
    assert _patients(clinic, "diagnosticreport") == {clinic.patients[0]}


def test_assigned_ecg_stays_where_it_is_when_its_event_comes_again(clinic: Clinic) -> None:
    report = _ecg(clinic)
    _assign(clinic, report, clinic.patients[1])
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL")
    assert clinic.work() == 2  # the recording, and the alarm of its critical finding
    assert _patients(clinic, "diagnosticreport", "observation", "task") == {clinic.patients[1]}


def test_command_line_lists_and_assigns(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", clinic.url)
    report = _ecg(clinic)

    def run(*words: str, code: int = 0) -> list[Any]:
        result = CliRunner().invoke(cli.app, ["unassigned", *words])
        assert result.exit_code == code, result.output
        return [json.loads(line) for line in result.output.splitlines()] if code == 0 else []

    (entry,) = run("list")
    assert (entry["id"], entry["reason"]) == (str(report), "its order is not known here")
    run("assign", str(report), clinic.patients[0], "--by", "technician", code=2)
    (done,) = run("assign", str(report), clinic.patients[0], "--by", "doctor")
    assert done["patient"] == clinic.patients[0]
    assert run("list") == []
