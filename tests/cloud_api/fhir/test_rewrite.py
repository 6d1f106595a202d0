"""Rewriting addresses in a transaction's resources: everywhere the standard says, and nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from feldsher_cloud_api.fhir import rewrite

U = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
KNOWN = {U: "Patient/7", "http://example.org/base/Patient/23": "Patient/8"}


def rewritten(resource: dict[str, Any], full_url: str = "") -> dict[str, Any]:
    changed = copy.deepcopy(resource)
    rewrite.rewrite(changed, rewrite.finder(KNOWN, full_url))
    return changed


def test_everywhere() -> None:
    before: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "text": {
            "status": "generated",
            "div": f"<div><a href=\"{U}\">x</a><img src='{U}'/> {U} <a href='{U}1'/></div>",
        },
        "contained": [{"resourceType": "Observation", "subject": {"reference": U}}],
        "subject": {"reference": U, "display": U},
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": U},
        "extension": [{"url": "urn:e", "valueUri": U}, {"url": "urn:e", "valueString": U},
                      {"url": "urn:e", "valueCanonical": U}, {"url": "urn:e", "valueReference": {"reference": U}}],
        "content": [{"attachment": {"url": U, "_url": {"extension": [{"url": "urn:e", "valueUrl": U}]}}}],
        "context": {"encounter": [{"reference": "#x"}, {"reference": f"{U}#x"}, {"reference": "Patient/23"}]},
    }  # fmt: skip
    after: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "text": {
            "status": "generated",
            "div": f"<div><a href=\"Patient/7\">x</a><img src='Patient/7'/> {U} <a href='{U}1'/></div>",
        },
        "contained": [{"resourceType": "Observation", "subject": {"reference": "Patient/7"}}],
        "subject": {"reference": "Patient/7", "display": U},
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": U},
        "extension": [{"url": "urn:e", "valueUri": "Patient/7"}, {"url": "urn:e", "valueString": U},
                      {"url": "urn:e", "valueCanonical": U},
                      {"url": "urn:e", "valueReference": {"reference": "Patient/7"}}],
        "content": [{"attachment": {"url": "Patient/7",
                                    "_url": {"extension": [{"url": "urn:e", "valueUrl": "Patient/7"}]}}}],
        "context": {"encounter": [{"reference": "#x"}, {"reference": f"{U}#x"}, {"reference": "Patient/23"}]},
    }  # fmt: skip
    assert rewritten(before) == after


def test_a_relative_reference_counts_from_its_entrys_own_base() -> None:
    resource = {"resourceType": "Observation", "subject": {"reference": "Patient/23"}}
    assert rewritten(resource, "http://example.org/base/Observation/5")["subject"]["reference"] == "Patient/8"
    assert rewritten(resource, "http://example.org/other/Observation/5") == resource
    assert rewritten(resource, U) == resource


@pytest.mark.parametrize(
    "resource",
    [{}, {"resourceType": "Banana", "x": U}, {"resourceType": "Patient", "link": U, "name": [U, None], "link2": {}},
     {"resourceType": "Observation", "subject": {"reference": 7}}],
)  # fmt: skip
def test_what_is_no_resource_stays_as_it_is(resource: dict[str, Any]) -> None:
    assert rewritten(resource) == resource


def test_conditional_references_are_found() -> None:
    assert rewrite.conditional("Patient?identifier=a|b&name=c") == ("Patient", "identifier=a|b&name=c")
    others = ("Patient/1", "Banana?x=1", "Patient?", "http://x/Patient?x=1", "?x=1")
    assert [rewrite.conditional(text) for text in others] == [None] * 5
    contained = {"resourceType": "Basic", "author": {"reference": "Practitioner?x=2"}}
    resource = {"resourceType": "Basic", "subject": {"reference": "Patient?x=1"}, "contained": [contained],
                "identifier": [{"system": "Patient?no", "assigner": {"reference": "a"}}]}  # fmt: skip
    assert sorted(rewrite.references(resource)) == ["Patient?x=1", "Practitioner?x=2", "a"]
