"""Open alarms on the worklist: the urgent and the newest on top, doubtful and late ones marked, answered."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from feldsher_cloud_api.demo import demo_id
from feldsher_ehr_core.monitoring import BUILT_IN_NO_LIMITS
from feldsher_tools import alarms

CUFF = "AA:BB:CC:00:11:22"
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""The time of the demo clinic of these tests (conftest.py)."""


@pytest.fixture
def raised(clinic: Any) -> Iterator[Any]:
    """Four alarms of Anna's, the newest last: plain, doubtful, one that gathers three late alerts, and no limits.

    The value is the message whose reading they are of.
    """
    clinic.execute(
        "TRUNCATE cloud.alarm, cloud.alarm_alert, fhir.task, fhir.flag, watch_alert, fhir.task_history,"
        " fhir.flag_history CASCADE"
    )
    clinic.execute("UPDATE event SET done_at = now() WHERE kind = 'alert'")
    reading = clinic.home.pressure(1, CUFF)
    clinic.send(reading)
    for minutes, alerts, doubt in ((30, 1, ()), (20, 1, ("movement", "clock")), (10, 3, ())):
        limit = alarms.limit(clinic.url, uuid4(), clinic.patient, demo_id("person/doctor"))
        for again in range(alerts):
            alarms.raise_alert(
                clinic.url, limit, reading, AT - timedelta(minutes=minutes - again), subject=clinic.patient,
                doubt=doubt, late=alerts > 1, severity="urgent" if doubt else "warning", about=f"{again}",
            )  # fmt: skip
    alarms.raise_alert(
        clinic.url, BUILT_IN_NO_LIMITS, None, AT, subject=clinic.patient, kind="absent", about="absent:x", numbers=(),
        cause="assignment", severity="note",
    )  # fmt: skip
    clinic.work()
    yield reading
    of_it = f"fhir.term('identifier=urn:feldsher:reading|{reading.reading[0]}')"
    # other tests look at the newest readings
    clinic.execute(f"DELETE FROM fhir.observation WHERE terms && ARRAY[{of_it}]")  # noqa: S608


def rows(page: str) -> list[str]:
    """The alarms of a worklist as text, one each."""
    body = re.search(r'id="alarms-title".*?</section>', page, re.DOTALL)
    assert body is not None
    found = re.findall(r"<tr.*?</tr>", body[0], re.DOTALL)[1:]
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def test_they_stand_first_the_urgent_and_the_newest_on_top_with_their_doubts(raised: None, doctor: Any) -> None:
    page = doctor.get("/worklist")
    assert page.index('id="alarms-title"') < page.index('id="confirm-title"')
    said = rows(page)
    assert len(said) == 4
    assert said[0].startswith("AT ONCE")
    assert "doubtful the body moved; the time of measurement is not certain" in said[0]
    assert "monitored without limits" in said[1]
    assert "Systolic blood pressure 165 mmHg, above 150" in said[2]
    assert "late: no news" in said[2]
    assert "3 times, since" in said[2]
    assert said[3].startswith("soon")
    assert not any(word in said[3] for word in ("doubtful", "late", "times"))


def test_in_russian(raised: None, doctor: Any) -> None:
    doctor.client.cookies.set("feldsher_language", "ru")
    said = rows(doctor.get("/worklist"))
    doctor.client.cookies.delete("feldsher_language")
    assert "сомнительно пациент двигался" in said[0]
    assert "Систолическое давление 165 мм рт. ст., выше 150" in said[2]
    assert "с опозданием" in said[2]


def first_alarm(page: str) -> tuple[str, str]:
    """The first alarm of a worklist that can be answered there, and the version of it that is shown."""
    form = re.search(r'action="/alarm/([0-9a-f-]+)/answer".*?name="version" value="(\d+)"', page, re.DOTALL)
    assert form is not None
    return form[1], form[2]


def test_what_is_dealt_with_is_gone_and_once_is_enough(raised: None, doctor: Any) -> None:
    task, version = first_alarm(doctor.get("/worklist"))
    page = doctor.post(f"/alarm/{task}/answer", version=version)
    assert "The alarm is closed." in page
    assert len(rows(page)) == 3
    assert len(rows(doctor.post(f"/alarm/{task}/answer", version=version))) == 3
    doctor.post(f"/alarm/{uuid4()}/answer", version="1", status=404)


def test_what_came_after_the_page_was_shown_is_not_answered_with_it(clinic: Any, raised: Any, doctor: Any) -> None:
    task, version = first_alarm(doctor.get("/worklist"))
    limit = clinic.query("SELECT limit_id FROM cloud.alarm WHERE task = %s", task)[0][0]
    alarms.raise_alert(clinic.url, limit, raised, AT, subject=clinic.patient, about="since then", severity="urgent")
    clinic.work()
    page = doctor.post(f"/alarm/{task}/answer", version=version)
    assert "Please look at it again" in page
    assert "The alarm is closed" not in page
    assert len(rows(page)) == 4
    assert first_alarm(page)[0] == task
    for wrong in ("", "0", "two"):
        doctor.post(f"/alarm/{task}/answer", version=wrong, status=422)
    assert len(rows(doctor.post(f"/alarm/{task}/answer", version=first_alarm(page)[1]))) == 3


def test_a_cardiograms_alarm_leads_to_it(clinic: Any, raised: None, doctor: Any) -> None:
    report = clinic.recording()  # of nobody's, with a finding that is critical by its own rule
    clinic.work()
    page = doctor.get("/worklist")
    said = next(row for row in rows(page) if "critical ECG" in row)
    assert said.startswith("AT ONCE")
    assert "Complete AV block" in said
    assert "belongs to nobody" in said
    assert f'href="/ecg/{report}"' in page


def test_it_is_announced_and_can_be_used_without_a_mouse(raised: None, browse: Any, tmp_path: Path) -> None:
    page = browse("doctor")
    page.wait_for_selector("#alarms-title")
    pictures = Path(os.environ.get("FELDSHER_PICTURES", tmp_path))
    page.screenshot(path=str(pictures / "alarms.png"), full_page=True)
    page.get_by_role("button", name=re.compile("Dealt with")).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist?answered")
    assert page.get_by_role("status").first.inner_text() == "The alarm is closed."
    assert page.locator("#alarms-title").locator("xpath=../..").locator("tbody tr").count() == 3


def test_on_a_telephone(raised: None, browse: Any, tmp_path: Path) -> None:
    page = browse("doctor", width=390, height=844, locale="ru-RU")
    page.wait_for_selector("#alarms-title")
    pictures = Path(os.environ.get("FELDSHER_PICTURES", tmp_path))
    page.screenshot(path=str(pictures / "alarms-phone.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
