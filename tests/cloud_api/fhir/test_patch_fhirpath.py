"""FHIRPath Patch: each kind of operation on each kind of element, and refusals that say where.

The cases are our own; they cover what HL7's (FHIR/fhir-test-cases, r4/patch) ask for.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import patch_fhirpath
from feldsher_cloud_api.fhir.outcome import FhirError


def operation(kind: str, path: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one operation; `valueX` is the value, other keywords are its numbers."""
    parts: list[dict[str, Any]] = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
    ]
    if name is not None:
        parts.append({"name": "name", "valueString": name})
    for key, value in more.items():
        if key in ("index", "source", "destination"):
            parts.append({"name": key, "valueInteger": value})
        else:
            parts.append({"name": "value", key: value})
    return {"name": "operation", "part": parts}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    before = db.dumps(resource)
    made = patch_fhirpath.apply(resource, {"resourceType": "Parameters", "parameter": list(operations)})
    assert db.dumps(resource) == before
    return made


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


A, B, C, D = ({"system": "urn:x", "value": v} for v in "abcd")

CASES: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ("nothing", patient(birthDate="1920-01-01"), [], patient(birthDate="1920-01-01")),
    ("replace a primitive", patient(birthDate="1920-01-01", gender="male"),
     [operation("replace", "Patient.birthDate", valueDate="1930-01-01")],
     patient(birthDate="1930-01-01", gender="male")),
    ("delete a primitive with its extension", patient(birthDate="1920", _birthDate={"id": "x"}, gender="male"),
     [operation("delete", "Patient.birthDate")], patient(gender="male")),
    ("delete what is not there", patient(gender="male"), [operation("delete", "Patient.birthDate")],
     patient(gender="male")),
    ("add a primitive", patient(), [operation("add", "Patient", "birthDate", valueDate="1930-01-01")],
     patient(birthDate="1930-01-01")),
    ("replace deep", patient(contact=[{"name": {"text": "a"}, "gender": "male"}]),
     [operation("replace", "Patient.contact[0].name.text", valueString="b"),
      operation("replace", "Patient.contact.gender", valueCode="female")],
     patient(contact=[{"name": {"text": "b"}, "gender": "female"}])),
    ("what is emptied is gone", patient(contact=[{"name": {"text": "a"}, "gender": "male"}]),
     [operation("delete", "Patient.contact[0].name.text")], patient(contact=[{"gender": "male"}])),
    ("what is emptied is gone upwards", patient(active=True, contact=[{"name": {"text": "a"}}]),
     [operation("delete", "Patient.contact[0].name.text")], patient(active=True)),
    ("add deep", patient(contact=[{"name": {"text": "a"}}]),
     [operation("add", "Patient.contact[0]", "gender", valueCode="male")],
     patient(contact=[{"name": {"text": "a"}, "gender": "male"}])),
    ("add complex", patient(), [operation("add", "Patient", "maritalStatus", valueCodeableConcept={"text": "m"})],
     patient(maritalStatus={"text": "m"})),
    ("replace complex", patient(maritalStatus={"id": "1", "text": "m"}),
     [operation("replace", "Patient.maritalStatus", valueCodeableConcept={"id": "2", "text": "n"})],
     patient(maritalStatus={"id": "2", "text": "n"})),
    ("add anonymous", patient(),
     [operation("add", "Patient", "contact", part=[
         {"name": "name", "valueHumanName": {"text": "a"}},
         {"name": "telecom", "valueContactPoint": {"value": "1"}},
         {"name": "telecom", "valueContactPoint": {"value": "2"}}])],
     patient(contact=[{"name": {"text": "a"}, "telecom": [{"value": "1"}, {"value": "2"}]}])),
    ("delete anonymous", patient(active=True, contact=[{"name": {"text": "a"}}]),
     [operation("delete", "Patient.contact[0]")], patient(active=True)),
    ("add to a list", patient(identifier=[A]), [operation("add", "Patient", "identifier", valueIdentifier=B)],
     patient(identifier=[A, B])),
    ("insert first", patient(identifier=[A, B]),
     [operation("insert", "Patient.identifier", index=0, valueIdentifier=C)], patient(identifier=[C, A, B])),
    ("insert last", patient(identifier=[A, B]),
     [operation("insert", "Patient.identifier", index=2, valueIdentifier=C)], patient(identifier=[A, B, C])),
    ("insert into no list yet", patient(),
     [operation("insert", "Patient.identifier", index=0, valueIdentifier=C)], patient(identifier=[C])),
    ("delete from a list", patient(identifier=[A, B, C]),
     [operation("delete", "Patient.identifier[1]")], patient(identifier=[A, C])),
    ("delete by condition", patient(identifier=[A, B, C]),
     [operation("delete", "Patient.identifier.where(value = 'c')")], patient(identifier=[A, B])),
    ("move forward", patient(identifier=[A, B, C, D]),
     [operation("move", "Patient.identifier", source=0, destination=2)], patient(identifier=[B, C, A, D])),
    ("move back", patient(identifier=[A, B, C, D]),
     [operation("move", "Patient.identifier", source=3, destination=1)], patient(identifier=[A, D, B, C])),
    ("contents of a list", patient(identifier=[A, B]),
     [operation("replace", "Patient.identifier[0].value", valueString="z")],
     patient(identifier=[A | {"value": "z"}, B])),
    ("primitives in a list with extensions beside",
     patient(name=[{"given": ["a", "b"], "_given": [None, {"id": "x"}]}]),
     [operation("move", "Patient.name[0].given", source=1, destination=0),
      operation("insert", "Patient.name.given", index=0, valueString="c"),
      operation("replace", "Patient.name.given[2]", valueString="d")],
     patient(name=[{"given": ["c", "b", "d"], "_given": [None, {"id": "x"}, None]}])),
    ("replacing a primitive takes its extension", patient(name=[{"given": ["a"], "_given": [{"id": "x"}]}]),
     [operation("replace", "Patient.name.given", valueString="d")], patient(name=[{"given": ["d"]}])),
    ("the same text twice", patient(name=[{"given": ["a", "a", "a"]}]),
     [operation("replace", "Patient.name.given[1]", valueString="b")], patient(name=[{"given": ["a", "b", "a"]}])),
    ("a choice gets another type", patient(deceasedBoolean=True),
     [operation("replace", "Patient.deceased", valueDateTime="2020")], patient(deceasedDateTime="2020")),
    ("a choice is added", patient(), [operation("add", "Patient", "deceased", valueBoolean=False)],
     patient(deceasedBoolean=False)),
    ("a choice is deleted", patient(active=True, deceasedBoolean=False),
     [operation("delete", "Patient.deceased")], patient(active=True)),
    ("an extension", patient(), [operation("add", "Patient", "extension", part=[
        {"name": "url", "valueUri": "urn:e"}, {"name": "value", "valueDecimal": Decimal("1.10")}])],
     patient(extension=[{"url": "urn:e", "valueDecimal": Decimal("1.10")}])),
    ("an extension of a primitive", patient(birthDate="1970"),
     [operation("add", "Patient.birthDate", "extension", valueExtension={"url": "urn:e", "valueBoolean": True})],
     patient(birthDate="1970", _birthDate={"extension": [{"url": "urn:e", "valueBoolean": True}]})),
    ("contained", patient(), [operation("add", "Patient", "contained", resource=patient(id="x"))],
     patient(contained=[patient(id="x")])),
    ("inside contained", patient(contained=[patient(id="x", gender="male")]),
     [operation("replace", "Patient.contained[0].gender", valueCode="female")],
     patient(contained=[patient(id="x", gender="female")])),
    ("one after the other", patient(contact=[{"name": {"text": "a"}}]),
     [operation("add", "Patient.contact[0]", "gender", valueCode="male"),
      operation("add", "Patient.contact[1]", "gender", valueCode="female")],
     patient(contact=[{"name": {"text": "a"}, "gender": "male"}, {"gender": "female"}])),
]  # fmt: skip


