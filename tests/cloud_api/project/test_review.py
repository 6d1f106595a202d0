"""What a newer engine's word does to the record: signed reports stay, reviews once, proposals on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from feldsher_cloud_api.care import review, signature
from feldsher_ehr_core import wire
from feldsher_ingest import replay
from feldsher_ingest.replay import Asked
from feldsher_ingest.replay_task import hang_up, work
from feldsher_signal import codec, interpret, synth
from feldsher_tools.clinic import Clinic

Replay = Callable[..., int]
QUERY = "/fhir/Task?code=urn:feldsher:review|reinterpretation"


@pytest.fixture
def again(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Interpret everything stored again with the present engine and project what it told; return the run's number."""
    monkeypatch.setenv("FELDSHER_DATABASE_URL", clinic.url)

    def done(**asked: Any) -> int:
        with clinic.owner() as connection:
            run = replay.begin(connection, Asked(**asked), "tester")
            work(run.order, [identity.bytes for identity in replay.pending(connection, run)])
        clinic.work()
        return run.run

    yield done
    hang_up()


def tachycardia(clinic: Clinic, *, ordered: bool = True) -> wire.EcgRecording:
    """Return a ventricular tachycardia that its gateway has taken for atrial fibrillation."""
    taken, _ = synth.ecg(synth.PRESETS["ventricular_tachycardia"], uv_per_bit=4.88)
    return clinic.recording(
        clinic.order() if ordered else None,
        leads=taken.leads,
        uv_per_bit=taken.uv_per_bit,
        n=taken.n,
        samples=codec.encode(taken.samples),
        sha256=codec.sha256(taken.samples),
    )


def reported(clinic: Clinic, message: wire.EcgRecording) -> UUID:
    clinic.receive(message)
    clinic.work()
    return message.env.id


