"""A gateway's clock that is set right later: the record's times become right, old versions stay, signed reports too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from feldsher_cloud_api import assignment
from feldsher_cloud_api.care import unassigned
from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fleet import life
from feldsher_cloud_api.project import clocks
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, HOME, Clinic

BP = {150021: "132", 150022: "84", 149546: "71"}
BEHIND = timedelta(hours=30)


def late(clinic: Clinic, behind: timedelta = BEHIND, **changes: Any) -> wire.VitalsBatch:
    """A reading of now by a gateway whose clock is behind and knows it; the cuff has no clock."""
    wall = clinic.time.now - behind
    made = clinic.vitals(wall, BP, **changes)
    env = msgspec.structs.replace(clinic.envelope(HOME, "unsynced"), wall_us=int(wall.timestamp() * 1e6))
    return msgspec.structs.replace(made, env=env, sent_at=(None,) * len(made.reading))


def set_right(clinic: Clinic, by: timedelta = BEHIND, gateway: str = HOME, **more: Any) -> None:
    """The gateway tells by how much its clock was behind."""
    us = by // timedelta(microseconds=1)
    clinic.receive(wire.ClockOffset(env=clinic.envelope(gateway), offset_us=us, source="ntp", **more))
    clinic.work()


def observations(clinic: Clinic) -> list[dict[str, Any]]:
    with clinic.owner() as connection:
        return [row[0] for row in connection.execute("SELECT content FROM fhir.observation ORDER BY id").fetchall()]


def trails(clinic: Clinic) -> list[dict[str, Any]]:
    with clinic.owner() as connection:
        rows = connection.execute("SELECT content, patient_id::text FROM fhir.provenance").fetchall()
    return [row[0] | {"of": row[1]} for row in rows if row[0].get("activity", {}).get("text") == clocks.CORRECTED]


def at(content: dict[str, Any]) -> datetime:
    return dates.parse(content["effectiveDateTime"])[0]


def test_observations_get_a_new_version_with_the_right_time_and_say_so(clinic: Clinic) -> None:
    clinic.receive(late(clinic))
    clinic.work()
    wrong = clinic.time.now - BEHIND
    assert [(o["meta"]["versionId"], at(o)) for o in observations(clinic)] == [("1", wrong)] * 2
    set_right(clinic)
    made = observations(clinic)
    assert [(o["meta"]["versionId"], at(o)) for o in made] == [("2", clinic.time.now)] * 2
    for content in made:
        (told,) = [e["valueDateTime"] for e in content["extension"] if e["url"] == "urn:feldsher:time-as-sent"]
        assert dates.parse(told)[0] == wrong
    (trail,) = trails(clinic)
    assert {t["reference"] for t in trail["target"]} == {f"Observation/{o['id']}" for o in made}
    assert trail["of"] == clinic.patients[0]
    with clinic.owner() as connection:
        old = connection.execute("SELECT content FROM fhir.observation_history").fetchall()
    assert {at(row[0]) for row in old} == {wrong}


def test_a_search_by_date_finds_what_was_corrected(clinic: Clinic) -> None:
    clinic.receive(late(clinic))
    clinic.work()
    set_right(clinic)
    clinic.sign_in("doctor")
    since = (clinic.time.now - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    found = clinic.browser.get(f"/fhir/Observation?date=ge{since}").json()
    assert len(found["entry"]) == 2
    trend = clinic.browser.get(f"/api/patient/{clinic.patients[0]}/vitals").json()
    assert (len(trend["time"]), dates.parse(trend["time_as_sent"][0])[0]) == (1, clinic.time.now - BEHIND)


def test_the_same_correction_again_and_an_untrusted_one_change_nothing(clinic: Clinic) -> None:
    clinic.receive(late(clinic))
    clinic.work()
    set_right(clinic, timedelta(hours=5), trusted=False)
    assert {o["meta"]["versionId"] for o in observations(clinic)} == {"1"}
    set_right(clinic)
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL WHERE kind = 'clock'")
    clinic.work()
    assert {o["meta"]["versionId"] for o in observations(clinic)} == {"2"}
    assert len(trails(clinic)) == 1


def test_a_better_correction_makes_one_more_version(clinic: Clinic) -> None:
    message = late(clinic)
    clinic.receive(message)
    clinic.work()
    set_right(clinic)
    truth = clinic.time.now - timedelta(hours=2)  # the first correction was itself two hours wrong
    base = int(truth.timestamp() * 1e6) - message.env.mono_ns // 1000
    set_right(clinic, timedelta(hours=28), base_us=base)
    assert {o["meta"]["versionId"] for o in observations(clinic)} == {"3"}
    assert {round((at(o) - truth).total_seconds(), 3) for o in observations(clinic)} == {0}
    assert len(trails(clinic)) == 2


def test_a_reading_that_was_nobodys_at_its_right_time_leaves_the_record_and_waits_for_staff(clinic: Clinic) -> None:
    address = "AA:BB:CC:00:00:53"
    with clinic.owner() as connection:
        device = life.register(connection, gateway=HOME, address=address, kind="cuff", now=clinic.time.now)
        assignment.assign(connection, device, UUID(clinic.patients[1]), clinic.time.now - timedelta(hours=48))
    clinic.receive(late(clinic, device=address))
    clinic.work()
    assert {o["subject"]["reference"] for o in observations(clinic)} == {f"Patient/{clinic.patients[1]}"}
    set_right(clinic, -timedelta(hours=24))  # before the patient had it
    assert {"subject" in o for o in observations(clinic)} == {False}
    with clinic.owner() as connection:
        (entry,) = unassigned.waiting(connection)
        left = connection.execute(
            "SELECT count(*) FROM fhir.provenance WHERE patient_id IS NOT NULL UNION ALL"
            " SELECT count(*) FROM fhir.observation WHERE patient_id IS NOT NULL"
        ).fetchall()
        connection.execute("DELETE FROM cloud.device_assignment WHERE device = %s", (device,))
    assert entry["kind"] == "vitals"
    assert left == [(0,), (0,)]


def test_what_staff_has_decided_stays_and_only_the_time_changes(clinic: Clinic) -> None:
    clinic.receive(late(clinic, timedelta(days=4000)))
    clinic.work()
    with clinic.owner() as connection, connection.transaction():
        (entry,) = unassigned.waiting(connection)
        who = unassigned.staff(connection, "doctor")
        unassigned.assign(connection, who, entry["id"], UUID(clinic.patients[2]), clinic.time())
    set_right(clinic, timedelta(days=4000))
    made = observations(clinic)
    assert {o["subject"]["reference"] for o in made} == {f"Patient/{clinic.patients[2]}"}
    assert {at(o) for o in made} == {clinic.time.now}


def test_what_may_be_of_the_user_before_stays_with_staff(clinic: Clinic) -> None:
    message = late(clinic)
    clinic.receive(message)
    with clinic.owner() as connection:  # as a gateway says of what a cuff held before it was given to its user
        connection.execute("UPDATE public.event SET body = body || '{\"unowned\": true}' WHERE kind = 'vitals'")
    clinic.work()
    set_right(clinic)
    assert {"subject" in o for o in observations(clinic)} == {False}
    assert {at(o) for o in observations(clinic)} == {clinic.time.now}
    with clinic.owner() as connection:
        (entry,) = unassigned.waiting(connection)
    assert entry["reason"] == assignment.EARLIER


def recorded(clinic: Clinic) -> UUID:
    """An ordered ECG of now by a clinic gateway whose clock is behind."""
    start = int((clinic.time.now - BEHIND).timestamp() * 1e6)
    message = clinic.recording(clinic.order(), started_us=start, ended_us=start + 2_000_000)
    clinic.receive(msgspec.structs.replace(message, env=clinic.envelope(CLINIC, "unsynced")))
    clinic.work()
    with clinic.owner() as connection:
        (row,) = connection.execute("SELECT id FROM fhir.diagnosticreport").fetchall()
    return UUID(str(row[0]))


def report(clinic: Clinic, identity: UUID) -> dict[str, Any]:
    with clinic.owner() as connection:
        row = connection.execute("SELECT content FROM fhir.diagnosticreport WHERE id = %s", (identity,)).fetchone()
    assert row is not None
    return row[0]


def test_an_unsigned_ecg_is_corrected_with_its_results(clinic: Clinic) -> None:
    identity = recorded(clinic)
    set_right(clinic, gateway=CLINIC)
    found = report(clinic, identity)
    start, end = (dates.parse(found["effectivePeriod"][k])[0] for k in ("start", "end"))
    assert (start, end - start) == (clinic.time.now, timedelta(seconds=2))
    assert found["conclusion"].startswith("Lead V3 not judged")
    (told,) = [e["valueDateTime"] for e in found["extension"] if e["url"] == "urn:feldsher:time-as-sent"]
    assert dates.parse(told)[0] == clinic.time.now - BEHIND
    assert {at(o) for o in observations(clinic)} == {clinic.time.now}
    (trail,) = trails(clinic)
    assert f"DiagnosticReport/{identity}" in {t["reference"] for t in trail["target"]}


def test_a_signed_ecg_stays_as_it_was_signed(clinic: Clinic) -> None:
    identity = recorded(clinic)
    with clinic.owner() as connection:
        connection.execute("UPDATE fhir.diagnosticreport SET terms = ARRAY[fhir.term('status=final')]")
    before = report(clinic, identity)
    set_right(clinic, gateway=CLINIC)
    assert report(clinic, identity) == before
    assert trails(clinic) == []
