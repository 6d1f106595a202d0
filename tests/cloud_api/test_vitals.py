"""Vital signs in the record: one unit, the best known time, and beside them what the device sent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from feldsher_cloud_api.fhir import dates
from feldsher_tools.clinic import Clinic
from msgspec.structs import replace

BP = {150021: "132", 150022: "84.50", 150023: "100", 149546: "71"}


def _components(clinic: Clinic) -> list[dict[str, Any]]:
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content FROM fhir.observation WHERE terms && ARRAY[fhir.term('code=85354-9')]"
        ).fetchall()
    assert len(rows) == 1
    return rows[0][0]["component"]


def test_kilopascals_become_mmhg_and_stay_beside_it_as_sent(clinic: Clinic) -> None:
    message = clinic.vitals(clinic.time.now, {150021: "17.6", 150022: "11.3", 149546: "71"})
    clinic.receive(replace(message, unit=("kPa", "kPa", "/min")))
    clinic.work()
    systolic, diastolic = _components(clinic)
    ucum = "http://unitsofmeasure.org"
    assert systolic["valueQuantity"] == {
        "value": Decimal("132.0"), "unit": "mm[Hg]", "system": ucum, "code": "mm[Hg]",
    }  # fmt: skip
    assert systolic["extension"] == [
        {
            "url": "urn:feldsher:as-sent",
            "valueQuantity": {"value": Decimal("17.6"), "unit": "kPa", "system": ucum, "code": "kPa"},
        }
    ]
    assert str(diastolic["valueQuantity"]["value"]) == "84.8"
    with clinic.owner() as connection:
        raw = connection.execute("SELECT value::text, unit FROM public.vital_sign WHERE code = 150021").fetchall()
    assert raw == [("17.6", "kPa")]
    clinic.sign_in("doctor")
    trend = clinic.browser.get(f"/api/patient/{clinic.patients[0]}/vitals").json()
    assert (trend["systolic"], trend["as_sent"]) == ([132.0], ["17.6/11.3 kPa"])


def test_a_pressure_in_a_unit_nobody_knows_is_no_number(clinic: Clinic) -> None:
    message = clinic.vitals(clinic.time.now, {150021: "180", 150022: "80"})
    clinic.receive(replace(message, unit=("cm[H2O]", "mm[Hg]")))
    clinic.work()
    systolic, diastolic = _components(clinic)
    assert "valueQuantity" not in systolic
    assert systolic["dataAbsentReason"]["coding"][0]["code"] == "unsupported"
    assert systolic["extension"][0]["valueQuantity"]["code"] == "cm[H2O]"
    assert diastolic["valueQuantity"]["value"] == 80


def test_trend_goes_by_the_corrected_time_and_keeps_the_time_as_sent(clinic: Clinic) -> None:
    now = clinic.time.now.replace(microsecond=0)
    wrong = now - timedelta(days=20)  # the cuff's clock; it was read just now
    message = clinic.vitals(wrong, BP)
    told = (wrong + timedelta(hours=5)).replace(tzinfo=None).isoformat()
    late = replace(message, device_now=told, gateway_now_us=int(now.timestamp() * 1_000_000))
    clinic.receive(late, clinic.vitals(now - timedelta(days=3), BP | {150021: "140"}))
    clinic.work()
    clinic.sign_in("doctor")
    path = f"/api/patient/{clinic.patients[0]}/vitals"
    trend = clinic.browser.get(path).json()
    assert trend["systolic"] == [140, 132]
    assert [dates.parse(t)[0] for t in trend["time"]] == [now - timedelta(days=3), now]
    assert trend["time_as_sent"][0] is None
    assert dates.parse(trend["time_as_sent"][1])[0] == wrong
    recent = {"start": (now - timedelta(days=1)).isoformat()}
    assert clinic.browser.get(path, params=recent).json()["systolic"] == [132]
