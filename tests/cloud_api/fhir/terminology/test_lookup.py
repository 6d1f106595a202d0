"""What is known of a code: $lookup, $validate-code, $subsumes and $translate over R4's own terminology."""

from __future__ import annotations

from typing import Any

import pytest
from feldsher_tools.clinic import Clinic

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
GENDER, VALUES = "http://hl7.org/fhir/administrative-gender", "http://hl7.org/fhir/ValueSet/administrative-gender"


def get(clinic: Clinic, operation: str, **parameters: str) -> dict[str, Any]:
    clinic.sign_in("anna")  # everybody signed in may ask what a code means
    answer = clinic.browser.get(f"/fhir/{operation}", params=parameters)
    return answer.json() | {"http": answer.status_code}


def said(answer: dict[str, Any], name: str) -> Any:
    assert answer["resourceType"] == "Parameters", answer
    for part in answer["parameter"]:
        if part["name"] == name:
            return next(v for k, v in part.items() if k.startswith("value"))
    return None


def test_lookup(clinic: Clinic) -> None:
    found = get(clinic, "CodeSystem/$lookup", system=ACT, code="EMER")
    assert (said(found, "display"), said(found, "name")) == ("emergency", "v3.ActCode")
    properties = {p["part"][0]["valueCode"] for p in found["parameter"] if p["name"] == "property"}
    assert {"parent", "inactive"} <= properties
    only = get(clinic, "CodeSystem/$lookup", system=ACT, code="_ActEncounterCode", property="child")
    children = [p["part"][1]["valueCode"] for p in only["parameter"] if p["name"] == "property"]
    assert {"AMB", "EMER", "HH", "IMP"} <= set(children)


@pytest.mark.parametrize(
    ("operation", "parameters", "status"),
    [
        ("CodeSystem/$lookup", {"system": ACT, "code": "no such"}, 404),
        ("CodeSystem/$lookup", {"system": "urn:elsewhere", "code": "x"}, 404),
        ("CodeSystem/$lookup", {"code": "x"}, 400),
        ("CodeSystem/$lookup", {"system": ACT}, 400),
        ("CodeSystem/$lookup", {"system": ACT, "code": "AMB", "odd": "1"}, 400),
        ("CodeSystem/$subsumes", {"system": ACT, "codeA": "AMB"}, 400),
        ("CodeSystem/$subsumes", {"system": ACT, "codeA": "AMB", "codeB": "no such"}, 404),
        ("ValueSet/$validate-code", {"url": VALUES}, 400),
        ("ValueSet/$validate-code", {"code": "male"}, 400),
        ("ValueSet/$expand", {}, 400),
        ("ValueSet/$expand", {"url": VALUES, "count": "-1"}, 400),
        ("ConceptMap/$translate", {"code": "home"}, 400),
        ("ConceptMap/$translate", {"code": "home", "url": "urn:nowhere"}, 404),
        ("ValueSet/nowhere/$expand", {}, 404),
    ],
)
def test_refusals_are_outcomes(clinic: Clinic, operation: str, parameters: dict[str, str], status: int) -> None:
    answer = get(clinic, operation, **parameters)
    assert (answer["http"], answer["resourceType"]) == (status, "OperationOutcome"), answer


@pytest.mark.parametrize(
    ("operation", "parameters", "result"),
    [
        ("ValueSet/$validate-code", {"url": VALUES, "code": "male"}, True),
        ("ValueSet/$validate-code", {"url": VALUES, "code": "male", "system": GENDER, "display": "male"}, True),
        ("ValueSet/$validate-code", {"url": VALUES, "code": "male", "display": "Female"}, False),
        ("ValueSet/$validate-code", {"url": VALUES, "code": "male", "system": ACT}, False),
        ("ValueSet/$validate-code", {"url": VALUES, "code": "homme"}, False),
        ("CodeSystem/$validate-code", {"url": GENDER, "code": "female"}, True),
        ("CodeSystem/$validate-code", {"url": GENDER, "code": "femme"}, False),
        ("CodeSystem/$validate-code", {"url": ACT, "code": "_ActEncounterCode", "abstract": "false"}, False),
    ],
)
def test_validate_code(clinic: Clinic, operation: str, parameters: dict[str, str], result: bool) -> None:
    answer = get(clinic, operation, **parameters)
    assert said(answer, "result") is result
    assert (said(answer, "message") is None) == result


def test_one_coding_of_a_concept_is_enough(clinic: Clinic) -> None:
    concept = {"coding": [{"system": "urn:other", "code": "x"}, {"system": GENDER, "code": "other"}]}
    parts = [{"name": "url", "valueUri": VALUES}, {"name": "codeableConcept", "valueCodeableConcept": concept}]
    body = {"resourceType": "Parameters", "parameter": parts}
    answer = clinic.browser.post("/fhir/ValueSet/$validate-code", json=body, headers=clinic.sign_in("doctor"))
    assert (said(answer.json(), "result"), said(answer.json(), "code")) == (True, "other")


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        ("_ActEncounterCode", "EMER", "subsumes"),
        ("EMER", "_ActEncounterCode", "subsumed-by"),
        ("EMER", "EMER", "equivalent"),
        ("EMER", "AMB", "not-subsumed"),
    ],
)
def test_subsumes(clinic: Clinic, a: str, b: str, outcome: str) -> None:
    assert said(get(clinic, "CodeSystem/$subsumes", system=ACT, codeA=a, codeB=b), "outcome") == outcome


def test_translate_there_and_back(clinic: Clinic) -> None:
    to = "http://terminology.hl7.org/CodeSystem/v3-AddressUse"
    there = get(clinic, "ConceptMap/$translate", system="http://hl7.org/fhir/address-use", code="home", targetsystem=to)
    match = next(p["part"] for p in there["parameter"] if p["name"] == "match")
    assert said(there, "result") is True
    assert next(p["valueCoding"] for p in match if p["name"] == "concept") == {
        "system": to,
        "code": "H",
        "display": "home",
    }
    back = get(clinic, "ConceptMap/$translate", system=to, code="H", reverse="true")
    codes = [q["valueCoding"]["code"] for p in back["parameter"] for q in p.get("part", []) if q["name"] == "concept"]
    assert "home" in codes
    nothing = get(clinic, "ConceptMap/$translate", system="urn:elsewhere", code="x")
    assert (said(nothing, "result"), bool(said(nothing, "message"))) == (False, True)


def test_nobody_signed_in_is_told_nothing(clinic: Clinic) -> None:
    clinic.sign_out()
    assert clinic.browser.get(f"/fhir/ValueSet/$expand?url={VALUES}").status_code == 401
