"""What of R4's package goes into the terminology: only what HL7 itself defines."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from feldsher_tools import fhir_terminology


def write(folder: Path, name: str, resource: object) -> None:
    (folder / name).write_text(json.dumps(resource), encoding="utf-8")


def test_what_others_define_stays_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = {"resourceType": "CodeSystem", "content": "complete", "concept": [{"code": "a", "definition": "long"}]}
    own, other = "http://hl7.org/fhir/own", "http://dicom.nema.org/resources/ontology/DCM"
    write(tmp_path, "CodeSystem-a.json", system | {"url": own, "text": {"div": "words"}})
    write(tmp_path, "CodeSystem-b.json", system | {"url": other})
    for name, include in (
        ("a", {"system": own}),
        ("b", {"system": "http://snomed.info/sct", "concept": [{"code": "1"}]}),
    ):
        value_set = {"resourceType": "ValueSet", "url": f"http://hl7.org/fhir/ValueSet/{name}"}
        write(tmp_path, f"ValueSet-{name}.json", value_set | {"compose": {"include": [include]}})
    monkeypatch.setattr(fhir_terminology, "OUT", tmp_path / "out.ndjson")
    assert fhir_terminology.main([str(tmp_path)]) == 0
    made = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [m["url"] for m in made] == [own, "http://hl7.org/fhir/ValueSet/a"]
    assert made[0]["concept"] == [{"code": "a", "display": "a"}]


def test_no_licensed_list_of_codes_is_in_the_file() -> None:
    file = resources.files("feldsher_cloud_api.fhir.terminology") / "r4.ndjson"
    for line in file.read_text(encoding="utf-8").splitlines():
        each = json.loads(line)
        parts = [*each.get("compose", {}).get("include", []), *each.get("group", []), each]
        listing = [
            p.get("system") or p.get("source") or p["url"] for p in parts if p.get("concept") or p.get("element")
        ]
        assert all(fhir_terminology.own(url.partition("|")[0]) for url in listing), each["url"]
