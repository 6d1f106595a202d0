"""A continuous ECG in the record: opened where it begins, evaluated when it has ended, its samples copied nowhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.care import signature, unassigned
from feldsher_cloud_api.care.picture import INTERPRETER_SAID
from feldsher_cloud_api.project import common, stream
from feldsher_ehr_core import wire
from feldsher_signal import codec
from feldsher_tools.clinic import HOME, Clinic
from msgspec.structs import replace

BELT = "C0:FF:EE:00:00:51"
STREAM = UUID("018f0000-0000-4000-8000-000000000051")


@pytest.fixture(autouse=True)
def assigned(clinic: Clinic) -> None:
    """Anna wears the belt since an hour."""
    with clinic.owner() as connection:
        belt = common.device(connection, HOME, BELT, clinic.time(), kind="belt")
        assignment.assign(connection, belt, UUID(clinic.patients[0]), clinic.time() - timedelta(hours=1))


def stream_of(clinic: Clinic, seconds: float = 120.0, **more: Any) -> list[wire.EcgRecording]:
    return clinic.stream(STREAM, seconds, device=BELT, **more)


def begun(clinic: Clinic, *pieces: wire.UpMessage) -> None:
    assert set(clinic.receive(*pieces)) == {"stored"}
    clinic.work()


def settle(clinic: Clinic) -> UUID | None:
    with db.connect(clinic.url, db.WORKER) as connection:
        return stream.settle(connection, clinic.time(), quiet_s=-60, demo=True)


def one(clinic: Clinic, query: str, *values: object) -> Any:
    with clinic.owner() as connection:
        row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]


def report(clinic: Clinic) -> dict[str, Any]:
    answer = clinic.browser.get(f"/fhir/DiagnosticReport/{STREAM}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def of_patient(clinic: Clinic) -> set[str | None]:
    """Whose everything is that was made of the stream."""
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT patient_id::text FROM fhir.diagnosticreport UNION SELECT patient_id::text FROM fhir.observation"
            " UNION SELECT patient_id::text FROM fhir.binary UNION SELECT patient_id::text FROM fhir.provenance"
        ).fetchall()
    return {row[0] for row in rows}


def test_it_is_registered_where_it_begins_and_preliminary_when_it_has_ended(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    pieces = stream_of(clinic)
    begun(clinic, pieces[0])
    opened = report(clinic)
    assert (opened["status"], opened["code"]["coding"][0]["code"]) == ("registered", "18754-2")
    assert "end" not in opened["effectivePeriod"]
    assert "conclusion" not in opened
    begun(clinic, *pieces[1:])
    assert report(clinic) == opened
    assert settle(clinic) == STREAM
    ended = report(clinic)
    assert ended["status"] == "preliminary"
    assert "end" in ended["effectivePeriod"]
    assert ended["conclusion"].endswith("Unconfirmed.")
    assert len(ended["presentedForm"]) == 1
    assert of_patient(clinic) == {clinic.patients[0]}
    assert settle(clinic) is None
    kept = json.loads(one(clinic, "SELECT report::text FROM cloud.stream_report"))
    assert 120 < kept["beats"]["N"] < 180


def test_the_worker_waits_until_nothing_comes_any_more(clinic: Clinic) -> None:
    begun(clinic, *stream_of(clinic))
    with db.connect(clinic.url, db.WORKER) as connection:
        assert stream.settle(connection, clinic.time()) is None


def test_what_comes_later_is_evaluated_too(clinic: Clinic) -> None:
    pieces = stream_of(clinic, 180)
    begun(clinic, *pieces[:9])
    assert settle(clinic) == STREAM
    begun(clinic, *pieces[9:])
    assert settle(clinic) == STREAM
    assert one(clinic, "SELECT (report ->> 'samples')::int FROM cloud.stream_report") == 180 * 130
    assert one(clinic, "SELECT count(*) FROM fhir.binary") == 2
    assert one(clinic, "SELECT version FROM fhir.diagnosticreport") == 3


def test_a_short_one_says_why_nothing_was_said(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    begun(clinic, *stream_of(clinic, 30))
    settle(clinic)
    said = report(clinic)
    assert said["conclusion"] == "Not evaluated: its 30 s are not 60 s to 8 days."
    assert "presentedForm" not in said


def test_damaged_samples_are_told_and_do_not_stop_the_others(clinic: Clinic) -> None:
    begun(clinic, *stream_of(clinic))
    with clinic.owner() as connection:
        connection.execute("UPDATE public.ecg_chunk SET sha256 = sha256('other') WHERE part = 3")
    assert settle(clinic) == STREAM
    assert "another SHA-256" in one(clinic, "SELECT why FROM cloud.stream_report")
    assert settle(clinic) is None


def test_of_a_device_that_changed_hands_it_is_nobodys(clinic: Clinic) -> None:
    began = clinic.time.now - timedelta(minutes=3)
    pieces = stream_of(clinic, 180, began=began)
    begun(clinic, *pieces[:2])
    assert of_patient(clinic) == {clinic.patients[0]}
    with clinic.owner() as connection:
        second = UUID(clinic.patients[1])
        assignment.assign(connection, common.device_id(HOME, BELT), second, began + timedelta(minutes=1))
    begun(clinic, *pieces[2:])
    settle(clinic)
    assert of_patient(clinic) == {None}
    assert one(clinic, "SELECT reason FROM cloud.unassigned WHERE resolved_at IS NULL") == stream.CHANGED_HANDS
    with clinic.owner() as connection:
        who = unassigned.staff(connection, "doctor")
        moved = unassigned.assign(connection, who, STREAM, second, clinic.time())
    assert len(moved) == 3
    begun(clinic, *stream_of(clinic, 190, began=began)[-1:])
    assert settle(clinic) == STREAM
    assert of_patient(clinic) == {str(second)}, "what staff has decided stays"


def test_by_an_untrusted_clock_it_waits_until_that_is_set_right(clinic: Clinic) -> None:
    hour = timedelta(hours=2)
    pieces = stream_of(clinic, clock="unsynced", began=clinic.time.now - timedelta(seconds=120) - hour)
    begun(clinic, *pieces)
    assert one(clinic, "SELECT reason FROM cloud.unassigned") == assignment.CLOCK
    env = clinic.envelope(HOME)
    base = pieces[0].env.wall_us - pieces[0].env.mono_ns // 1000 + hour // timedelta(microseconds=1)
    begun(clinic, wire.ClockOffset(env=env, offset_us=0, source="ntp", base_us=base))
    settle(clinic)
    assert of_patient(clinic) == {clinic.patients[0]}
    assert one(clinic, "SELECT resolved_at IS NOT NULL FROM cloud.unassigned") is True


def test_samples_are_read_through_exactly_and_bounded(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    pieces = stream_of(clinic)
    begun(clinic, *pieces[:5], *pieces[6:])
    address = f"/fhir/Observation/{stream.waveform_id(STREAM)}"
    assert clinic.browser.get(address).json()["extension"][0]["valueUrl"] == f"{address[6:]}/$window"
    start = (clinic.time.now - timedelta(seconds=80)).isoformat().replace("+00:00", "Z")
    found = clinic.browser.get(f"{address}/$window", params={"start": start, "seconds": "20"}).json()
    (component,) = found["component"]
    data = component["valueSampledData"]
    assert (data["dimensions"], data["factor"]) == (1, 1.0)
    assert data["period"] == pytest.approx(1000 / 130)
    words = data["data"].split()
    assert words[1300:] == ["E"] * 1300
    sent = codec.decode(pieces[4].samples, 1, pieces[4].n)
    assert np.array_equal(np.array(words[:1300], np.int32), sent[0])
    for bad in ({"seconds": "61"}, {"seconds": "nan"}, {"seconds": "x"}, {"start": "then"}):
        assert clinic.browser.get(f"{address}/$window", params=bad).status_code == 400, bad
    assert clinic.browser.get(f"{address}/$window", params={"start": "2001-01-01T00:00:00Z"}).status_code == 404
    assert one(clinic, "SELECT count(*) FROM fhir.observation WHERE content::text ~ 'SampledData'") == 0


def test_who_may_not_see_the_report_sees_no_sample(clinic: Clinic) -> None:
    begun(clinic, *stream_of(clinic))
    address = f"/fhir/Observation/{stream.waveform_id(STREAM)}/$window"
    clinic.sign_in("anna")
    assert clinic.browser.get(address).status_code == 200
    seen = one(
        clinic, "SELECT count(*) FROM fhir.auditevent WHERE terms && ARRAY[fhir.term('entity=' || %s)]", address[6:-8]
    )
    assert seen == 1
    for name, status in (("boris", 404), ("technician", 403)):
        clinic.sign_in(name)
        assert clinic.browser.get(address).status_code == status, name
    for role, patients in (("", ""), ("technician", ""), ("patient", clinic.patients[1])):
        with clinic.raw(role, patients=patients) as connection:
            for table in ("public.ecg_stream", "public.ecg_chunk", "cloud.stream_report"):
                assert connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)  # noqa: S608
    with clinic.raw("patient", patients=clinic.patients[0]) as connection:
        assert connection.execute("SELECT count(*) FROM public.ecg_chunk").fetchone() == (12,)


def test_a_signed_one_covers_every_piece_and_stays_as_it_was_signed(clinic: Clinic) -> None:
    headers = clinic.sign_in("doctor")
    pieces = stream_of(clinic, 130)
    begun(clinic, *pieces[:12])
    settle(clinic)
    version = int(report(clinic)["meta"]["versionId"])
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "password", "valueString": clinic.password("doctor")},
            {"name": "version", "valueInteger": version},
            {"name": "conclusion", "valueString": "Sinus rhythm throughout."},
        ],
    }
    answer = clinic.browser.post(f"/fhir/DiagnosticReport/{STREAM}/$sign", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    signed = report(clinic)
    assert (signed["status"], signed["conclusion"]) == ("final", "Sinus rhythm throughout.")
    assert signed["presentedForm"][0]["title"] == "Ambulatory ECG, confirmed"
    assert any(e["url"] == INTERPRETER_SAID for e in signed["extension"])
    with clinic.owner() as connection:
        assert signature.verify(connection, STREAM) == ()
    begun(clinic, *pieces[12:])
    assert settle(clinic) == STREAM
    assert settle(clinic) is None
    assert report(clinic) == signed
    with clinic.owner() as connection:
        assert signature.verify(connection, STREAM) == ("recording: samples is changed",)


def test_projecting_again_changes_nothing(clinic: Clinic) -> None:
    begun(clinic, *stream_of(clinic))
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL")
    clinic.work()
    assert one(clinic, "SELECT count(*) FROM fhir.diagnosticreport_history") == 0
    begun(clinic, *clinic.stream(UUID(int=9), device="another"))
    again = replace(clinic.stream(UUID(int=9), device="another")[0], part=20, started_us=1, ended_us=2)
    begun(clinic, again)
    assert one(clinic, "SELECT count(*) FROM fhir.diagnosticreport") == 2