def signed(clinic: Clinic, report: UUID) -> dict[str, Any]:
    given = {"password": clinic.password("doctor"), "version": _version(clinic, report)}
    parameters = [{"name": k, "valueInteger" if isinstance(v, int) else "valueString": v} for k, v in given.items()]
    body = {"resourceType": "Parameters", "parameter": parameters}
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post(f"/fhir/DiagnosticReport/{report}/$sign", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _version(clinic: Clinic, report: UUID) -> int:
    return int(clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json()["meta"]["versionId"])


def tasks(clinic: Clinic) -> list[dict[str, Any]]:
    clinic.sign_in("doctor")
    return [e["resource"] for e in clinic.browser.get(QUERY).json().get("entry", [])]


def test_a_signed_report_stays_and_a_review_is_asked_for_once(clinic: Clinic, again: Replay) -> None:
    report = reported(clinic, tachycardia(clinic))
    before = signed(clinic, report)
    again()
    (task,) = tasks(clinic)
    assert (task["status"], task["priority"], task["focus"]) == (
        "requested", "urgent", {"reference": f"DiagnosticReport/{report}"},
    )  # fmt: skip
    assert task["reasonCode"]["coding"][0]["code"] == "WCT"
    assert task["for"] == {"reference": f"Patient/{clinic.patients[1]}"}
    assert task["requester"] == {"display": interpret.ENGINE}
    assert clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json() == before
    with clinic.owner() as connection:
        assert signature.verify(connection, report) == ()
        connection.execute("UPDATE public.event SET done_at = NULL, retry_at = now()")  # all told once more
    clinic.work()
    assert tasks(clinic) == [task]


def test_asking_for_proposals_changes_no_signed_report_either(clinic: Clinic, again: Replay) -> None:
    report = reported(clinic, tachycardia(clinic))
    before = signed(clinic, report)
    again(apply_unsigned=True)
    assert clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json() == before
    assert [t["focus"]["reference"] for t in tasks(clinic)] == [f"DiagnosticReport/{report}"]


def test_an_unsigned_report_stays_unless_the_operator_asks(clinic: Clinic, again: Replay) -> None:
    report = reported(clinic, tachycardia(clinic))
    clinic.sign_in("doctor")
    before = clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json()
    again()
    assert clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json() == before
    assert len(tasks(clinic)) == 1  # its doctor shall know before they sign


def test_a_new_proposal_is_what_is_shown_signed_and_proved(clinic: Clinic, again: Replay) -> None:
    message = tachycardia(clinic)
    report = reported(clinic, message)
    clinic.sign_in("doctor")
    before = clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json()
    again(apply_unsigned=True)
    after = clinic.browser.get(f"/fhir/DiagnosticReport/{report}").json()
    assert (after["status"], after["meta"]["versionId"]) == ("preliminary", "2")
    assert {"url": "urn:feldsher:engine", "valueString": interpret.ENGINE} in after["extension"]
    assert "WCT" in {c["coding"][0]["code"] for c in after["conclusionCode"]}
    assert (after["subject"], after["basedOn"]) == (before["subject"], before["basedOn"])
    assert after["presentedForm"] != before["presentedForm"]
    assert tasks(clinic) == []  # the report itself says it now
    _results_are_the_new_ones(clinic, before, after)
    trail = clinic.browser.get(f"/fhir/Provenance?target=DiagnosticReport/{report}").json()["entry"]
    agents = [agent["who"] for entry in trail for agent in entry["resource"]["agent"]]
    assert {"display": interpret.ENGINE} in agents
    shown = clinic.browser.get(f"/api/ecg/{report}/samples").json()["interpretation"]
    assert shown["engine"] == interpret.ENGINE
    signed(clinic, report)
    with clinic.owner() as connection:
        assert signature.verify(connection, report) == ()
        connection.execute("UPDATE public.ecg_interpretation SET interpretation = interpretation || '\\x00'")
        assert signature.verify(connection, report) != ()


def _results_are_the_new_ones(clinic: Clinic, before: dict[str, Any], after: dict[str, Any]) -> None:
    kept = {r["reference"] for r in after["result"]}
    for result in before["result"] + after["result"]:
        status = clinic.browser.get(f"/fhir/{result['reference']}").json()["status"]
        assert status == ("preliminary" if result["reference"] in kept else "cancelled")
    rates = [clinic.browser.get(f"/fhir/{reference}").json() for reference in kept]
    rate = next(r for r in rates if r["code"]["coding"][0]["code"] == "8867-4")
    assert rate["valueQuantity"]["value"] > 100


def test_the_same_proposal_again_is_no_new_version(clinic: Clinic, again: Replay) -> None:
    report = reported(clinic, tachycardia(clinic))
    again(apply_unsigned=True)
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET done_at = NULL, retry_at = now()")
    clinic.work()
    clinic.sign_in("doctor")
    assert _version(clinic, report) == 2


def test_a_report_is_waited_for_and_a_recording_without_one_is_left_alone(clinic: Clinic, again: Replay) -> None:
    message = tachycardia(clinic)
    clinic.receive(message)
    with clinic.owner() as connection:
        connection.execute("UPDATE public.event SET retry_at = now() + interval '1 hour'")
        again()
        rows = connection.execute("SELECT error FROM public.event WHERE kind = 'reinterpreted'").fetchall()
        assert rows == [("ProjectionError: recording: its own event is not projected yet",)]
        connection.execute("UPDATE public.event SET done_at = now() WHERE kind = 'ecg'")
        connection.execute("UPDATE public.event SET retry_at = now()")
        clinic.work()
        assert connection.execute("SELECT count(*) FROM public.event WHERE done_at IS NULL").fetchone() == (0,)
    assert tasks(clinic) == []


def test_what_is_nobodys_is_reviewed_too(clinic: Clinic, again: Replay) -> None:
    reported(clinic, tachycardia(clinic, ordered=False))
    again()
    (task,) = tasks(clinic)
    assert "for" not in task


def test_reports_and_patients_of_a_run_are_counted(clinic: Clinic, again: Replay) -> None:
    signed(clinic, reported(clinic, tachycardia(clinic)))
    reported(clinic, tachycardia(clinic))
    reported(clinic, tachycardia(clinic, ordered=False))
    run = again()
    with clinic.owner() as connection:
        assert review.of_run(connection, run) == {
            "run": run, "engine": interpret.ENGINE, "reports": 3, "patients": 1, "of_nobody": 1, "signed": 1,
            "critical_reports": 3, "critical_patients": 1, "applied": 0, "reviews": 3, "open_reviews": 3,
        }  # fmt: skip
        assert review.of_run(connection, run + 1) is None


def test_the_stored_interpretation_is_the_engines(clinic: Clinic, again: Replay) -> None:
    message = tachycardia(clinic)
    reported(clinic, message)
    again()
    with clinic.owner() as connection:
        rows = connection.execute("SELECT interpretation FROM public.ecg_recording").fetchall()
    assert rows == [(msgspec.msgpack.encode(message.interpretation),)]
