"""The page of a running recording: who may watch, and, in Debian's chromium, that it moves and leads to the ECG."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import numpy as np
import pytest
from feldsher_cloud_api import access, db
from feldsher_cloud_api.care import order
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_ingest import live
from feldsher_signal import codec, synth
from playwright.sync_api import Page, expect

Open = Callable[..., Page]
PIECE = 100
FS = 500.0


@pytest.fixture
def ordered(clinic: Any) -> UUID:
    """An order for Anna that the gateway has been given."""
    settings = clinic.settings("http://testserver")
    wanted = order.request(clinic.patient, UUID(clinic.seeded["cardiograph"]))
    (person,) = clinic.query("SELECT id, display, practitioner FROM cloud.person WHERE role = 'doctor'")
    who = access.Principal(person[0], "doctor", person[1], person[2], (), "web")
    with db.pool(clinic.url, db.API, size=1) as pool, access.asking(pool, who) as connection:
        return UUID(order.place(connection, who, wanted, now=settings.clock(), life=settings.order_life)["id"])


def pieces(clinic: Any, of: UUID, seconds: float) -> Iterator[wire.LiveStrip]:
    """The pieces of a recording of a heart, one of them lost on the way."""
    heart, _ = synth.ecg(synth.PRESETS["normal"], seconds, FS, 1)
    samples = np.rint(heart.microvolts()).astype(np.int32) + 20_000  # an electrode's own voltage
    for first in range(0, samples.shape[1], PIECE):
        if first != 5 * PIECE:
            some = np.ascontiguousarray(samples[:, first : first + PIECE])
            yield wire.LiveStrip(
                env=clinic.clinic.envelope(), device="kit-1", order=of, fs=FS, leads=STANDARD_LEADS,
                uv_per_bit=(1.0,) * 12, first=first, n=some.shape[1], codec=codec.ZDB32, samples=codec.encode(some),
            )  # fmt: skip


def notify(clinic: Any, piece: wire.LiveStrip) -> None:
    """Show a piece as ingest does."""
    payload = live.payload(wire.up_topic(piece.env.gateway, "live"), wire.encode(piece))
    clinic.query("SELECT pg_notify(%s, %s)", live.CHANNEL, payload)


def test_a_doctor_may_watch_and_others_may_not(ordered: UUID, visitor: Any) -> None:
    for name, status in (("anna", 403), ("technician", 403), ("doctor", 200)):
        someone = visitor.sign_out().sign_in(name)
        page = someone.get(f"/live/{ordered}", status=status)
        assert ("live-sheet" in page) is (status == 200)
        if status != 200:
            someone.get(f"/live/{ordered}/strip", status=status)


def test_nobody_watches_without_signing_in(ordered: UUID, visitor: Any) -> None:
    assert 'name="password"' in visitor.sign_out().get(f"/live/{ordered}/strip")


def test_an_order_that_is_not_there_is_not_found(doctor: Any) -> None:
    doctor.get(f"/live/{uuid4()}", status=404)
    doctor.get(f"/live/{uuid4()}/strip", status=404)


def test_a_stream_leads_to_the_report_and_is_in_the_audit(clinic: Any, ordered: UUID, doctor: Any) -> None:
    report = clinic.recording(order=ordered)
    seen = "SELECT count(*) FROM fhir.auditevent WHERE content::text LIKE %s"
    before = clinic.query(seen, f"%ServiceRequest/{ordered}%")[0][0]
    text = doctor.get(f"/live/{ordered}/strip")
    said = msgspec.json.decode(text.split("data: ")[1])
    assert (said["ended"], said["report"]) == (True, str(report))
    assert clinic.query(seen, f"%ServiceRequest/{ordered}%")[0][0] == before + 1


def test_the_worklist_leads_to_a_running_recording(clinic: Any, ordered: UUID, doctor: Any) -> None:
    link = f'id="l-{ordered}"'
    assert link not in doctor.get("/worklist")
    env = clinic.clinic.envelope()
    clinic.send(wire.OrderState(env=env, order=ordered, state="recording"))
    assert link in doctor.get("/worklist")


@pytest.mark.browser
def test_the_strip_moves_and_ends_in_the_ecg(clinic: Any, ordered: UUID, browse: Open) -> None:
    page = browse("doctor")
    page.goto(f"/live/{ordered}")
    root = page.locator("#live")
    expect(page.locator("#live-said")).to_have_text("Waiting for the cardiograph.")
    sheets: list[str] = []
    shown = 0
    for piece in itertools.islice(pieces(clinic, ordered, 10.0), 30):
        notify(clinic, piece)
        shown = piece.first + piece.n
        if shown % 1000 == 0:
            expect(root).to_have_attribute("data-samples", str(shown))
            sheets.append(page.evaluate("document.getElementById('live-sheet').toDataURL()"))
    expect(page.locator("#live-said")).to_have_text(f"Recording: {shown / FS:.1f} s")
    assert len(set(sheets)) == len(sheets) >= 3
    report = clinic.recording(order=ordered)
    expect(page.locator("#live-open")).to_be_visible()
    page.locator("#live-open").click()
    expect(page).to_have_url(f"{page.url.split('/ecg')[0]}/ecg/{report}")


@pytest.mark.browser
def test_who_opens_the_page_late_sees_the_whole_recording(clinic: Any, ordered: UUID, browse: Open) -> None:
    page = browse("doctor")
    page.goto(f"/live/{ordered}")
    for piece in pieces(clinic, ordered, 4.0):
        notify(clinic, piece)
    expect(page.locator("#live")).to_have_attribute("data-samples", "2000")
    other = browse("doctor", width=800, locale="ru-RU")
    other.goto(f"/live/{ordered}")
    expect(other.locator("#live")).to_have_attribute("data-samples", "2000")
    expect(other.locator("#live-said")).to_have_text("Запись: 4.0 с")
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
