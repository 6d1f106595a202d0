"""Hostile input: search parameters with what breaks SQL, patterns and parsers; deep and absurd JSON. Never a 5xx."""

from __future__ import annotations

import pytest
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_tools.clinic import Clinic

NASTY = (
    "'; DROP TABLE fhir.patient; --",
    '"\\\x1f\x1e%_*$$|,\\|\u202e\U0001f9ff',
    "9" * 4000,
    "http://[|%00",
)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["Patient", "Observation"])
def test_no_value_of_any_parameter_breaks_the_search(clinic: Clinic, of: str) -> None:
    clinic.sign_in("doctor")
    broken: list[tuple[str, str, int]] = []
    for name in kind(of).search:
        for value in NASTY:
            answer = clinic.browser.get(f"/fhir/{of}", params={name: value, "_count": "1"})
            if answer.status_code not in (200, 400):
                broken.append((name, value[:20], answer.status_code))
    assert broken == []
    assert clinic.browser.get("/fhir/Patient").status_code == 200


@pytest.mark.parametrize("value", ["%00", "a%00b", "%ff%fe", "%ed%a0%80"])
def test_bytes_that_are_no_text_are_refused_or_find_nothing(clinic: Clinic, value: str) -> None:
    clinic.sign_in("doctor")
    for name in ("name", "_id", "identifier", "birthdate", "name:exact", "_has:Observation:patient:code"):
        assert clinic.browser.get(f"/fhir/Patient?{name}={value}").status_code in (200, 400), name


@pytest.mark.parametrize("name", ["name:contains", "name", "name:exact"])
@pytest.mark.parametrize("value", ["%", "_", "%25", "Demo%"])
def test_wildcards_of_the_database_are_letters(clinic: Clinic, name: str, value: str) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get("/fhir/Patient", params={name: value})
    assert answer.status_code == 200
    assert "entry" not in answer.json()


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient","extension":' + b'[{"extension":' * 3000 + b"1" + b"}]" * 3000 + b"}",
        b"[" * 100_000,
        b'{"resourceType":"Patient","id":"' + b"x" * 100_000 + b'"}',
        b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}',
        b'{"resourceType":"Patient","name":"\xed\xa0\x80"}',
        b'{"resourceType":"Patient","resourceType":"Observation"}',
    ],
)
def test_deep_and_absurd_json_is_refused(clinic: Clinic, body: bytes) -> None:
    headers = clinic.sign_in("doctor") | {"content-type": "application/fhir+json"}
    answer = clinic.browser.post("/fhir/Patient/$validate", content=body, headers=headers)
    assert answer.status_code in (200, 400, 413, 422)
    assert answer.json()["resourceType"] == "OperationOutcome"
