"""The compiler of FHIR's definitions, on a made-up standard; `cloud_api/fhir/test_r4.py` looks at the real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from feldsher_tools import fhir_definitions

URL = "http://hl7.org/fhir/StructureDefinition/"


def element(path: str, *types: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "min": 0, "max": "1", "base": {"path": path}, "type": [{"code": t} for t in types]} | more


def structure(name: str, *elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "name": name,
        "type": name,
        "url": URL + name,
        "kind": "resource",
        "abstract": False,
        "baseDefinition": URL + "Resource",
        "derivation": "specialization",
        "snapshot": {"element": [{"path": name, "min": 0, "max": "*", "base": {"path": name}}, *elements]},
    } | more


@pytest.fixture
def package(tmp_path: Path) -> Path:
    rule = {"key": "pet-1", "severity": "error", "human": "has a name", "expression": "name.exists()", "xpath": "no"}
    other = {"key": "dom-2", "severity": "error", "human": "x", "expression": "x", "source": URL + "DomainResource"}
    binding = {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/colour|4.0.1"}
    pet = structure(
        "Pet",
        element("Pet.id", "id", base={"path": "Resource.id"}),
        element("Pet.colour", "code", binding=binding, isSummary=True),
        element("Pet.age[x]", "integer", "Period", min=1),
        element("Pet.owner", "BackboneElement", max="*", constraint=[rule, other]),
        element("Pet.owner.who", "Reference", min=1),
        element("Pet.owner.also", contentReference="#Pet.owner"),
    )
    pet["snapshot"]["element"][5]["type"] = [{"code": "Reference", "targetProfile": [URL + "Patient"]}]
    del pet["snapshot"]["element"][6]["type"]
    concepts = [{"code": "red", "concept": [{"code": "pink"}]}, {"code": "blue"}]
    files: dict[str, dict[str, Any]] = {
        "StructureDefinition-Pet": pet,
        "StructureDefinition-tame": structure("Pet") | {"url": URL + "tame", "derivation": "constraint"},
        "ValueSet-colour": {
            "resourceType": "ValueSet",
            "url": "http://hl7.org/fhir/ValueSet/colour",
            "compose": {"include": [{"system": "urn:colours"}, {"system": "urn:own", "concept": [{"code": "x"}]}]},
        },
        "CodeSystem-colours": {
            "resourceType": "CodeSystem",
            "url": "urn:colours",
            "content": "complete",
            "concept": concepts,
        },
        "SearchParameter-owner": {
            "resourceType": "SearchParameter",
            "url": "urn:owner",
            "code": "owner",
            "base": ["Pet", "Plant"],
            "type": "reference",
            "expression": "Pet.owner.who | (Plant.owner as Reference)",
            "target": ["Patient"],
        },
        "CompartmentDefinition-patient": {"resource": [{"code": "Pet", "param": ["owner"]}, {"code": "Plant"}]},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_types_codes_parameters_and_the_compartment(package: Path) -> None:
    made = fhir_definitions.compile_all(package)
    assert made["types"]["Pet"]["elements"] == {
        "colour": {"types": ["code"], "summary": True, "codes": "colour"},
        "age": {"types": ["integer", "Period"], "min": 1, "choice": True},
        "owner": {
            "types": ["Pet.owner"],
            "many": True,
            "rules": [{"key": "pet-1", "severity": "error", "human": "has a name", "expression": "name.exists()"}],
        },
    }
    assert made["types"]["Pet.owner"]["elements"] == {
        "who": {"types": ["Reference"], "min": 1, "targets": ["Patient"]},
        "also": {"types": ["Pet.owner"]},
    }
    assert made["codes"] == {"colour": {"urn:colours": ["blue", "pink", "red"], "urn:own": ["x"]}}
    assert made["search"]["Pet"]["owner"]["expression"] == "Pet.owner.who"
    assert made["search"]["Plant"]["owner"]["expression"] == "(Plant.owner as Reference)"
    assert made["compartment"] == {"Pet": ["owner"]}


def test_the_file_has_an_entity_a_line(package: Path) -> None:
    text = fhir_definitions.dumps(fhir_definitions.compile_all(package))
    assert json.loads(text)["fhirVersion"] == "4.0.1"
    assert [line for line in text.splitlines() if line.startswith('"Pet.owner":')]
