"""HL7's own examples, written and read back over REST: nothing is lost, added or changed.

`examples.ndjson` as in test_structure.py; all of them where FELDSHER_FHIR_EXAMPLES names the folder of the package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import guard, validate
from feldsher_tools.clinic import Clinic

EXAMPLES = [db.loads(line) for line in (Path(__file__).parent / "examples.ndjson").read_bytes().splitlines()]
WHOLE = os.environ.get("FELDSHER_FHIR_EXAMPLES")
_APART = ("id", "meta")


def said(resource: dict[str, Any]) -> str:
    """Return what a resource says apart from what storing changes, as text: `1.10` is not `1.1` in it."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return sorted_text({k: v for k, v in resource.items() if k not in _APART} | ({"meta": meta} if meta else {}))


def sorted_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{sorted_text(v)}" for k, v in sorted(value.items())) + "}"  # pyright: ignore
    if isinstance(value, list):
        return "[" + ",".join(sorted_text(v) for v in value) + "]"  # pyright: ignore
    return db.dumps(value).decode()


def _kept(clinic: Clinic, program: dict[str, str], resource: dict[str, Any]) -> list[str]:
    """Write a resource by POST and by PUT, read both back, and return what went wrong."""
    kind, body, wrong = resource["resourceType"], db.dumps(resource), list[str]()
    headers = program | {"accept": "application/fhir+json"}
    posted = clinic.browser.post(f"/fhir/{kind}", content=body, headers=headers)
    answers = [(posted, 201, posted.headers.get("location", ""))]
    if "id" in resource and kind != "AuditEvent":  # nobody updates that
        put = clinic.browser.put(f"/fhir/{kind}/{resource['id']}", content=body, headers=headers)
        answers.append((put, 201, f"/fhir/{kind}/{resource['id']}"))
    for answer, status, place in answers:
        if answer.status_code != status:
            wrong.append(f"{kind}/{resource.get('id')}: {answer.status_code} {answer.text[:300]}")
            continue
        path = place.removeprefix("http://testserver").partition("/_history")[0]
        back = clinic.browser.get(path, headers=headers)
        if said(db.loads(back.content)) != said(resource):
            wrong.append(f"{kind}/{resource.get('id')}: came back changed")
    return wrong


def _may_be_written(resource: dict[str, Any], clinic: Clinic) -> bool:
    return not validate.errors(resource, clinic.time()) and not guard.claimed(resource)


@pytest.fixture
def lenient(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """Return the clinic where references may lead nowhere: examples are torn out of their context."""
    monkeypatch.setattr(clinic.context, "settings", replace(clinic.settings, references="accept"))
    return clinic


def test_examples_of_every_type_come_back_as_they_were(lenient: Clinic, program: dict[str, str]) -> None:
    chosen: dict[str, dict[str, Any]] = {}
    for example in sorted(EXAMPLES, key=lambda e: len(db.dumps(e))):
        if _may_be_written(example, lenient):
            chosen.setdefault(example["resourceType"], example)
    odd = db.loads(
        '{"resourceType":"Observation","id":"odd-1","status":"final","code":{"text":"\\u0420\\u0420 \\ud83e\\ude7a"},'
        '"_status":{"id":"s","extension":[{"url":"urn:x","valueDecimal":1.10}]},"valueQuantity":{"value":0.0100},'
        '"contained":[{"resourceType":"Basic","id":"c","code":{"text":"x"}}],"focus":[{"reference":"#c"}]}'
    )
    assert len(chosen) > 130
    wrong = [words for example in [odd, *chosen.values()] for words in _kept(lenient, program, example)]
    assert wrong == []


def _package() -> Iterator[dict[str, Any]]:
    for file in sorted(Path(WHOLE or "").glob("*.json")):
        resource: dict[str, Any] = db.loads(file.read_bytes())
        if "resourceType" in resource:
            yield resource


@pytest.mark.slow
@pytest.mark.skipif(
    WHOLE is None, reason="FELDSHER_FHIR_EXAMPLES is not set: all official examples are NOT TESTED here"
)
def test_all_official_examples_come_back_as_they_were(lenient: Clinic, program: dict[str, str]) -> None:
    seen: set[tuple[str, str]] = set()
    wrong: list[str] = []
    for resource in _package():
        name = (resource["resourceType"], str(resource.get("id")))
        if name not in seen and _may_be_written(resource, lenient):
            seen.add(name)
            wrong.extend(_kept(lenient, program, resource))
    assert wrong == []
    assert len(seen) > 4000
