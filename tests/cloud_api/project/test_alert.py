"""Alerts come to Tasks: once, gathered while one is open, whose they are as the record says, with Flag and evidence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from feldsher_cloud_api import assignment
from feldsher_cloud_api.care import unassigned
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.fleet import life
from feldsher_cloud_api.project import alert as alert_projection
from feldsher_cloud_api.project.alarm import ALARM, FLAG_DETAIL, INPUT, NUMBER
from feldsher_cloud_api.project.common import Event
from feldsher_ehr_core import wire
from feldsher_ehr_core.monitoring import BUILT_IN_ECG, BUILT_IN_NO_LIMITS, alert_id
from feldsher_tools import alarms
from feldsher_tools.clinic import HOME, Clinic

BP = {150021: "165", 150022: "84", 149546: "71"}
Raise = Callable[..., UUID]


@pytest.fixture
def limit(clinic: Clinic) -> UUID:
    """A limit of the first patient: systolic pressure above 150."""
    return alarms.limit(clinic.url, uuid4(), clinic.patients[0], demo_id("person/doctor"))


@pytest.fixture
def raised(clinic: Clinic, limit: UUID) -> Raise:
    """Have the watch raise an alert about a message's reading, as ingest does; returns the alert's id."""

    def raise_(message: wire.VitalsBatch | wire.EcgRecording | None, **changes: Any) -> UUID:
        of, at = changes.pop("limit_id", limit), changes.pop("measured_at", clinic.time.now)
        fields: dict[str, Any] = {"subject": clinic.patients[0]} | changes
        return alarms.raise_alert(clinic.url, of, message, at, **fields)

    return raise_


def contents(clinic: Clinic, kind: str) -> list[dict[str, Any]]:
    with clinic.owner() as connection:
        rows = connection.execute(f"SELECT content FROM fhir.{kind} ORDER BY updated, id".encode()).fetchall()  # noqa: S608
    return [row[0] for row in rows]


def told(task: dict[str, Any]) -> dict[str, Any]:
    """What a Task's inputs say, by their code; of several the list."""
    said: dict[str, Any] = {}
    for one in task["input"]:
        assert one["type"]["coding"][0]["system"] == INPUT
        said.setdefault(one["type"]["coding"][0]["code"], []).append(
            next(v for k, v in one.items() if k.startswith("value"))
        )
    return {k: v[0] if len(v) == 1 else v for k, v in said.items()}


def reading(clinic: Clinic, minutes_ago: float = 5, **changes: Any) -> wire.VitalsBatch:
    message = clinic.vitals(clinic.time.now - timedelta(minutes=minutes_ago), BP, **changes)
    clinic.receive(message)
    return message


def test_an_alert_becomes_a_task_with_a_flag_that_names_the_reading(clinic: Clinic, raised: Raise, limit: UUID) -> None:
    message = reading(clinic)
    alert = raised(message, doubt=["movement"])
    clinic.work()
    (task,), (flag,) = contents(clinic, "task"), contents(clinic, "flag")
    patient = f"Patient/{clinic.patients[0]}"
    panel = f"Observation/{uuid5(message.reading[0], 'panel')}"
    assert task["id"] == str(uuid5(alert, "task"))
    assert (task["status"], task["priority"], task["for"]["reference"]) == ("requested", "urgent", patient)
    assert task["code"]["coding"][0] == {"system": ALARM, "code": "range", "display": "Measurement beyond its limit"}
    assert "165 mm[Hg], above 150" in task["description"]
    assert task["focus"]["reference"] == f"Flag/{flag['id']}"
    assert task["reasonReference"]["reference"] == panel
    assert flag["extension"] == [{"url": FLAG_DETAIL, "valueReference": {"reference": panel}}]
    assert (flag["status"], flag["subject"]["reference"]) == ("active", patient)
    said = told(task)
    assert (said["alerts"], said["limit-version"], said["late"], said["doubted"], said["doubt"]) == (
        1, 1, False, True, "movement",
    )  # fmt: skip
    assert str(said["number"]["value"]) == "165"
    parts = {p["url"]: p for p in task["input"][-1]["extension"][0]["extension"]}
    assert task["input"][-1]["extension"][0]["url"] == NUMBER
    assert parts["side"]["valueCode"] == "above"
    assert str(parts["bound"]["valueDecimal"]) == "150"
    assert clinic.sign_in("doctor")
    assert clinic.browser.get(f"/fhir/{panel}").status_code == 200
    assert clinic.browser.get(f"/fhir/Task?patient={clinic.patients[0]}&status=requested").json()["entry"]