@pytest.mark.parametrize(("words", "before", "operations", "after"), CASES, ids=[c[0] for c in CASES])
def test_operations(
    words: str, before: dict[str, Any], operations: list[dict[str, Any]], after: dict[str, Any]
) -> None:
    assert patched(before, *operations) == after


def test_decimals_keep_their_digits() -> None:
    observation = db.loads('{"resourceType":"Observation","valueQuantity":{"value":1.10}}')
    made = patched(observation, operation("add", "Observation.value", "unit", valueString="mmol/L"))
    assert db.dumps(made) == b'{"resourceType":"Observation","valueQuantity":{"value":1.10,"unit":"mmol/L"}}'


REFUSED: list[tuple[dict[str, Any], int]] = [
    (operation("replace", "Patient.birthDate", valueDate="1930"), 422),
    (operation("replace", "Patient.identifier", valueIdentifier=C), 422),
    (operation("delete", "Patient.identifier"), 422),
    (operation("add", "Patient", "gender", valueCode="male"), 422),
    (operation("add", "Patient", "colour", valueCode="red"), 422),
    (operation("add", "Patient.contact", "gender", valueCode="male"), 422),
    (operation("add", "Patient.contact[5]", "gender", valueCode="male"), 422),
    (operation("add", "Patient", "deceased", valueCodeableConcept={"text": "x"}), 422),
    (operation("insert", "Patient.identifier", index=3, valueIdentifier=C), 422),
    (operation("insert", "Patient.gender", index=0, valueCode="male"), 422),
    (operation("move", "Patient.identifier", source=0, destination=2), 422),
    (operation("replace", "Patient.identifier.count()", valueInteger=1), 422),
    (operation("replace", "Patient.", valueCode="x"), 400),
    (operation("insert", "Patient.identifier", valueIdentifier=C), 400),
    (operation("move", "Patient.identifier", source=0), 400),
    (operation("add", "Patient", valueCode="x"), 400),
    (operation("replace", "Patient.gender"), 400),
    (operation("spam", "Patient.gender"), 400),
    ({"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]}, 400),
    ({"name": "other", "part": []}, 400),
    ({"name": "operation", "part": "x"}, 400),
    ({"name": "operation", "part": [1]}, 400),
]


@pytest.mark.parametrize(("asked", "status"), REFUSED)
def test_refusals_name_the_operation(asked: dict[str, Any], status: int) -> None:
    with pytest.raises(FhirError) as refused:
        patched(patient(identifier=[A, B], gender="male"), operation("delete", "Patient.birthDate"), asked)
    assert refused.value.status == status
    assert (refused.value.expression or "").startswith("Parameters.parameter[1]")


@pytest.mark.parametrize("listed", ["x", [operation("delete", "Patient.gender")] * 201, [None]])
def test_what_is_no_patch(listed: Any) -> None:
    with pytest.raises(FhirError) as refused:
        patch_fhirpath.apply(patient(), {"resourceType": "Parameters", "parameter": listed})
    assert refused.value.status == 400
