"""Whose a recording is: its order's patient's only if that order held, at that gateway, for that device."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import order_number
from feldsher_tools.clinic import CARDIOGRAPH, CLINIC, HOME, Clinic


def _status(clinic: Clinic, order: UUID) -> str:
    return str(clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()["status"])


def _reason(clinic: Clinic, message: wire.EcgRecording) -> str | None:
    """Return why a recording waits for staff, None where it belongs to a patient; nothing of it may then be theirs."""
    clinic.receive(message)
    clinic.work()
    with clinic.owner() as connection:
        row = connection.execute("SELECT reason FROM cloud.unassigned WHERE id = %s", (message.env.id,)).fetchone()
        (patient, content) = connection.execute(
            "SELECT patient_id, content FROM fhir.diagnosticreport WHERE id = %s", (message.env.id,)
        ).fetchall()[0]
    assert (patient is None, "subject" not in content, "basedOn" not in content) == (row is not None,) * 3
    return row[0] if row else None


def _late(clinic: Clinic, order: UUID, minutes: float, **changes: Any) -> wire.EcgRecording:
    """Return a recording so many minutes after its order's end."""
    end = clinic.time.now + clinic.settings.order_life + timedelta(minutes=minutes)
    us = int(end.timestamp() * 1_000_000)
    return clinic.recording(order, started_us=us, ended_us=us + 2_000_000, **changes)


def test_recording_within_its_order_is_the_patients(clinic: Clinic) -> None:
    order = clinic.order()
    assert _reason(clinic, _late(clinic, order, 0.5)) is None
    assert _status(clinic, order) == "completed"


def test_recording_begun_after_its_orders_end_is_nobodys(clinic: Clinic) -> None:
    order = clinic.order()
    assert _reason(clinic, _late(clinic, order, 2)) == "it was taken after its order had lapsed"
    assert _status(clinic, order) == "active"


def test_unsynced_clock_is_not_asked_when_a_recording_was_taken(clinic: Clinic) -> None:
    order = clinic.order()
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_command SET expires_at = now() - interval '10 minutes'")
    message = clinic.recording(order, env=clinic.envelope(CLINIC, "unsynced"), started_us=1, ended_us=2_000_001)
    assert _reason(clinic, message) == "it was taken after its order had lapsed"


def test_revoked_order_stays_revoked_and_its_recording_is_nobodys(clinic: Clinic) -> None:
    order = clinic.order()
    clinic.receive(wire.OrderState(env=clinic.envelope(CLINIC), order=order, state="replaced"))
    assert _reason(clinic, clinic.recording(order)) == "its order was revoked already"
    assert _status(clinic, order) == "revoked"


def test_second_recording_of_an_order_is_nobodys(clinic: Clinic) -> None:
    order = clinic.order()
    assert _reason(clinic, clinic.recording(order)) is None
    assert _reason(clinic, clinic.recording(order)) == "its order was completed already"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "another"}, "its order is for another device"),
        ({"gateway": HOME}, "its order went to another gateway"),
        ({"order": UUID(int=9)}, "its order is not known here"),
    ],
)
def test_recording_that_its_order_does_not_fit_is_nobodys(clinic: Clinic, changes: dict[str, Any], reason: str) -> None:
    order = clinic.order()
    env = clinic.envelope(changes.get("gateway", CLINIC))
    message = clinic.recording(changes.get("order", order), env=env, device=changes.get("device", CARDIOGRAPH))
    assert _reason(clinic, message) == reason
    assert _status(clinic, order) == "active"


ORIGIN = wire.Origin(
    "folder", "SCP-ECG", bytes(range(32)), 61_338, 1_000_000, "2026-11-23T12:00:05", "Mortara", "ELI250", None, (1, 1),
    ("it names order K7QX3M9P, but says 16 years where the order says 61",),
)  # fmt: skip


def test_report_of_another_cardiographs_recording_says_where_it_came_from(clinic: Clinic) -> None:
    message = clinic.recording(origin=ORIGIN, device="cart-1")
    assert _reason(clinic, message) == "taken without an order"
    with clinic.owner() as connection:
        row = connection.execute(
            "SELECT content FROM fhir.diagnosticreport WHERE id = %s", (message.env.id,)
        ).fetchone()
    assert row is not None
    (held,) = [e["extension"] for e in row[0]["extension"] if e["url"] == "urn:feldsher:ecg-origin"]
    said = {part["url"]: value for part in held for key, value in part.items() if key.startswith("value")}
    assert said == {
        "via": "folder",
        "format": "SCP-ECG",
        "sha256": bytes(range(32)).hex(),
        "size": 61_338,
        "maker": "Mortara",
        "model": "ELI250",
        "recordedAt": "2026-11-23T12:00:05",
    }
    assert row[0]["conclusion"].startswith("Not certain: it names order K7QX3M9P, but says 16 years")


def test_the_parts_of_a_long_original_are_all_of_its_order_and_no_other_recording_is(clinic: Clinic) -> None:
    order = clinic.order()
    parts = [msgspec.structs.replace(ORIGIN, part=(k, 3), doubts=()) for k in (2, 1, 3)]
    for part in parts:
        assert _reason(clinic, clinic.recording(order, origin=part)) is None
        assert _status(clinic, order) == "completed"
    for other in (
        msgspec.structs.replace(ORIGIN, part=(1, 3), sha256=bytes(32)),
        msgspec.structs.replace(ORIGIN, part=(1, 1)),
    ):
        assert _reason(clinic, clinic.recording(order, origin=other)) == "its order was completed already"


def test_an_order_carries_its_number_for_carts(clinic: Clinic) -> None:
    order = clinic.order()
    content = clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()
    assert content["identifier"] == [{"system": "urn:feldsher:order-number", "value": order_number(order)}]
    query = f"identifier=urn:feldsher:order-number|{order_number(order)}"
    found = clinic.browser.get(f"/fhir/ServiceRequest?{query}").json()
    assert [e["resource"]["id"] for e in found["entry"]] == [str(order)]


def test_the_device_of_an_original_is_registered_with_its_model(clinic: Clinic) -> None:
    clinic.receive(clinic.recording(origin=ORIGIN, device="cart-9"))
    clinic.work()
    with clinic.owner() as connection:
        query = "SELECT content FROM fhir.device WHERE content->'identifier'->0->>'value' = %s"
        rows = connection.execute(query, (f"{CLINIC}/cart-9",)).fetchall()
    assert [row[0]["modelNumber"] for row in rows] == ["Mortara ELI250"]
