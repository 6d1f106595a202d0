"""Parts of resources keep what they must, and say that they are parts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from feldsher_cloud_api.fhir.subset import cut

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "meta": {"versionId": "1", "tag": [{"system": "urn:x", "code": "kept"}]},
    "text": {"status": "generated", "div": "<div/>"},
    "status": "final",
    "_status": {"id": "s"},
    "code": {"text": "pressure"},
    "note": [{"text": "lying"}],
    "valueQuantity": {"value": Decimal("1.10")},
    "component": [{"code": {"text": "systolic"}, "valueInteger": 1, "referenceRange": [{"text": "any"}]}],
}


@pytest.mark.parametrize(
    ("summary", "elements", "kept"),
    [
        ("true", (), {"status", "_status", "code", "valueQuantity", "component"}),
        ("text", (), {"text", "status", "_status", "code"}),
        ("data", (), {"status", "_status", "code", "note", "valueQuantity", "component"}),
        ("false", ("value",), {"status", "_status", "code", "valueQuantity"}),
        ("false", ("note", "valueQuantity"), {"status", "_status", "code", "note", "valueQuantity"}),
    ],
)
def test_what_is_kept(summary: str, elements: tuple[str, ...], kept: set[str]) -> None:
    part = cut(OBSERVATION, summary, elements)
    assert part.keys() - {"resourceType", "id", "meta"} == kept
    assert [t["code"] for t in part["meta"]["tag"]] == ["kept", "SUBSETTED"]
    assert OBSERVATION["meta"]["tag"] == [{"system": "urn:x", "code": "kept"}]


def test_a_summary_goes_into_backbone_elements() -> None:
    (component,) = cut(OBSERVATION, "true", ())["component"]
    assert component == {"code": {"text": "systolic"}, "valueInteger": 1}


def test_the_whole_stays_as_it_is() -> None:
    assert cut(OBSERVATION, "false", ()) is OBSERVATION
