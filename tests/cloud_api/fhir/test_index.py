"""What of a resource goes into the search columns."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from typing import Any

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import compartment, index
from feldsher_cloud_api.fhir.forms import term
from feldsher_cloud_api.fhir.identity import key
from feldsher_cloud_api.fhir.index import Values

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"


def _has(found: Values, *words: str) -> list[bool]:
    return [term(w) in found.terms for w in words]


def _pressure(**more: Any) -> dict[str, Any]:
    def part(code: str, value: str) -> dict[str, Any]:
        quantity = {"value": Decimal(value), "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        return {"code": {"coding": [{"system": LOINC, "code": code}]}, "valueQuantity": quantity}

    return {
        "resourceType": "Observation",
        "id": "bp",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "85354-9", "display": "Blood  Pressure"}], "text": "BP"},
        "subject": {"reference": "Patient/anna", "identifier": {"system": "s", "value": "7"}},
        "effectiveDateTime": "2024-05",
        "component": [part("8480-6", "132"), part("8462-4", "84.50")],
    } | more


def test_codes_are_found_in_every_form() -> None:
    found = index.values(_pressure())
    assert all(_has(found, "code=85354-9", f"code={LOINC}|85354-9", f"code={LOINC}|", "code:present", "status=final"))
    assert all(_has(found, "status=http://hl7.org/fhir/observation-status|final", "combo-code=8480-6"))
    assert _has(found, "code=8480-6", "code=|85354-9", "device:present") == [False] * 3
    assert all(_has(found, "code:text^blo", "code:text^bp"))
    assert any("\x1fcode=blood pressure\x1eBlood  Pressure" in t for t in found.texts)


def test_references_lead_by_key_whatever_the_id() -> None:
    found = index.values(_pressure(performer=[{"reference": "http://elsewhere/Practitioner/1"}]))
    anna = key("anna")
    forms = (f"subject=Patient/{anna}", f"subject={anna}", f"patient={anna}", "subject:identifier=s|7")
    assert all(_has(found, *forms))
    assert all(_has(found, "performer=http://elsewhere/Practitioner/1"))
    assert found.links == {f"subject=Patient/{anna}", f"patient=Patient/{anna}"}
    assert index.values(_pressure(subject={"reference": "Patient/anna/_history/3"})).links == found.links
    assert index.values(_pressure(subject={"reference": "#p"})).links == set()


def test_amounts_stand_beside_their_codes_in_canonical_units() -> None:
    places = index.plan("Observation").places
    rows = index.values(_pressure()).amounts
    systolic = next(r for r in rows if r.code == term("code=8480-6"))
    assert systolic.coded == term(f"code={LOINC}|8480-6")
    assert systolic.place in places["component-code-value-quantity"]
    assert systolic.place in places["combo-value-quantity"]
    assert systolic.place not in places["value-quantity"]
    assert (systolic.sent_low, systolic.unit) == (132.0, term("dimension=g.m-1.s-2"))
    in_kpa = _pressure()
    in_kpa["component"][0]["valueQuantity"] |= {"value": Decimal("17.598504"), "code": "kPa"}
    assert index.values(in_kpa).amounts[0][:4] == systolic[:4]
    assert abs(index.values(in_kpa).amounts[0].low / systolic.low - 1) < 1e-12


def test_ranges_and_comparators_are_open() -> None:
    def one(**value: Any) -> tuple[float, float]:
        resource = _pressure(component=[], **value)
        row = index.values(resource).amounts[0]
        return row.sent_low, row.sent_high

    assert one(valueQuantity={"value": 5, "comparator": "<"}) == (-inf, 5)
    assert one(valueQuantity={"value": 5, "comparator": ">="}) == (5, inf)


def test_dates_are_ranges_and_several_their_hull() -> None:
    may, june = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    assert index.values(_pressure()).dates["date"] == (may, june)
    timed = _pressure(effectiveTiming={"event": ["2024-05-01", "2024-05-31"]})
    del timed["effectiveDateTime"]
    found = index.values(timed)
    assert found.dates["date"] == (may, june)  # of a Timing the outer limits are one range
    assert _has(found, "date:many") == [False]
    wards = [{"period": {"start": day, "end": day}} for day in ("2024-05-01", "2024-05-31")]
    found = index.values({"resourceType": "Encounter", "id": "e", "location": wards})
    assert found.dates["location_period"] == (may, june)
    assert _has(found, "location-period:many") == [True]
    days = [(r.low, r.high) for r in found.amounts if r.place == index.place_of("Encounter", "location-period")]
    assert [(b - a) / 86_400_000_000 for a, b in days] == [1, 1]


def test_a_period_that_ends_before_it_begins_and_the_last_year() -> None:
    for period in ({"start": "2024", "end": "2020"}, {"start": "9999-12-31"}, {"end": "9999"}, {"start": "banana"}):
        low, high = index.values({"resourceType": "Flag", "id": "f", "period": period}).dates.get("date", (None, None))
        assert low is None or high is None or low < high


def test_strings_are_folded_and_kept() -> None:
    patient = {"resourceType": "Patient", "id": "p", "name": [{"family": "Ёлкин-Müller", "given": ["Анна  Б"]}]}
    found = index.values(patient)
    assert "\x1ffamily=елкин-muller\x1eЁлкин-Müller" in found.strings
    assert "\x1fname=анна б\x1eАнна  Б" in found.strings
    assert _has(found, "deceased=false") == [True]


def test_composites_pair_what_stands_together() -> None:
    report = {"resourceType": "DocumentReference", "id": "d", "relatesTo": [
        {"code": "replaces", "target": {"reference": "DocumentReference/a"}},
        {"code": "signs", "target": {"reference": "DocumentReference/b"}},
    ]}  # fmt: skip
    found = index.values(report)
    a, b = (f"DocumentReference/{key(x)}" for x in "ab")
    assert _has(found, f"relationship=replaces${a}", f"relationship=replaces${b}") == [True, False]
    assert index.plan("DocumentReference").composites == {"relationship": ("token", "reference")}


def test_malformed_resources_are_indexed_as_far_as_they_go() -> None:
    for wrong in ("x", 7, [], ["x"], {"coding": "x"}, {"coding": ["x", {"code": 5}]}, None, True):
        resource = _pressure(code=wrong, subject=wrong, component=wrong, effectiveDateTime=wrong, identifier=wrong)
        assert term("status=final") in index.values(resource).terms


def test_whose_a_resource_is() -> None:
    def whose(**resource: Any) -> Any:
        return compartment.patient(resource, index.values(resource))

    anna, boris = {"reference": "Patient/anna"}, {"reference": "Patient/boris"}
    assert whose(resourceType="Patient", id="anna") == key("anna")
    assert whose(resourceType="Observation", id="o", subject=anna) == key("anna")
    assert whose(resourceType="Observation", id="o", subject=anna, performer=[anna]) == key("anna")
    assert whose(resourceType="Observation", id="o", subject=anna, performer=[boris]) is None
    assert whose(resourceType="Observation", id="o", subject={"reference": "Group/g"}) is None
    assert whose(resourceType="Task", id="t", **{"for": anna}) == key("anna")
    assert whose(resourceType="Binary", id="b", securityContext=anna) == key("anna")
    assert whose(resourceType="Location", id="l") is None
    assert whose(resourceType="Appointment", id="a", participant=[{"actor": anna}, {"actor": boris}]) is None


def test_sql_has_the_same_terms(database: str) -> None:
    words = ["code=85354-9", "name:present", "identifier=urn:x|Ж"]
    with db.connect(database) as connection:
        found = connection.execute("SELECT fhir.term(w) FROM unnest(%s::text[]) w", (words,)).fetchall()
    assert [r[0] for r in found] == [term(w) for w in words]
