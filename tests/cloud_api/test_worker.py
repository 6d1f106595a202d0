"""The worker: telemetry becomes the record, once, with every digit; what fails waits and is parked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

import psycopg
import pytest
from feldsher_cloud_api import audit, db, worker
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CARDIOGRAPH, CLINIC, HOME, Clinic
from prometheus_client import generate_latest
from structlog.testing import capture_logs

BP = {150021: "132", 150022: "84.50", 150023: "100", 149546: "71"}


def _observations(clinic: Clinic) -> dict[str, Any]:
    with clinic.owner() as connection:
        rows = connection.execute("SELECT content FROM fhir.observation").fetchall()
    return {r[0]["code"]["coding"][0]["code"]: r[0] for r in rows}


def _count(clinic: Clinic, table: str) -> int:
    with clinic.owner() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608 - a test's own name
    assert row is not None
    return int(row[0])


def test_reading_becomes_a_panel_with_its_digits_and_offset(clinic: Clinic) -> None:
    at = clinic.time.now.replace(microsecond=0) - timedelta(minutes=5)
    clinic.receive(clinic.vitals(at, BP))
    assert clinic.work() == 1
    made = _observations(clinic)
    panel = made["85354-9"]
    values = {c["code"]["coding"][0]["code"]: c["valueQuantity"]["value"] for c in panel["component"]}
    assert {k: str(v) for k, v in values.items()} == {"8480-6": "132", "8462-4": "84.50", "8478-0": "100"}
    assert panel["subject"] == {"reference": f"Patient/{clinic.patients[0]}"}
    assert panel["effectiveDateTime"].endswith("+05:00")
    assert panel["status"] == "final"
    assert made["8867-4"]["valueQuantity"]["value"] == Decimal(71)
    assert made["8867-4"]["identifier"] == panel["identifier"]
    assert _count(clinic, "fhir.provenance") == 1


def test_observations_ids_are_of_the_reading_alone(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now - timedelta(minutes=5), BP))
    clinic.work()
    with clinic.owner() as connection:
        (reading,) = connection.execute("SELECT reading_id FROM public.vital_reading").fetchall()[0]
        provenance = connection.execute("SELECT id FROM fhir.provenance").fetchall()
    found = {code: UUID(made["id"]) for code, made in _observations(clinic).items()}
    assert found == {"85354-9": uuid5(reading, "panel"), "8867-4": uuid5(reading, "pulse")}
    assert provenance == [(uuid5(reading, "provenance"),)]


def test_not_a_number_is_absent_with_its_reason(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, {150021: None, 150022: "80"}, status=0x05))
    clinic.work()
    panel = _observations(clinic)["85354-9"]
    systolic = panel["component"][0]
    assert "valueQuantity" not in systolic
    assert systolic["dataAbsentReason"]["coding"][0]["code"] == "not-a-number"
    assert panel["note"][0]["text"] == "body moved during the measurement; irregular pulse detected by the cuff"


def test_projecting_again_changes_nothing(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP), clinic.recording())
    clinic.work()
    tables = ("fhir.observation", "fhir.provenance", "fhir.diagnosticreport", "fhir.binary", "cloud.unassigned")
    tables = (*tables, "fhir.task", "fhir.flag")
    before = [_count(clinic, t) for t in tables]
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL")
    clinic.time.move(minutes=1)
    assert clinic.work() == 3  # the reading, the cardiogram and its alarm
    assert [_count(clinic, t) for t in tables] == before
    assert _count(clinic, "fhir.observation_history") == 0
    assert _count(clinic, "fhir.diagnosticreport_history") == 0


def test_reading_belongs_to_whom_the_cuff_was_assigned_then(clinic: Clinic) -> None:
    long_ago = clinic.time.now - timedelta(days=4000)
    clinic.receive(clinic.vitals(long_ago, BP))
    clinic.work()
    assert "subject" not in _observations(clinic)["85354-9"]
    with clinic.owner() as connection:
        row = connection.execute("SELECT kind, reason FROM cloud.unassigned").fetchone()
    assert row == ("vitals", "the device was assigned to nobody at the time of measurement")


def test_unknown_device_is_registered_and_its_reading_waits_for_staff(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP, device="AA:BB:CC:00:00:99"))
    clinic.work()
    with clinic.owner() as connection:
        row = connection.execute("SELECT kind FROM cloud.device WHERE address = 'AA:BB:CC:00:00:99'").fetchone()
    assert row == ("cuff",)
    assert _count(clinic, "cloud.unassigned") == 1


def test_ordered_recording_becomes_a_preliminary_report(clinic: Clinic) -> None:
    order = clinic.order()
    message = clinic.recording(order)
    clinic.receive(message)
    clinic.work()
    report = clinic.browser.get(f"/fhir/DiagnosticReport/{message.env.id}").json()
    assert report["status"] == "preliminary"
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{order}"}]
    assert report["subject"]["reference"] == f"Patient/{clinic.patients[1]}"
    assert "resultsInterpreter" not in report
    assert report["conclusion"].startswith("Lead V3 not judged: lead off.")
    assert report["conclusion"].endswith("Probable atrial fibrillation.")
    assert report["conclusionCode"][0]["coding"][0]["code"] == "AFIB"
    assert len(report["effectivePeriod"]["start"].partition(".")[2]) == len("123456Z")
    assert clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()["status"] == "completed"
    observations = _observations(clinic)
    assert {"8867-4", "8633-0", "8634-8", "8636-3"} == set(observations)
    assert str(observations["8636-3"]["component"][1]["valueQuantity"]["value"]) == "415.2"
    assert all(o["status"] == "preliminary" for o in observations.values())
    picture = clinic.browser.get(f"/fhir/{report['presentedForm'][0]['url']}")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "UNCONFIRMED" in picture.text
    assert "DEMO" in picture.text
    assert _count(clinic, "cloud.unassigned") == 0


def test_recording_without_interpretation_says_so_first(clinic: Clinic) -> None:
    clinic.receive(clinic.recording(interpretation=None, not_interpreted="child killed", lost=3, partial="unplugged"))
    clinic.work()
    with clinic.owner() as connection:
        row = connection.execute("SELECT content ->> 'conclusion' FROM fhir.diagnosticreport").fetchone()
    assert row == ("Not interpreted: child killed.\nRecording incomplete: unplugged.\n3 samples lost.",)
    assert _count(clinic, "cloud.unassigned") == 1


def test_gateway_and_device_states_are_kept(clinic: Clinic) -> None:
    clinic.receive(
        wire.Birth(env=clinic.envelope(CLINIC), software="t", starts=1, devices=(CARDIOGRAPH,)),
        wire.DeviceStatus(env=clinic.envelope(CLINIC), device=CARDIOGRAPH, state="present"),
        wire.Gap(env=clinic.envelope(CLINIC), what="heartbeat", why="full", count=1, first_us=1, last_us=2),
    )
    assert clinic.work() == 3
    with clinic.owner() as connection:
        gateway = connection.execute("SELECT state FROM cloud.gateway WHERE id = %s", (CLINIC,)).fetchone()
        device = connection.execute(
            "SELECT kind, state FROM cloud.device WHERE address = %s", (f"{CLINIC}/{CARDIOGRAPH}",)
        ).fetchone()
    assert (gateway, device) == (("online",), ("cardiograph", "present"))


def test_device_first_seen_by_its_status_can_be_ordered_once_it_has_recorded(clinic: Clinic) -> None:
    clinic.receive(wire.DeviceStatus(env=clinic.envelope(CLINIC), device="kit-9", state="present"))
    clinic.work()
    clinic.receive(clinic.recording(device="kit-9"))
    clinic.work()
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT d.kind, r.content #>> '{type,coding,0,code}' FROM cloud.device d JOIN fhir.device r USING (id)"
            " WHERE d.address = %s",
            (f"{CLINIC}/kit-9",),
        ).fetchall()
    assert rows == [("cardiograph", "cardiograph")]


def test_event_that_fails_waits_longer_each_time_and_is_parked(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP), clinic.vitals(clinic.time.now - timedelta(hours=1), BP))
    with clinic.owner() as connection:
        connection.execute(
            "UPDATE public.event SET body = jsonb_build_object('readings', jsonb_build_array(%s::text))"
            " WHERE id = (SELECT min(id) FROM public.event)",
            (str(uuid4()),),
        )
        for _ in range(worker.MOST_ATTEMPTS):
            connection.execute("UPDATE public.event SET retry_at = now()")
            clinic.work()
        rows = connection.execute(
            "SELECT attempts, error, parked_at IS NOT NULL, done_at IS NOT NULL FROM public.event ORDER BY id"
        ).fetchall()
        assert rows[0][0] == worker.MOST_ATTEMPTS
        assert "are not stored" in rows[0][1]
        assert (rows[0][2:], rows[1][2:]) == ((True, False), (False, True))
        assert "feldsher_events_parked 1.0" in generate_latest(clinic.metrics.registry).decode()
        assert [(e["attempts"], e["kind"]) for e in worker.parked(connection)] == [(worker.MOST_ATTEMPTS, "vitals")]
        assert worker.unpark(connection) == 1
        assert "feldsher_events_parked 0.0" in generate_latest(clinic.metrics.registry).decode()


def test_worker_ends_with_an_error_where_one_of_its_threads_ends(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([ValueError("a fault that passes"), SystemExit("one that does not")])
    monkeypatch.setattr(worker, "FAULT_S", 0.01)

    def seal(_: db.Connection) -> int:
        raise next(faults)

    monkeypatch.setattr(audit, "seal", seal)
    with pytest.raises(worker.WorkerError, match="SystemExit"):
        worker.Worker(clinic.settings).run()


def test_back_off_grows_and_is_bounded() -> None:
    delays = [worker.back_off(i) for i in range(10)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (0.5, 60.0)


_SLOW_WORKER = """
import sys, time
from feldsher_cloud_api import db, worker
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.project import vitals
settings = Settings(database_url=sys.argv[1])
def slow(connection, event, now):
    vitals.project(connection, event, now)
    print("projected", flush=True)
    time.sleep(60)