def test_again_changes_nothing(clinic: Clinic, raised: Raise) -> None:
    raised(reading(clinic))
    clinic.work()
    before = contents(clinic, "task") + contents(clinic, "flag")
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL")
    clinic.time.move(minutes=1)
    clinic.work()
    assert contents(clinic, "task") + contents(clinic, "flag") == before


def test_alerts_of_one_limit_are_gathered_while_their_task_is_open(clinic: Clinic, raised: Raise) -> None:
    now = clinic.time.now
    raised(reading(clinic, 3), measured_at=now - timedelta(minutes=3), doubt=["movement"])
    clinic.work()
    raised(reading(clinic, 1), measured_at=now - timedelta(minutes=1), severity="urgent")
    raised(reading(clinic, 2), measured_at=now - timedelta(minutes=2), late=True)
    clinic.work()
    (task,) = contents(clinic, "task")
    said = told(task)
    assert (said["alerts"], said["late"], said["doubted"], task["priority"]) == (3, False, False, "stat")
    assert said["first"] < said["latest"]
    clinic.sign_in("doctor")
    gathered = clinic.browser.get(f"/api/alarm/{task['id']}").json()["alerts"]
    assert [a["severity"] for a in gathered] == ["urgent", "warning", "warning"]
    assert [a["late"] for a in gathered] == [False, True, False]
    assert len(contents(clinic, "flag")) == 1


def test_an_answered_alarm_ends_its_flag_and_the_next_alert_opens_another(clinic: Clinic, raised: Raise) -> None:
    raised(reading(clinic, 3))
    clinic.work()
    (task,) = contents(clinic, "task")
    headers = clinic.sign_in("doctor")
    address = f"/api/alarm/{task['id']}/answer"
    said = {"version": 1, "note": "called them"}
    assert clinic.browser.post(address, json=said, headers=headers).status_code == 204
    assert clinic.browser.post(address, json=said, headers=headers).status_code == 409
    for wrong in ({"version": 1, "nota": ""}, {"note": "which version?"}):
        assert clinic.browser.post(address, json=wrong, headers=headers).status_code == 422
    (done,), (flag,) = contents(clinic, "task"), contents(clinic, "flag")
    assert (done["status"], done["note"][0]["text"], flag["status"]) == ("completed", "called them", "inactive")
    assert "end" in flag["period"]
    raised(reading(clinic, 1))
    clinic.work()
    assert sorted(t["status"] for t in contents(clinic, "task")) == ["completed", "requested"]
    assert sorted(f["status"] for f in contents(clinic, "flag")) == ["active", "inactive"]


def test_who_may_not_see_a_patient_sees_and_answers_no_alarm(clinic: Clinic, raised: Raise) -> None:
    raised(reading(clinic))
    clinic.work()
    (task,) = contents(clinic, "task")
    for person in ("anna", "technician"):
        headers = clinic.sign_in(person)
        assert clinic.browser.get(f"/fhir/Task/{task['id']}").status_code == 403
        address = f"/api/alarm/{task['id']}"
        assert clinic.browser.get(address).status_code == 403
        assert clinic.browser.post(f"{address}/answer", json={"version": 1}, headers=headers).status_code == 403
    with clinic.raw("doctor", uuid4()) as connection:  # in no care relationship
        for table in ("fhir.task", "fhir.flag", "cloud.alarm", "cloud.alarm_alert", "public.watch_alert"):
            assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), table  # noqa: S608
        assert connection.execute("UPDATE cloud.alarm SET closed_at = now()").rowcount == 0


def test_an_alert_that_comes_before_its_measurement_is_not_held_up(clinic: Clinic, raised: Raise) -> None:
    message = reading(clinic)
    raised(message)
    with clinic.owner() as connection:
        connection.execute("UPDATE event SET parked_at = now() WHERE kind = 'vitals'")
    clinic.work()
    (task,) = contents(clinic, "task")
    assert task["for"]["reference"] == f"Patient/{clinic.patients[0]}"
    assert len(contents(clinic, "observation")) == 2
    with clinic.owner() as connection:
        connection.execute("UPDATE event SET parked_at = NULL")
    assert clinic.work() == 1
    assert len(contents(clinic, "observation")) == 2


