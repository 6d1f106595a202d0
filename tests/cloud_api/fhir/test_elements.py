"""What the fast walk finds is what the FHIRPath engine finds, for every parameter over the standard's examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import elements
from feldsher_cloud_api.fhir.elements import Step
from feldsher_cloud_api.fhir.kinds import kind, kinds

EXAMPLES = [db.loads(line) for line in (Path(__file__).parent / "examples.ndjson").read_text("utf-8").splitlines()]
ENGINE = {"Patient.deceased", "QuestionnaireResponse.item-subject", "Bundle.composition", "Bundle.message"}
"""Parameters whose expressions are left to the engine: they are no paths."""


def _plain(value: Any) -> str:
    return str(value.normalize())  # a union (`|`) says 1.0 and 1.00 only once


def _said(found: Any) -> set[str]:
    return {f"{of} {json.dumps(value, default=_plain, sort_keys=True)}" for value, of in found}


def _trees(name: str) -> dict[str, Step]:
    out: dict[str, Step] = {}
    for parameter, definition in kind(name).search.items():
        paths = elements.paths(definition.expression, name) if definition.kind != "composite" else None
        if paths is not None:
            out[parameter] = Step()
            for path in paths:
                elements.grow(out[parameter], name, path, parameter)
    return out


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e['resourceType']}-{e['id']}")
def test_the_walk_finds_what_the_engine_finds(example: dict[str, Any]) -> None:
    name = example["resourceType"]
    for parameter, tree in _trees(name).items():
        expression = kind(name).search[parameter].expression
        walked = _said((value, of) for _, value, of, _ in elements.walk(example, tree))
        assert walked == _said(elements.evaluate(expression, example)), parameter


def test_hardly_anything_is_left_to_the_engine() -> None:
    left = {
        f"{name}.{parameter}"
        for name, of in kinds().items()
        for parameter, definition in of.search.items()
        if definition.kind != "composite" and elements.paths(definition.expression, name) is None
    }
    left.discard("Patient.part-agree")  # speaks of DocumentReference, so it finds nothing
    assert left == ENGINE