with db.connect(settings.database_url, db.WORKER) as connection:
    worker.step(connection, {"vitals": slow}, settings.clock)
"""


def test_worker_killed_in_the_middle_leaves_nothing_half_done(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_SLOW_WORKER), clinic.url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "projected\n"
        assert clinic.work() == 0  # claimed: nobody else takes it
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert _count(clinic, "fhir.observation") == 0
    deadline = time.monotonic() + 60
    while clinic.work() == 0:
        assert time.monotonic() < deadline, "the killed worker's claim was never released"
        time.sleep(0.05)
    assert _count(clinic, "fhir.observation") == 2


@pytest.mark.parametrize("gateway", [HOME, "never-registered"])
def test_gateway_that_was_certified_elsewhere_is_known_by_its_messages(clinic: Clinic, gateway: str) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP, gateway=gateway))
    clinic.work()
    with clinic.owner() as connection:
        assert connection.execute("SELECT 1 FROM cloud.gateway WHERE id = %s", (gateway,)).fetchone() == (1,)


def test_only_a_lost_database_is_called_lost(clinic: Clinic) -> None:
    for error, said in (
        (psycopg.errors.DeadlockDetected(), "in_each_others_way"),
        (psycopg.errors.AdminShutdown(), "database_lost"),
        (psycopg.OperationalError(), "database_lost"),
    ):
        working = worker.Worker(clinic.settings)

        def fail(error: Exception = error, working: worker.Worker = working) -> None:
            working.stop()
            raise error

        with capture_logs() as logged:
            working._again(fail)  # pyright: ignore[reportPrivateUsage] - no thread of it can be made to fail so
        assert [line["event"] for line in logged] == [said]
