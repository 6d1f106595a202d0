"""Operations on the record over HTTP: everything of a patient, the newest values, summary, document, meta, match."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api.fhir import store, validate
from feldsher_tools.clinic import Clinic

Put = Callable[..., str]
LOINC, SYSTEM = "http://loinc.org", "urn:test:operations"


@pytest.fixture
def put(clinic: Clinic) -> Put:
    """Stores a resource of the first patient and returns its reference."""

    def stored(kind: str, patient: int = 0, **elements: Any) -> str:
        identity = str(store.new_id(clinic.time.now))
        whose = "patient" if kind in ("AllergyIntolerance", "Immunization") else "subject"
        subject = {whose: {"reference": f"Patient/{clinic.patients[patient]}"}}
        with clinic.owner() as connection:
            store.insert(connection, {"resourceType": kind, "id": identity, **subject, **elements}, now=clinic.time.now)
        return f"{kind}/{identity}"

    return stored


def weight(clinic: Clinic, put: Put, value: int, days: int, code: str = "29463-7", **more: Any) -> str:
    at = (clinic.time.now - timedelta(days=days)).isoformat()
    category = [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}
    ]
    return put(
        "Observation",
        **({"status": "final"} | more),
        category=category,
        code={"coding": [{"system": LOINC, "code": code}]},
        effectiveDateTime=at,
        valueQuantity={"value": value, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    )


def concept(code: str) -> dict[str, Any]:
    return {"coding": [{"system": SYSTEM, "code": code, "display": f"the {code} <&>"}]}


def state(of: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{of}", "code": code}]}


def references(bundle: dict[str, Any], mode: str | None = None) -> list[str]:
    entries = [e for e in bundle.get("entry", []) if mode is None or e["search"]["mode"] == mode]
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries]


def test_everything_by_pages_is_what_one_page_would_be(clinic: Clinic, put: Put) -> None:
    mine = {weight(clinic, put, 70 + n, n) for n in range(5)} | {put("Condition", code=concept("a"))}
    others = put("Condition", 1, code=concept("b"))
    clinic.sign_in("doctor")
    address = f"/fhir/Patient/{clinic.patients[0]}/$everything"
    whole = references(clinic.browser.get(address).json(), "match")
    assert whole[0] == f"Patient/{clinic.patients[0]}"
    assert mine <= set(whole)
    assert others not in whole
    assert not [r for r in whole if r.startswith("AuditEvent/")]
    by_pages: list[str] = []
    page = clinic.browser.get(address, params={"_count": "3"}).json()
    while True:
        by_pages += references(page, "match")
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        page = clinic.browser.get(following[0]).json()
    assert by_pages == whole


def test_everything_of_some_types_times_and_changes(clinic: Clinic, put: Put) -> None:
    old, new = weight(clinic, put, 70, 400), weight(clinic, put, 71, 2)
    put("Condition", code=concept("a"))
    clinic.sign_in("doctor")
    address = f"/fhir/Patient/{clinic.patients[0]}/$everything"
    start = (clinic.time.now - timedelta(days=30)).date().isoformat()
    found = references(clinic.browser.get(address, params={"_type": "Observation", "start": start}).json(), "match")
    assert (new in found, old in found) == (True, False)
    assert all(r.startswith("Observation/") for r in found)
    later = (clinic.time.now + timedelta(days=1)).isoformat()
    assert references(clinic.browser.get(address, params={"_since": later}).json()) == []
    for odd in ({"_type": "Nonsense"}, {"start": "yesterday"}, {"_cursor": "made-up"}, {"odd": "1"}, {"_count": "x"}):
        answer = clinic.browser.get(address, params=odd)
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome"), odd


def test_everything_is_of_who_may_see_it(clinic: Clinic, put: Put) -> None:
    put("Condition", 1, code=concept("b"))
    clinic.sign_in("anna")
    assert clinic.browser.get(f"/fhir/Patient/{clinic.patients[0]}/$everything").status_code == 200
    assert clinic.browser.get(f"/fhir/Patient/{clinic.patients[1]}/$everything").status_code == 404
    clinic.sign_in("doctor")
    page = clinic.browser.get(f"/fhir/Patient/{clinic.patients[1]}/$everything?_count=1").json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    clinic.sign_in("anna")
    assert clinic.browser.get(following).status_code in (400, 404)


def test_the_newest_of_each_code(clinic: Clinic, put: Put) -> None:
    weights = [weight(clinic, put, 70 + n, n) for n in range(4)]
    heights = [weight(clinic, put, 170, n, "8302-2") for n in (9, 8)]
    weight(clinic, put, 999, 0, status="entered-in-error")
    clinic.sign_in("anna")
    asked = {"patient": f"Patient/{clinic.patients[0]}", "category": "vital-signs"}
    assert references(clinic.browser.get("/fhir/Observation/$lastn", params=asked).json()) == [weights[0], heights[1]]
    two = clinic.browser.get("/fhir/Observation/$lastn", params=asked | {"max": "2", "code": f"{LOINC}|29463-7"}).json()
    assert references(two) == weights[:2]
    others = {"patient": clinic.patients[1]}
    assert references(clinic.browser.get("/fhir/Observation/$lastn", params=others).json()) == []
    assert clinic.browser.get("/fhir/Observation/$lastn").status_code == 400


def test_a_summary_is_valid_and_tells_what_is_active(clinic: Clinic, put: Put) -> None:
    active = put("Condition", code=concept("hypertension"), clinicalStatus=state("condition-clinical", "active"))
    over = put("Condition", code=concept("measles"), clinicalStatus=state("condition-clinical", "resolved"))
    wrong = put("Condition", code=concept("no"), verificationStatus=state("condition-ver-status", "entered-in-error"))
    allergy = put(
        "AllergyIntolerance", code=concept("nuts"), clinicalStatus=state("allergyintolerance-clinical", "active")
    )
    value = weight(clinic, put, 70, 1)
    clinic.sign_in("doctor")
    answer = clinic.browser.get(f"/fhir/Patient/{clinic.patients[0]}/$summary")
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert [f"{f.expression}: {f.words}" for f in validate.errors(made, clinic.time.now)] == []
    composition = made["entry"][0]["resource"]
    sections = {s["code"]["coding"][0]["code"]: s for s in composition["section"]}
    told = {code: [e["reference"] for e in s.get("entry", [])] for code, s in sections.items()}
    assert (active in told["11450-4"], over in told["11450-4"], over in told["11348-0"]) == (True, False, True)
    assert (told["48765-2"], told["10160-0"]) == ([allergy], [])
    assert sections["10160-0"]["emptyReason"]["coding"][0]["code"] == "unavailable"
    assert value in told["8716-3"]
    inside = references(made)
    assert {e for entries in told.values() for e in entries} <= set(inside)
    assert wrong not in inside
    assert len(inside) == len(set(inside))
    assert "the hypertension &lt;&amp;&gt;" in sections["11450-4"]["text"]["div"]
    clinic.sign_in("anna")
    assert clinic.browser.get(f"/fhir/Patient/{clinic.patients[1]}/$summary").status_code == 404


def test_a_document_has_all_that_its_composition_names(clinic: Clinic, put: Put) -> None:
    value, patient = weight(clinic, put, 70, 1), f"Patient/{clinic.patients[0]}"
    fields: dict[str, Any] = {
        "status": "final",
        "type": concept("letter"),
        "date": "2026-11-23",
        "author": [{"reference": patient}],
        "title": "Letter",
    }
    whole = put("Composition", **fields, section=[{"title": "Values", "entry": [{"reference": value}]}])
    broken = put("Composition", **fields, section=[{"entry": [{"reference": f"Observation/{uuid4()}"}]}])
    clinic.sign_in("doctor")
    made = clinic.browser.get(f"/fhir/{whole}/$document").json()
    assert (made["type"], references(made)) == ("document", [whole, patient, value])
    assert [f.words for f in validate.errors(made, clinic.time.now)] == []
    refused = clinic.browser.get(f"/fhir/{broken}/$document")
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (422, "not-found")


def test_meta_is_read_added_to_and_taken_from(clinic: Clinic, put: Put) -> None:
    of, headers = put("Condition", code=concept("a")), clinic.sign_in("doctor")
    tag = {"system": SYSTEM, "code": "seen"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [tag]}}]}
    for _ in range(2):  # what is there is not added again
        added = clinic.browser.post(f"/fhir/{of}/$meta-add", json=body, headers=headers)
        assert added.json()["parameter"][0]["valueMeta"]["tag"] == [tag], added.text
    assert clinic.browser.get(f"/fhir/{of}/$meta").json()["parameter"][0]["valueMeta"]["tag"] == [tag]
    taken = clinic.browser.post(f"/fhir/{of}/$meta-delete", json=body, headers=headers)
    assert "tag" not in taken.json()["parameter"][0]["valueMeta"]
    wrong = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": "x"}}]}
    assert clinic.browser.post(f"/fhir/{of}/$meta-add", json=wrong, headers=headers).status_code == 400
    headers = clinic.sign_in("anna")
    assert clinic.browser.post(f"/fhir/{of}/$meta-add", json=body, headers=headers).status_code == 403


def test_validating_a_change_of_one_resource(clinic: Clinic, put: Put) -> None:
    of, headers = put("Condition", code=concept("a")), clinic.sign_in("doctor")
    with clinic.owner() as connection:
        stored = store.read(connection, "Condition", UUID(of.partition("/")[2]))
    good = json.loads(stored.json)
    answer = clinic.browser.post(f"/fhir/{of}/$validate", json=good, headers=headers)
    assert answer.json()["issue"][0]["severity"] == "information", answer.text
    other = clinic.browser.post(f"/fhir/{of}/$validate", json=good | {"id": "other"}, headers=headers).json()
    assert other["issue"][0]["expression"] == ["Condition.id"]
    assert clinic.browser.post(f"/fhir/{of}/$validate?mode=odd", json=good, headers=headers).status_code == 400


def test_match_finds_the_mistyped_and_says_how_sure(clinic: Clinic) -> None:
    identity = str(uuid4())
    name = {"family": "Щербаковский", "given": ["Анастасия", "Емельяновна"]}
    person = {"resourceType": "Patient", "id": identity, "name": [name], "birthDate": "1971-03-07", "gender": "female"}
    with clinic.owner() as connection:
        store.insert(connection, person, now=clinic.time.now)
    headers = clinic.sign_in("doctor")

    def match(only: bool = False, **changes: Any) -> dict[str, Any]:
        asked = {"resourceType": "Patient", "name": [name], "birthDate": "1971-03-07", "gender": "female"} | changes
        parts = [{"name": "resource", "resource": asked}, {"name": "onlyCertainMatches", "valueBoolean": only}]
        answer = clinic.browser.post(
            "/fhir/Patient/$match", json={"resourceType": "Parameters", "parameter": parts}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    sure = match()["entry"][0]
    assert sure["search"]["extension"][0]["valueCode"] == "certain"
    assert sure["search"]["score"] > 0.9999
    mistyped = match(name=[{"family": "Шербаковская", "given": ["Анастасея"]}])["entry"]
    assert [e["resource"]["id"] for e in mistyped] == [identity]
    assert mistyped[0]["search"]["extension"][0]["valueCode"] in ("probable", "possible")
    assert "entry" not in match(True, name=[{"family": "Шербаковская", "given": ["Анастасея"]}])
    assert match(name=[{"family": "Nobody", "given": ["At", "All"]}], birthDate="1900-01-01")["total"] == 0
    clinic.sign_in("anna")
    own = clinic.browser.post("/fhir/Patient/$match", json=person, headers=clinic.sign_in("anna"))
    assert own.json().get("total") == 0  # what is out of reach does not exist
    with clinic.owner() as connection, connection.transaction():
        store.delete(connection, "Patient", store.identity.key(identity), now=clinic.time.now)


def test_the_capability_statement_lists_them(clinic: Clinic) -> None:
    rest = clinic.browser.get("/fhir/metadata").json()["rest"][0]
    by_type = {r["type"]: {o["name"] for o in r.get("operation", [])} for r in rest["resource"]}
    assert {"everything", "match", "summary"} <= by_type["Patient"]
    assert "lastn" in by_type["Observation"]
    assert {"validate", "meta", "meta-add", "meta-delete"} <= {o["name"] for o in rest["operation"]}
