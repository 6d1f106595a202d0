"""Searches by value set and by what a code is a kind of."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from feldsher_cloud_api.fhir import store
from feldsher_tools.clinic import Clinic

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.fixture
def encounters(clinic: Clinic) -> Iterator[dict[str, str]]:
    """Two visits of the first patient, by their class."""
    made: dict[str, str] = {}
    with clinic.owner() as connection:
        for code in ("EMER", "AMB"):
            made[code] = str(uuid4())
            resource = {
                "resourceType": "Encounter",
                "id": made[code],
                "status": "finished",
                "class": {"system": ACT, "code": code},
                "type": [{"coding": [{"system": ACT, "code": code}]}],
                "subject": {"reference": f"Patient/{clinic.patients[0]}"},
            }
            store.insert(connection, resource, now=clinic.time.now)
        yield made
        with connection.transaction():
            for identity in made.values():
                store.delete(connection, "Encounter", store.identity.key(identity), now=clinic.time.now)


@pytest.mark.parametrize(
    ("parameter", "value", "found"),
    [
        ("class:below", f"{ACT}|_ActEncounterCode", {"EMER", "AMB"}),
        ("class:below", f"{ACT}|EMER", {"EMER"}),
        ("class:above", f"{ACT}|EMER", {"EMER"}),
        ("class:in", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", {"EMER", "AMB"}),
        ("class:not-in", "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", set[str]()),
        ("type:in", "http://hl7.org/fhir/ValueSet/administrative-gender", set[str]()),
    ],
)
def test_by_the_terminology(
    clinic: Clinic, encounters: dict[str, str], parameter: str, value: str, found: set[str]
) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get("/fhir/Encounter", params={parameter: value})
    assert answer.status_code == 200, answer.text
    ids = {e["resource"]["id"] for e in answer.json().get("entry", [])}
    assert ids == {encounters[code] for code in found}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("class:in", "urn:nowhere"),
        ("class:in", "http://hl7.org/fhir/ValueSet/condition-code"),
        ("class:below", "urn:nowhere|x"),
        ("class:below", f"{ACT}|no such code"),
        ("class:below", "EMER"),
    ],
)
def test_what_cannot_be_told_is_refused(clinic: Clinic, parameter: str, value: str) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get("/fhir/Encounter", params={parameter: value})
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome"), answer.text
