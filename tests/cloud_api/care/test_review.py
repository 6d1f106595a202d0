"""Ending a review: by a doctor, once, on the record; the pages show it while it is open, in both languages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.care import review
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.project.review import task
from feldsher_ehr_core.ecg import Statement
from feldsher_tools.clinic import Clinic

FOUND = Statement("VTACH", "Ventricular tachycardia", "probable", ("rate 182/min", "QRS 150 ms"), critical=True)


@pytest.fixture
def asked(clinic: Clinic) -> tuple[UUID, UUID]:
    """A report and the open review that is asked for of it."""
    message = clinic.recording(clinic.order())
    clinic.receive(message)
    clinic.work()
    with db.connect(clinic.url, db.WORKER) as connection:
        shown = store.read(connection, "DiagnosticReport", message.env.id)
        wanted = task(message.env.id, shown, FOUND, "feldsher 9", clinic.time())
        store.insert(connection, wanted, patient=shown.patient, now=clinic.time())
    return message.env.id, UUID(wanted["id"])


def _stored(clinic: Clinic, identity: UUID) -> dict[str, Any]:
    clinic.sign_in("doctor")
    return clinic.browser.get(f"/fhir/Task/{identity}").json()


def test_a_doctor_ends_it_from_the_ecgs_page(clinic: Clinic, asked: tuple[UUID, UUID]) -> None:
    report, identity = asked
    form = {"csrf": clinic.sign_in("doctor")["x-csrf-token"], "review": str(identity), "note": "An artefact."}
    page = clinic.browser.get(f"/ecg/{report}").text
    assert "feldsher 9 finds something critical here that was not said before" in page
    assert "rate 182/min" in page
    assert "ECGs to look at again" in clinic.browser.get("/worklist").text
    for _ in range(2):  # the second time it is ended already, and nothing is wrong
        answer = clinic.browser.post(f"/ecg/{report}/reviewed", data=form, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/ecg/{report}")
    ended = _stored(clinic, identity)
    assert (ended["status"], ended["owner"]["display"], ended["note"][0]["text"]) == (
        "completed", "DEMO Doctor", "An artefact.",
    )  # fmt: skip
    assert "feldsher 9" not in clinic.browser.get(f"/ecg/{report}").text
    assert "ECGs to look at again" not in clinic.browser.get("/worklist").text
    with clinic.owner() as connection:
        query = (
            "SELECT count(*) FROM fhir.auditevent"
            " WHERE terms @> ARRAY[fhir.term('entity=' || %s), fhir.term('action=U')]"
        )
        assert connection.execute(query, (f"Task/{identity}",)).fetchone() == (1,)


def test_it_is_asked_for_in_russian_too(clinic: Clinic, asked: tuple[UUID, UUID]) -> None:
    clinic.browser.post("/language", data={"language": "ru", "csrf": clinic.sign_in("doctor")["x-csrf-token"]})
    page = clinic.browser.get(f"/ecg/{asked[0]}").text
    assert "находит здесь критическое, о чём раньше не говорилось" in page
    assert "ЭКГ для повторного просмотра" in clinic.browser.get("/worklist").text


@pytest.mark.parametrize("username", ["anna", "technician"])
def test_nobody_else_ends_it_or_sees_it(clinic: Clinic, asked: tuple[UUID, UUID], username: str) -> None:
    report, identity = asked
    form = {"csrf": clinic.sign_in(username)["x-csrf-token"], "review": str(identity)}
    assert clinic.browser.post(f"/ecg/{report}/reviewed", data=form).status_code in (403, 404)
    assert clinic.browser.get(f"/fhir/Task/{identity}").status_code in (403, 404)
    assert _stored(clinic, identity)["status"] == "requested"


def test_what_is_no_review_is_not_ended(clinic: Clinic, asked: tuple[UUID, UUID]) -> None:
    report, identity = asked
    form = {"csrf": clinic.sign_in("doctor")["x-csrf-token"], "review": "nothing"}
    assert clinic.browser.post(f"/ecg/{report}/reviewed", data=form).status_code == 400
    form["review"] = str(report)
    assert clinic.browser.post(f"/ecg/{report}/reviewed", data=form).status_code == 404
    form |= {"review": str(identity), "note": "x" * (review.NOTE_LENGTH + 1)}
    assert clinic.browser.post(f"/ecg/{report}/reviewed", data=form, follow_redirects=False).status_code == 303
    assert len(_stored(clinic, identity)["note"][0]["text"]) == review.NOTE_LENGTH