def test_what_is_nobodys_finds_its_patient_or_was_no_alarm_of_theirs(clinic: Clinic, raised: Raise) -> None:
    days = 60 * 24 * 4000  # the cuff was nobody's then
    own, others = reading(clinic, days), reading(clinic, days + 1)
    for message in (own, others):
        raised(message, doubt=["owner"])
    clinic.work()
    tasks = contents(clinic, "task")
    assert [("for" in t, "focus" in t) for t in tasks] == [(False, False)] * 2  # nothing of nobody's is gathered
    assert contents(clinic, "flag") == []
    with clinic.owner() as connection:
        who = unassigned.staff(connection, "doctor")
        moved = unassigned.assign(connection, who, own.reading[0], UUID(clinic.patients[0]), clinic.time.now)
        unassigned.assign(connection, who, others.reading[0], UUID(clinic.patients[1]), clinic.time.now)
    by_status = {t["status"]: t for t in contents(clinic, "task")}
    assert by_status["requested"]["for"]["reference"] == f"Patient/{clinic.patients[0]}"
    assert f"Task/{by_status['requested']['id']}" in moved
    assert "for" not in by_status["cancelled"]
    assert [f["subject"]["reference"] for f in contents(clinic, "flag")] == [f"Patient/{clinic.patients[0]}"]


def test_what_is_gathered_while_an_alarm_is_answered_stays_open(clinic: Clinic, raised: Raise, limit: UUID) -> None:
    raised(reading(clinic, 3))
    clinic.work()
    (task,) = contents(clinic, "task")
    headers, address = clinic.sign_in("doctor"), f"/api/alarm/{task['id']}/answer"
    raised(reading(clinic, 1), severity="urgent")
    clinic.work()
    refused = clinic.browser.post(address, json={"version": 1}, headers=headers)
    assert refused.status_code == 409
    assert "it is version 2 and has 2 alerts" in refused.json()["issue"][0]["diagnostics"]
    (task,) = contents(clinic, "task")
    assert (task["status"], task["priority"], contents(clinic, "flag")[0]["status"]) == ("requested", "stat", "active")
    with clinic.owner() as connection:
        open_alarms = connection.execute("SELECT count(*) FROM cloud.alarm WHERE closed_at IS NULL").fetchone()
    assert open_alarms == (1,)
    assert clinic.browser.post(address, json={"version": 2}, headers=headers).status_code == 204


def test_an_answer_in_the_moment_of_another_alert_is_refused_and_nothing_is_lost(clinic: Clinic, raised: Raise) -> None:
    raised(reading(clinic, 3))
    clinic.work()
    (task,) = contents(clinic, "task")
    alert = raised(reading(clinic, 1), severity="urgent")
    headers, status = clinic.sign_in("doctor"), list[int]()
    address = f"/api/alarm/{task['id']}/answer"

    def answer() -> None:
        status.append(clinic.browser.post(address, json={"version": 1}, headers=headers).status_code)

    thread = threading.Thread(target=answer)
    with clinic.owner() as worker, worker.transaction():
        worker.execute("SELECT FROM cloud.alarm WHERE task = %s FOR UPDATE", (task["id"],))
        thread.start()
        while thread.is_alive() and not waits_for_a_lock(clinic):
            time.sleep(0.01)
        event = Event(1, clinic.time.now, "alert", HOME, alert, {"alert": str(alert)})
        alert_projection.project(worker, event, clinic.time.now)
    thread.join(60)
    (still,) = contents(clinic, "task")
    assert status == [409]
    assert (still["status"], still["priority"], told(still)["alerts"]) == ("requested", "stat", 2)


def waits_for_a_lock(clinic: Clinic) -> bool:
    with clinic.owner() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0


def test_what_is_nobodys_joins_the_alarm_that_its_patient_has_open(clinic: Clinic, raised: Raise) -> None:
    days = 60 * 24 * 4000  # the cuff was nobody's then
    first, second, third = (reading(clinic, days + n) for n in range(3))
    for n, message in enumerate((first, second, third)):
        raised(message, doubt=["owner"], measured_at=clinic.time.now - timedelta(minutes=n))
    clinic.work()
    assert len(contents(clinic, "task")) == 3
    with clinic.owner() as connection:
        who = unassigned.staff(connection, "doctor")
        for message in (first, second, third):
            moved = unassigned.assign(connection, who, message.reading[0], UUID(clinic.patients[0]), clinic.time.now)
    tasks = contents(clinic, "task")
    (mine,) = [t for t in tasks if t["status"] == "requested"]
    assert f"Task/{mine['id']}" in moved
    assert told(mine)["alerts"] == 3
    assert mine["id"] == str(uuid5(alert_id(limit_of(mine), str(first.reading[0])), "task"))
    joined = [t for t in tasks if t["status"] == "cancelled"]
    assert [t["partOf"] for t in joined] == [[{"reference": f"Task/{mine['id']}"}]] * 2
    assert all("gathered" in t["statusReason"]["text"] for t in joined)
    assert len(contents(clinic, "flag")) == 1
    clinic.sign_in("doctor")
    assert len(clinic.browser.get(f"/api/alarm/{mine['id']}").json()["alerts"]) == 3


