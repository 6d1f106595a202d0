"""Invariants: the standard's examples break none, and each kind of breach is found where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import invariant

NOW = datetime(2026, 11, 23, tzinfo=UTC)
EXAMPLES: list[dict[str, Any]] = [
    db.loads(line) for line in (Path(__file__).parent / "examples.ndjson").read_bytes().splitlines()
]
PATIENT = next(e for e in EXAMPLES if e["resourceType"] == "Patient" and e["id"] == "example")
PRESSURE = next(e for e in EXAMPLES if e.get("id") == "blood-pressure")
CONDITION: dict[str, Any] = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}}
CONTAINED: dict[str, Any] = {"resourceType": "Organization", "id": "o", "name": "x"}


def errors(resource: dict[str, Any]) -> list[tuple[str | None, str]]:
    found = invariant.faults(resource, NOW)
    return [(f.expression, f.words.rpartition("(")[2].rstrip(")")) for f in found if f.severity == "error"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e['resourceType']}/{e.get('id')}")
def test_the_standards_examples_hold(example: dict[str, Any]) -> None:
    assert errors(example) == []


def test_a_plain_look_never_lets_through_what_a_rule_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[dict[str, Any]] = [
        PRESSURE | {"subject": {"reference": "#gone"}},
        PRESSURE | {"dataAbsentReason": {"text": "x"}, "valueString": "y"},
        PRESSURE | {"contained": [CONTAINED | {"contained": [CONTAINED], "meta": {"versionId": "1"}}]},
        PRESSURE | {"component": [{"code": PRESSURE["code"], "valueQuantity": {"value": 1, "code": "g"}}]},
        PATIENT | {"address": [{"period": {"start": "2026", "end": "2025"}}]},
    ]
    everything = EXAMPLES + wrong
    quick = [errors(e) for e in everything]
    assert all(quick[len(EXAMPLES) :])

    monkeypatch.setattr(invariant, "SURELY", {})
    for made in (invariant._rules, invariant._element_rules, invariant._ways):  # pyright: ignore[reportPrivateUsage]
        made.cache_clear()
    slow = [errors(e) for e in everything]
    for made in (invariant._rules, invariant._element_rules, invariant._ways):  # pyright: ignore[reportPrivateUsage]
        made.cache_clear()
    assert slow == quick


BREACHES: list[tuple[dict[str, Any], str, str]] = [
    (PATIENT | {"contact": [{"relationship": [{"text": "x"}]}]}, "Patient.contact[0]", "pat-1"),
    (PATIENT | {"telecom": [{"value": "1"}]}, "Patient.telecom[0]", "cpt-2"),
    (PRESSURE | {"dataAbsentReason": {"text": "x"}, "valueString": "y"}, "Observation", "obs-6"),
    (PRESSURE | {"referenceRange": [{"appliesTo": [{"text": "x"}]}]}, "Observation.referenceRange[0]", "obs-3"),
    (PRESSURE | {"effectivePeriod": {"start": "2026-02", "end": "2026-01"}}, "Observation.effective", "per-1"),
    (PRESSURE | {"subject": {"reference": "#nobody"}}, "Observation.subject", "ref-1"),
    (PATIENT | {"contained": [CONTAINED]}, "Patient", "dom-3"),
    (PATIENT | {"contained": [CONTAINED | {"contained": [CONTAINED | {"id": "p"}]}]}, "Patient", "dom-2"),
]


@pytest.mark.parametrize(("resource", "at", "key"), BREACHES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_breach_is_found_where_it_is(resource: dict[str, Any], at: str, key: str) -> None:
    without = {k: v for k, v in resource.items() if not (k == "effectiveDateTime" and "effectivePeriod" in resource)}
    assert (at, key) in errors(without)


def test_a_warning_is_none_of_the_errors() -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-category"
    listed = {"category": [{"coding": [{"system": system, "code": "problem-list-item"}]}]}
    resource = CONDITION | {"code": {"text": "x"}} | listed
    severities = {f.words.rpartition("(")[2]: f.severity for f in invariant.faults(resource, NOW)}
    assert severities["con-3)"] == "warning"


def test_a_bundles_entries_are_looked_at_with_their_own_resource() -> None:
    contained = PATIENT | {"contained": [CONTAINED], "managingOrganization": {"reference": "#o"}}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": contained}]}
    assert errors(bundle) == []
    bundle["entry"].append({"resource": PATIENT | {"managingOrganization": {"reference": "#o"}}})
    assert errors(bundle) == [("Bundle.entry[1].resource.managingOrganization", "ref-1")]
