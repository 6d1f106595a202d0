"""Structure: the standard's examples have no fault, and every kind of fault is found and named where it is.

`examples.ndjson`: of each type the smallest of HL7's own examples, and a few larger ones (hl7.fhir.r4.examples 4.0.1,
CC0). All 5,306 are read where FELDSHER_FHIR_EXAMPLES names the folder of that package.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import structure
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = [db.loads(line) for line in (Path(__file__).parent / "examples.ndjson").read_bytes().splitlines()]
WHOLE = os.environ.get("FELDSHER_FHIR_EXAMPLES")
REFUSED = {"ImplementationGuide": 2, "Questionnaire": 1, "SearchParameter": 11}
"""Of the whole package: a guide without name and status (twice), items without linkId, parameters without base."""
PATIENT: dict[str, Any] = next(e for e in EXAMPLES if e["resourceType"] == "Patient" and e["id"] == "example")
PRESSURE: dict[str, Any] = next(e for e in EXAMPLES if e.get("id") == "blood-pressure")


def named(resource: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(fault.code, fault.expression) for fault in structure.faults(resource)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e['resourceType']}/{e.get('id')}")
def test_the_standards_examples_are_whole(example: dict[str, Any]) -> None:
    assert [f.words for f in structure.faults(example) if f.severity == "error"] == []


@pytest.mark.skipif(
    WHOLE is None, reason="FELDSHER_FHIR_EXAMPLES is not set: all official examples are NOT TESTED here"
)
def test_of_all_official_examples_those_are_refused_that_break_the_standard() -> None:
    refused: dict[str, int] = {}
    for file in sorted(Path(WHOLE or "").glob("*.json")):
        resource: dict[str, Any] = db.loads(file.read_bytes())
        if "resourceType" in resource and any(f.severity == "error" for f in structure.faults(resource)):
            refused[resource["resourceType"]] = refused.get(resource["resourceType"], 0) + 1
    assert refused == REFUSED


CHANGES: list[tuple[dict[str, Any], str, str]] = [
    ({"colour": "red"}, "structure", "Patient.colour"),
    ({"_active": "x"}, "structure", "Patient.active"),
    ({"_name": [{"id": "x"}]}, "structure", "Patient.name"),
    ({"gender": "man"}, "code-invalid", "Patient.gender"),
    ({"gender": ["male"]}, "structure", "Patient.gender"),
    ({"gender": ""}, "value", "Patient.gender"),
    ({"birthDate": "1974-02-30"}, "value", "Patient.birthDate"),
    ({"birthDate": "1974-12-25T14:35:45-05:00"}, "value", "Patient.birthDate"),
    ({"active": "true"}, "value", "Patient.active"),
    ({"name": {"family": "X"}}, "structure", "Patient.name"),
    ({"name": []}, "structure", "Patient.name"),
    ({"name": [{}]}, "structure", "Patient.name[0]"),
    ({"name": [{"given": ["A", None]}]}, "value", "Patient.name[0].given[1]"),
    ({"name": [{"family": "A\u0000"}]}, "value", "Patient.name[0].family"),
    ({"deceasedDateTime": "2015-02-14T13:42:00+10:00"}, "structure", "Patient.deceased"),
    ({"link": [{"type": "seealso"}]}, "required", "Patient.link[0].other"),
    ({"managingOrganization": {"reference": "Patient/1"}}, "value", "Patient.managingOrganization.reference"),
    ({"contained": [{"id": "x"}]}, "structure", "Patient.contained[0]"),
    ({"contained": [{"resourceType": "DomainResource"}]}, "structure", "Patient.contained[0]"),
    ({"text": {"status": "generated", "div": "<div>x</div>"}}, "value", "Patient.text.div"),
    ({"multipleBirthInteger": 2**31}, "value", "Patient.multipleBirth"),
]


@pytest.mark.parametrize(("change", "code", "expression"), CHANGES)
def test_each_fault_is_named(change: dict[str, Any], code: str, expression: str) -> None:
    assert named(PATIENT | change) == [(code, expression)]


def test_what_a_name_stands_beside_may_be_absent() -> None:
    name: dict[str, Any] = {
        "given": [None, "B"],
        "_given": [{"extension": [{"url": "urn:x", "valueCode": "masked"}]}, None],
    }
    assert named(PATIENT | {"name": [name]}) == []
    assert named(PATIENT | {"name": [{"given": [None, "B"]}]}) == [("value", "Patient.name[0].given[0]")]
    sibling = {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}
    without = {k: v for k, v in PRESSURE.items() if k != "status"}
    assert named(without) == [("required", "Observation.status")]
    assert named(without | {"_status": sibling}) == []


def test_a_required_concept_has_a_code_of_its_set() -> None:
    condition: dict[str, Any] = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    good = {"clinicalStatus": {"coding": [{"system": "urn:own", "code": "1"}, {"system": system, "code": "active"}]}}
    assert named(condition | good) == []
    for bad in (
        {"text": "active"},
        {"coding": [{"system": system, "code": "better"}]},
        {"coding": [{"code": "active"}]},
    ):
        assert named(condition | {"clinicalStatus": bad}) == [("code-invalid", "Condition.clinicalStatus")]


def test_depth_and_number_of_faults_are_bounded() -> None:
    deep: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(structure.DEEPEST + 5):
        deep = {"url": "urn:x", "extension": [deep]}
    assert [code for code, _ in named(PATIENT | {"extension": [deep]})] == ["too-long"]
    assert (
        len(structure.faults({"resourceType": "Patient"} | {f"x{i}": 1 for i in range(500)})) == structure.MOST_FAULTS
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(EXAMPLES), st.data())
def test_nothing_that_is_sent_makes_it_stumble(example: dict[str, Any], data: st.DataObject) -> None:
    broken: dict[str, Any] = copy.deepcopy(example)
    place: dict[Any, Any] = broken
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        inner: Any = place[key]
        if isinstance(inner, list) and inner:
            inner = cast("list[Any]", inner)[0]
        if not (isinstance(inner, dict) and inner and data.draw(st.booleans())):
            place[key] = data.draw(JSON)
            break
        place = cast("dict[Any, Any]", inner)
    for fault in structure.faults(broken):
        assert (fault.expression or "").startswith(str(broken.get("resourceType"))[:64])
        assert json.dumps(fault.outcome())