def limit_of(task: dict[str, Any]) -> UUID:
    return UUID(task["identifier"][0]["value"])


def test_a_critical_cardiogram_has_its_own_task_until_it_is_signed(clinic: Clinic, raised: Raise) -> None:
    first, second = clinic.recording(clinic.order()), clinic.recording(clinic.order())
    clinic.receive(first, second)
    for message in (first, second):
        numbers = [{"code": 0, "side": "stated", "unit": "", "stated": "AFIB"}]
        raised(message, limit_id=BUILT_IN_ECG, kind="ecg", severity="urgent", subject=None, numbers=numbers)
    clinic.work()
    tasks = contents(clinic, "task")
    patient = f"Patient/{clinic.patients[1]}"
    assert {t["reasonReference"]["reference"] for t in tasks} == {
        f"DiagnosticReport/{m.env.id}" for m in (first, second)
    }
    assert [(t["for"]["reference"], t["priority"]) for t in tasks] == [(patient, "stat")] * 2
    headers = clinic.sign_in("doctor")
    password = {"name": "password", "valueString": clinic.password("doctor")}
    asked = {"resourceType": "Parameters", "parameter": [password, {"name": "version", "valueInteger": 1}]}
    answer = clinic.browser.post(f"/fhir/DiagnosticReport/{first.env.id}/$sign", json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    status = {t["reasonReference"]["reference"]: t["status"] for t in contents(clinic, "task")}
    assert status == {
        f"DiagnosticReport/{first.env.id}": "completed", f"DiagnosticReport/{second.env.id}": "requested",
    }  # fmt: skip


def test_a_cardiograms_alarm_waits_for_no_report(clinic: Clinic, raised: Raise) -> None:
    message = clinic.recording(clinic.order())
    clinic.receive(message)
    raised(message, limit_id=BUILT_IN_ECG, kind="ecg", severity="urgent", subject=None, numbers=())
    with clinic.owner() as connection:
        connection.execute("UPDATE event SET parked_at = now() WHERE kind = 'ecg'")
    clinic.work()
    (task,) = contents(clinic, "task")
    assert contents(clinic, "diagnosticreport") == []
    assert task["for"]["reference"] == f"Patient/{clinic.patients[1]}"


def test_review_and_absence_of_limits_are_tasks_without_a_flag(clinic: Clinic, raised: Raise, limit: UUID) -> None:
    raised(None, kind="review", about="review:1", numbers=(), cause="time")
    raised(None, kind="absent", about="absent:1", limit_id=BUILT_IN_NO_LIMITS, numbers=(), cause="assignment")
    raised(reading(clinic))
    clinic.work()
    tasks = {t["code"]["coding"][0]["code"]: t for t in contents(clinic, "task")}
    assert set(tasks) == {"review", "absent", "range"}
    for kind in ("review", "absent"):
        assert "focus" not in tasks[kind]
        assert tasks[kind]["for"]["reference"] == f"Patient/{clinic.patients[0]}"
    assert len(contents(clinic, "flag")) == 1


def test_by_the_time_of_measurement_it_is_whose_the_device_was(clinic: Clinic, raised: Raise) -> None:
    address, now = "AA:BB:CC:00:00:71", clinic.time.now
    with clinic.owner() as connection:
        cuff = life.register(connection, gateway=HOME, address=address, kind="cuff", now=now)
        for patient, hours_ago in ((0, 9.0), (1, 0.5)):
            start = now - timedelta(hours=hours_ago)
            assignment.assign(connection, cuff, UUID(clinic.patients[patient]), start)
    for minutes_ago in (60, 5):
        raised(reading(clinic, minutes_ago, device=address))
    clinic.work()
    found = {t["for"]["reference"] for t in contents(clinic, "task")}
    assert found == {f"Patient/{clinic.patients[i]}" for i in (0, 1)}
