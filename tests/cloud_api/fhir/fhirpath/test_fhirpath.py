"""FHIRPath: each part of the language by its own words, on HL7's own example patient and observation."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.fhirpath import PathError, compile_path
from feldsher_cloud_api.fhir.r4 import definitions
from hypothesis import given
from hypothesis import strategies as st

LINES = (Path(__file__).parents[1] / "examples.ndjson").read_bytes().splitlines()
EXAMPLES: list[dict[str, Any]] = [db.loads(line) for line in LINES]
PATIENT = next(e for e in EXAMPLES if e["resourceType"] == "Patient" and e["id"] == "example")
PRESSURE = next(e for e in EXAMPLES if e.get("id") == "blood-pressure")
NOW = datetime(2026, 11, 23, 16, 5, 7, 250_000, tzinfo=UTC)


def found(expression: str, resource: dict[str, Any] = PATIENT) -> list[Any]:
    values = compile_path(expression).values(resource, now=NOW)
    return [v if isinstance(v, bool | int | Decimal | dict) else str(v) for v in values]


CASES: dict[str, list[Any]] = {
    # paths
    "Patient.name.family": ["Chalmers", "Windsor"],
    "name.given": ["Peter", "James", "Jim", "Peter", "James"],
    "name[0].given[1]": ["James"],
    "name.`given`.first()": ["Peter"],
    "Observation.name": [],
    "nothing": [],
    "birthDate.extension.value": ["1974-12-25T14:35:45-05:00"],
    "birthDate.extension('http://hl7.org/fhir/StructureDefinition/patient-birthTime').exists()": [True],
    "managingOrganization.resolve() is Organization": [True],
    "%resource.id = id and %context.id = id": [True],
    "%loinc": ["http://loinc.org"],
    "%`vs-administrative-gender`": ["http://hl7.org/fhir/ValueSet/administrative-gender"],
    # literals
    "{}": [],
    "true | false": [True, False],
    "1.10": [Decimal("1.10")],
    r"'a\'b\u0041\n'": ["a'bA\n"],
    "@2015-02": ["2015-02"],
    "@2015-02-04T14:34:28+09:00": ["2015-02-04T14:34:28+09:00"],
    "@T14:34": ["14:34"],
    "4 days": ["4 day"],
    "4.5 'mg'": ["4.5 'mg'"],
    "1 // a comment": [1],
    # types
    "active is boolean": [True],
    "active is Boolean": [False],
    "true is System.Boolean": [True],
    "id is string": [True],
    "birthDate is dateTime": [False],
    "Patient is DomainResource": [True],
    "name.first() is FHIR.HumanName": [True],
    "deceased.ofType(boolean)": [False],
    "(deceased as dateTime)": [],
    "active.type().name": ["boolean"],
    "1.type().namespace": ["System"],
    # collections
    "name.where(use = 'usual').given": ["Jim"],
    "name.select(given.count())": [2, 1, 2],
    "name.exists(use = 'old')": [False],
    "name.all(given.exists())": [True],
    "name.given.distinct()": ["Peter", "James", "Jim"],
    "name.given.isDistinct()": [False],
    "(1 | 2 | 2).count()": [2],
    "(1).combine(1).count()": [2],
    "(1 | 2 | 3).intersect(2 | 4)": [2],
    "(1 | 2 | 3).exclude(2)": [1, 3],
    "(1 | 2).subsetOf(1 | 2 | 3)": [True],
    "(1 | 2).supersetOf(1 | 2 | 3)": [False],
    "(1 | 2 | 3).skip(1)": [2, 3],
    "(1 | 2 | 3).take(2).last()": [2],
    "(1 | 2 | 3).tail()": [2, 3],
    "(1 | 2 | 3).aggregate($this + $total, 0)": [6],
    "(1 | 2 | 3).where($index > 0)": [2, 3],
    "contact.repeat(children()).ofType(code).count()": [5],
    "descendants().ofType(Period).count()": [6],
    "iif(active, 'a', 'b')": ["a"],
    "iif({}, 'a')": [],
    "name.given.join(' ')": ["Peter James Jim Peter James"],
    "(true | false).allTrue()": [False],
    "(true | false).anyFalse()": [True],
    "2 in (1 | 2)": [True],
    "(1 | 2) contains 3": [False],
    "{} in (1 | 2)": [],
    # logic of three values
    "true and {}": [],
    "false and {}": [False],
    "true or {}": [True],
    "false or {}": [],
    "true xor {}": [],
    "true xor false": [True],
    "false implies {}": [True],
    "{} implies true": [True],
    "true implies {}": [],
    "active.not()": [False],
    "{}.not()": [],
    # equality, equivalence, order
    "1 = 1.0": [True],
    "1 = {}": [],
    "(1 | 2) = (2 | 1)": [False],
    "(1 | 2) ~ (2 | 1)": [True],
    "'A b' ~ ' a  B'": [True],
    "1.02 ~ 1.0": [True],
    "'a' != 'b'": [True],
    "{} ~ {}": [True],
    "@2012 = @2012-01": [],
    "@2012 ~ @2012-01": [False],
    "@2012-04-15T15:00:00+02:00 = @2012-04-15T16:00:00+03:00": [True],
    "@2012-04-15T15:00:00 = @2012-04-15T15:00:00Z": [],
    "birthDate < today()": [True],
    "birthDate < @1974-12": [],
    "birthDate < @1974-12-26": [True],
    "@T10:30 > @T10:29:59": [True],
    "'b' > 'a'": [True],
    "1 > {}": [],
    "4 'g' = 4000 'mg'": [True],
    "4 'g' > 1 'kg'": [False],
    "4 'g' > 1 'm'": [],
    "7 days = 1 week": [True],
    "1 year = 12 months": [True],
    "1 year = 1 'a'": [],
    # arithmetic
    "1 + 2 * 3": [7],
    "-1 + 3": [2],
    "7 div 2": [3],
    "-7 div 2": [-3],
    "7.5 mod 2": [Decimal("1.5")],
    "1 / 4": [Decimal("0.25")],
    "1 / 0": [],
    "1 + {}": [],
    "'a' + 'b'": ["ab"],
    "'a' & {} & 'b'": ["ab"],
    "2 'g' + 500 'mg'": ["2.5 'g'"],
    "6 'g' / 2 'g'": ["3 '1'"],
    "@2018-01-31 + 1 month": ["2018-02-28"],
    "@2020-02-29 - 1 year": ["2019-02-28"],
    "@2018 + 24 months": ["2020"],
    "@2016-12-31T23:59:59.500Z + 600 milliseconds": ["2017-01-01T00:00:00.100Z"],
    "@T23:30 + 45 minutes": ["00:15"],
    # words
    "'abc'.substring(1)": ["bc"],
    "'abc'.substring(1, 1)": ["b"],
    "'abc'.substring(5)": [],
    "'abc'.indexOf('c')": [2],
    "'abc'.startsWith('ab') and 'abc'.endsWith('bc') and 'abc'.contains('b')": [True],
    "'abc'.upper() + 'AbC'.lower()": ["ABCabc"],
    "'abc'.replace('b', 'x')": ["axc"],
    "'11/30/1972'.replaceMatches('(\\\\d\\\\d)/(\\\\d\\\\d)/', '$2-$1-')": ["30-11-1972"],
    "'abc'.matches('^a.c$')": [True],
    "'abc'.length()": [3],
    "'ab'.toChars()": ["a", "b"],
    "'a,b'.split(',')": ["a", "b"],
    "' a '.trim()": ["a"],
    "'test'.encode('base64').decode('base64')": ["test"],
    "'<a>'.escape('html')": ["&lt;a&gt;"],
    # numbers
    "(-5).abs()": [5],
    "-1.5.abs()": [Decimal("-1.5")],
    "1.1.ceiling() + 1.9.floor()": [3],
    "3.14159.round(3)": [Decimal("3.142")],
    "2.power(3)": [8],
    "81.sqrt()": [Decimal("9.0")],
    "(-1).sqrt()": [],
    "1.9.truncate()": [1],
    # conversions
    "'true'.toBoolean()": [True],
    "'yes'.convertsToBoolean()": [True],
    "'x'.toInteger()": [],
    "'-5'.toInteger()": [-5],
    "'1.50'.toDecimal()": [Decimal("1.50")],
    "'2015-02-04'.toDate() = @2015-02-04": [True],
    "'12:30'.toTime()": ["12:30"],
    "'4 days'.toQuantity()": ["4 day"],
    "1.5.toString()": ["1.5"],
    "1.587.lowBoundary(2)": [Decimal("1.58")],
    "1.587.highBoundary(8)": [Decimal("1.58750000")],
    "@2014.lowBoundary(6)": ["2014-01"],
    "@2014-01-01T08.highBoundary(17)": ["2014-01-01T08:59:59.999-12:00"],
    "1.58700.precision()": [5],
    "@2014-01-05T10:30:00.000.precision()": [17],
    # time
    "today()": ["2026-11-23"],
    "now()": ["2026-11-23T16:05:07.250Z"],
    "timeOfDay()": ["16:05:07.250"],
}


@pytest.mark.parametrize("expression", CASES)
def test_the_language(expression: str) -> None:
    assert found(expression) == CASES[expression]


def test_a_choice_goes_by_its_name_and_a_quantity_counts_in_its_unit() -> None:
    systolic = "component.where(code.coding.exists(code = '8480-6')).value"
    assert found(f"{systolic}.ofType(Quantity).unit", PRESSURE) == ["mmHg"]
    assert found(f"{systolic} > 100 'mm[Hg]'", PRESSURE) == [True]
    assert found(f"{systolic} > 20 'kPa'", PRESSURE) == [False]
    assert found("(Observation.component.value as Quantity).count()", PRESSURE) == [2]
    assert found("Observation.effective is dateTime", PRESSURE) == [True]


def test_what_is_contained_is_resolved_within_the_resource() -> None:
    held: dict[str, Any] = {"resourceType": "Organization", "id": "o", "name": "Clinic"}
    patient = PATIENT | {"contained": [held], "managingOrganization": {"reference": "#o"}}
    assert found("managingOrganization.resolve().name", patient) == ["Clinic"]
    other = compile_path("managingOrganization.resolve().name")
    assert [n.value for n in other.nodes(PATIENT, resolve=lambda text: held if text == "Organization/1" else None)] == [
        "Clinic"
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "name.",
        "(1",
        "name.nosuch()",
        "name.where()",
        "'a",
        "@2012-13-01",
        "%nothing",
        "1 2",
        "name[",
        "#",
    ],
)
def test_what_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(PathError):
        compile_path(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "(1 | 2) > 1",
        "'a' < 1",
        "name.given.single()",
        "1 + 'a'",
        "(1 | 2).toString()",
        "'a'.matches('(a+)+$')",
        "2.power(5000)",
    ],
)
def test_what_has_no_answer_is_an_error(expression: str) -> None:
    with pytest.raises(PathError):
        found(expression)


def test_a_deep_expression_is_refused() -> None:
    with pytest.raises(PathError, match="within each other"):
        compile_path("(" * 5000 + "1" + ")" * 5000)


def test_every_expression_of_the_standard_can_be_read() -> None:
    of = definitions()
    rules = [r for each in of.types.values() for r in each.rules]
    rules += [r for each in of.types.values() for e in each.elements.values() for r in e.rules]
    parameters = [p.expression for each in of.search.values() for p in each.values()]
    assert len([compile_path(e) for e in [*(r.expression for r in rules), *parameters]]) > 2400


@given(st.text(alphabet="abT@'%$0123456789.()[]{}|&=<>~!+-*/, \n`", max_size=24))
def test_no_text_makes_it_stumble(text: str) -> None:
    with contextlib.suppress(PathError):
        compile_path(text).values(PATIENT, now=NOW)


@given(st.sampled_from(EXAMPLES), st.data())
def test_plain_search_parameters_find_what_a_walk_by_hand_finds(example: dict[str, Any], data: st.DataObject) -> None:
    plain = {
        name: p.expression.split(".")[1:]
        for name, p in definitions().search.get(example["resourceType"], {}).items()
        if p.expression.startswith(f"{example['resourceType']}.") and p.expression.replace(".", "").isalnum()
    }
    if not plain:
        return
    name = data.draw(st.sampled_from(sorted(plain)))
    expected: list[Any] = [example]
    for step in plain[name]:
        expected = [v for e in expected if isinstance(e, dict) for v in _held(cast("dict[str, Any]", e), step)]
    expression = definitions().search[example["resourceType"]][name].expression
    assert [n.value for n in compile_path(expression).nodes(example) if n.value is not None] == expected


def _held(element: dict[str, Any], step: str) -> list[Any]:
    out: list[Any] = []
    for name, value in element.items():
        choice = name.startswith(step) and name[len(step) : len(step) + 1].isupper()
        if name == step or (choice and step not in element):
            out.extend(cast("list[Any]", value) if isinstance(value, list) else [value])
    return out
