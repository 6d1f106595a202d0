"""Parameters become what they mean, or are refused by name and value."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from feldsher_cloud_api.fhir import query
from feldsher_cloud_api.fhir.criterion import (
    Amount,
    Chain,
    Condition,
    Criterion,
    Has,
    Include,
    Moment,
    Reference,
    Search,
    Sort,
    Text,
    Together,
    Token,
)
from feldsher_cloud_api.fhir.outcome import FhirError

BASE = "https://record.example/fhir"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _understood(kind: str, *pairs: tuple[str, str], lenient: bool = False) -> Search:
    return query.understand((kind,), pairs, BASE, NOW, lenient=lenient)


def _criterion(kind: str, name: str, value: str) -> Criterion:
    (found,) = _understood(kind, (name, value)).conditions
    assert isinstance(found, Criterion)
    return found


def test_tokens_with_and_without_system_and_escapes() -> None:
    asked = _criterion("Observation", "code", r"a,http://loinc.org|b,|c,d\,e\|f\$g,http://loinc.org|")
    assert asked.values == (
        Token(None, "a"), Token("http://loinc.org", "b"), Token("", "c"), Token(None, "d,e|f$g"),
        Token("http://loinc.org", ""),
    )  # fmt: skip


def test_dates_are_ranges_of_their_precision() -> None:
    (value,) = _criterion("Patient", "birthdate", "ge1980-05").values
    assert value == Moment("ge", datetime(1980, 5, 1, tzinfo=UTC), datetime(1980, 6, 1, tzinfo=UTC))
    (about,) = _criterion("Patient", "birthdate", "ap2026-11-13T12:00:00Z").values
    assert isinstance(about, Moment)
    assert about.low == datetime(2026, 11, 12, 12, tzinfo=UTC)  # a tenth of ten days


def test_numbers_carry_the_precision_of_their_digits() -> None:
    def values(text: str) -> tuple[Decimal, Decimal]:
        (value,) = _criterion("Observation", "value-quantity", text).values
        assert isinstance(value, Amount)
        return value.low, value.high

    assert values("100") == (Decimal("99.5"), Decimal("100.5"))
    assert values("100.00") == (Decimal("99.995"), Decimal("100.005"))
    assert values("ap200") == (180, 220)
    (value,) = _criterion("Observation", "value-quantity", "le5.4|http://unitsofmeasure.org|mg").values
    assert isinstance(value, Amount)
    assert (value.prefix, value.system, value.unit) == ("le", "http://unitsofmeasure.org", "mg")


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("subject", "23", Reference("", "23")),
        ("subject", "Patient/23", Reference("Patient", "23")),
        ("subject", "Patient/23/_history/4", Reference("Patient", "23")),
        ("subject", f"{BASE}/Patient/23", Reference("Patient", "23")),
        ("subject:Patient", "23", Reference("Patient", "23")),
        ("subject", "https://other.example/Patient/23", Reference(url="https://other.example/Patient/23")),
        ("subject", "urn:uuid:1", Reference(url="urn:uuid:1")),
    ],
)
def test_references_in_every_form(name: str, text: str, meant: Reference) -> None:
    assert _criterion("Observation", name, text).values == (meant,)


def test_composites_are_read_part_by_part() -> None:
    (value,) = _criterion("Observation", "code-value-quantity", "8480-6$gt140").values
    assert isinstance(value, Together)
    first, second = value.parts
    assert first == Token(None, "8480-6")
    assert isinstance(second, Amount)
    assert (second.prefix, second.value) == ("gt", 140)


def test_chains_lead_to_every_type_that_has_the_parameter() -> None:
    found: Condition = _understood("Observation", ("subject.name:exact", "Eve")).conditions[0]
    assert isinstance(found, Chain)
    assert [kind for kind, _ in found.inner] == ["Location", "Patient"]
    (_, inner) = found.inner[1]
    assert isinstance(inner, Criterion)
    assert (inner.modifier, inner.values) == ("exact", (Text("Eve"),))


def test_reverse_chains_nest() -> None:
    name = "_has:Observation:patient:_has:AuditEvent:entity:agent"
    (found,) = _understood("Patient", (name, "Practitioner/1")).conditions
    assert isinstance(found, Has)
    assert isinstance(found.inner, Has)
    assert (found.kind, found.name, found.inner.kind) == ("Observation", "patient", "AuditEvent")


def test_what_shapes_the_answer() -> None:
    asked = _understood(
        "Observation",
        ("_sort", "-date,status"), ("_count", "7"), ("_total", "accurate"), ("_summary", "data"),
        ("_elements", "code,value"), ("_include", "Observation:subject:Patient"), ("_revinclude:iterate", "*"),
        ("_format", "json"),
    )  # fmt: skip
    assert asked.sort == [Sort("date", "date", down=True), Sort("status", "token")]
    assert (asked.count, asked.total, asked.summary, asked.elements) == (7, "accurate", "data", ("code", "value"))
    assert asked.includes == [
        Include("Observation", "subject", "Patient"),
        Include("*", "*", iterate=True, reverse=True),
    ]
    assert ("_format", "json") not in asked.understood


def test_unknown_parameters_are_left_out_where_the_client_is_lenient() -> None:
    asked = _understood("Patient", ("favourite-colour", "blue"), ("name", "eve"), lenient=True)
    assert asked.understood == [("name", "eve")]
    with pytest.raises(FhirError):
        _understood("Patient", ("name:backwards", "eve"), lenient=True)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("Patient", "favourite-colour", "blue"),
        ("Patient", "name:backwards", "eve"),
        ("Patient", "birthdate", "yesterday"),
        ("Patient", "birthdate", "2024-13-01"),
        ("Patient", "birthdate:missing", "perhaps"),
        ("Patient", "identifier", "a|b|c"),
        ("Patient", "identifier:of-type", "a|b"),
        ("Patient", "name", "eve,,adam"),
        ("Patient", "name", "null\x00byte"),
        ("Patient", "name.family", "eve"),
        ("Patient", "general-practitioner", "who knows?"),
        ("Patient", "general-practitioner:Device", "Patient/1"),
        ("Patient", "general-practitioner:Device.type", "x"),
        ("Patient", "_has:Observation:code:status", "final"),
        ("Patient", "_has:Banana:patient:status", "final"),
        ("Patient", "_has:Observation:patient", "final"),
        ("Patient", "_text", "words"),
        ("Patient", "_filter", "name eq eve"),
        ("Patient", "_contained", "true"),
        ("Patient", "_summary", "short"),
        ("Patient", "_elements", "names"),
        ("Patient", "_include", "Observation:subject"),
        ("Patient", "_include", "Patient:name"),
        ("Patient", "_include:recurse", "Patient:link"),
        ("Patient", "_revinclude", "Observation:code"),
        ("Patient", "_sort", "favourite-colour"),
        ("Patient", "_count", "-1"),
        ("Observation", "value-quantity", "five"),
        ("Observation", "value-quantity", "5||"  + "|"),
        ("Observation", "code-value-quantity", "8480-6"),
        ("Observation", "code-value-quantity:missing", "true"),
        ("Provenance", "target.status", "final"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name_and_value(kind: str, name: str, value: str) -> None:
    with pytest.raises(FhirError) as caught:
        _understood(kind, (name, value))
    assert caught.value.status == 400
    assert repr(name)[1:40].rstrip("'") in caught.value.words
    assert repr(value)[1:-1] in caught.value.words


def test_too_much_is_refused() -> None:
    with pytest.raises(FhirError, match="more than 64 parameters"):
        _understood("Patient", *[("name", "eve")] * 65)
    with pytest.raises(FhirError, match="more than 5 steps"):
        _understood("Patient", (".".join(["link:Patient"] * 7) + "._id", "1"))
    with pytest.raises(FhirError, match="more than 500 values"):
        _understood("Patient", ("_id", ",".join(["a"] * 501)))
