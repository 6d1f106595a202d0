"""Writing single resources over REST: what comes back, preconditions, criteria, protection, and races."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from feldsher_tools.clinic import Clinic
from httpx2 import Response

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "urn:example:interaction"


def person(number: str = "1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}], **more}


def refusal(answer: Response) -> tuple[int, str, str]:
    assert answer.json()["resourceType"] == "OperationOutcome", answer.text
    issue = answer.json()["issue"][0]
    return answer.status_code, issue["code"], (issue.get("expression") or [""])[0]


def made(clinic: Clinic, program: dict[str, str], resource: dict[str, Any]) -> dict[str, Any]:
    answer = clinic.browser.post(f"/fhir/{resource['resourceType']}", json=resource, headers=program)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_create_read_update_delete(clinic: Clinic, program: dict[str, str]) -> None:
    browser = clinic.browser
    answer = browser.post("/fhir/Patient", json=person(id="mine", active=True), headers=program)
    first = answer.json()
    assert (answer.status_code, answer.headers.get("etag")) == (201, 'W/"1"'), first
    assert first["id"] != "mine"
    place = f"/fhir/Patient/{first['id']}"
    assert answer.headers["location"] == f"http://testserver{place}/_history/1"
    assert "GMT" in answer.headers["last-modified"]
    assert browser.get(place, headers=program).json() == first

    second = browser.put(place, json=person(id=first["id"], active=False), headers=program)
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert browser.put(place, json=person(id=first["id"], active=False), headers=program).headers["etag"] == 'W/"2"'
    gone = browser.delete(place, headers=program)
    assert (gone.status_code, gone.content, gone.headers["etag"]) == (204, b"", 'W/"3"')
    assert refusal(browser.get(place, headers=program))[:2] == (410, "deleted")
    assert browser.delete(place, headers=program).status_code == 204
    assert browser.get(f"{place}/_history/2", headers=program).json()["active"] is False
    assert refusal(browser.get(f"{place}/_history/3", headers=program))[:2] == (410, "deleted")
    assert browser.get(f"{place}/_history/9", headers=program).status_code == 404
    again = browser.put(place, json=person(id=first["id"]), headers=program)
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"4"')
    entries = browser.get(f"{place}/_history", headers=program).json()["entry"]
    assert [e["request"]["method"] for e in entries] == ["PUT", "DELETE", "PUT", "POST"]
    assert ["resource" in e for e in entries] == [True, False, True, True]


def test_ids_of_the_senders_own(clinic: Clinic, program: dict[str, str]) -> None:
    browser = clinic.browser
    answer = browser.put("/fhir/Patient/Own.id-1", json=person(id="Own.id-1"), headers=program)
    assert (answer.status_code, answer.json()["id"]) == (201, "Own.id-1")
    assert answer.headers["location"].endswith("/Patient/Own.id-1/_history/1")
    assert browser.get("/fhir/Patient/Own.id-1", headers=program).json()["id"] == "Own.id-1"
    wrong = browser.put("/fhir/Patient/Own.id-1", json=person(id="other"), headers=program)
    assert refusal(wrong) == (400, "invariant", "Patient.id")
    assert refusal(browser.put("/fhir/Patient/a_b", json=person(id="a_b"), headers=program))[0] == 400


def test_ids_may_be_the_servers_alone(clinic: Clinic, program: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic.context, "settings", replace(clinic.settings, update_create=False))
    answer = clinic.browser.put("/fhir/Patient/own", json=person(id="own"), headers=program)
    assert refusal(answer)[:2] == (405, "not-supported")


def test_prefer(clinic: Clinic, program: dict[str, str]) -> None:
    small = clinic.browser.post("/fhir/Patient", json=person(), headers=program | {"prefer": "return=minimal"})
    assert (small.status_code, small.content, small.headers["etag"]) == (201, b"", 'W/"1"')
    told = clinic.browser.post("/fhir/Patient", json=person(), headers=program | {"prefer": "return=OperationOutcome"})
    assert (told.status_code, told.json()["resourceType"]) == (201, "OperationOutcome")
    place = told.headers["location"].split("/_history")[0]
    deleted = clinic.browser.delete(place, headers=program | {"prefer": "return=OperationOutcome"})
    assert (deleted.status_code, deleted.json()["resourceType"]) == (200, "OperationOutcome")


def test_versions_that_are_expected(clinic: Clinic, program: dict[str, str]) -> None:
    browser, one = clinic.browser, made(clinic, program, person())
    place = f"/fhir/Patient/{one['id']}"
    stale = program | {"if-match": 'W/"7"'}
    assert refusal(browser.put(place, json=person(id=one["id"], active=True), headers=stale))[:2] == (412, "conflict")
    assert refusal(browser.delete(place, headers=stale))[0] == 412
    patch = [{"op": "add", "path": "/active", "value": True}]
    as_patch = {"content-type": "application/json-patch+json"}
    assert refusal(browser.patch(place, json=patch, headers=stale | as_patch))[0] == 412
    assert refusal(browser.put(place, json=one, headers=program | {"if-match": "no"}))[0] == 400
    good = program | {"if-match": 'W/"1"'}
    assert browser.patch(place, json=patch, headers=good | as_patch).headers["etag"] == 'W/"2"'
    assert refusal(browser.put("/fhir/Patient/nobody", json=person(id="nobody"), headers=good))[0] == 412
    for name, value in (("if-none-match", 'W/"2"'), ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")):
        assert browser.get(place, headers=program | {name: value}).status_code == 304


def test_patches(clinic: Clinic, program: dict[str, str]) -> None:
    browser, one = clinic.browser, made(clinic, program, person("patched", gender="male"))
    place = f"/fhir/Patient/{one['id']}"
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Patient.gender"},
            {"name": "value", "valueCode": "female"}]}],
    }  # fmt: skip
    assert browser.patch(place, json=parameters, headers=program).json()["gender"] == "female"
    as_patch = program | {"content-type": "application/json-patch+json"}
    test = [{"op": "test", "path": "/gender", "value": "male"}]
    assert refusal(browser.patch(place, json=test, headers=as_patch))[0] == 422
    other_id = [{"op": "replace", "path": "/id", "value": "x"}]
    assert refusal(browser.patch(place, json=other_id, headers=as_patch)) == (422, "invariant", "Patient.id")
    wrong = [{"op": "replace", "path": "/gender", "value": "man"}]
    assert refusal(browser.patch(place, json=wrong, headers=as_patch)) == (422, "code-invalid", "Patient.gender")
    assert refusal(browser.patch("/fhir/Patient/nobody", json=test, headers=as_patch))[0] == 404
    kind = program | {"content-type": "application/merge-patch+json"}
    assert refusal(browser.patch(place, json={}, headers=kind))[0] == 415
    where = f"/fhir/Patient?identifier={SYSTEM}|patched"
    right = [{"op": "replace", "path": "/gender", "value": "other"}]
    assert browser.patch(where, json=right, headers=as_patch).json()["gender"] == "other"
    assert refusal(browser.patch(f"/fhir/Patient?identifier={SYSTEM}|none", json=right, headers=as_patch))[0] == 404


def test_criteria(clinic: Clinic, program: dict[str, str]) -> None:
    browser = clinic.browser
    where = f"/fhir/Patient?identifier={SYSTEM}|7"
    first = browser.put(where, json=person("7"), headers=program)
    second = browser.put(where, json=person("7", active=True), headers=program)
    assert (first.status_code, second.status_code, second.headers["etag"]) == (201, 200, 'W/"2"')
    assert second.json()["id"] == first.json()["id"]
    there = browser.post(
        "/fhir/Patient", json=person("7"), headers=program | {"if-none-exist": f"identifier={SYSTEM}|7"}
    )
    assert (there.status_code, there.json()["id"]) == (200, first.json()["id"])
    assert refusal(browser.put(where, json=person("7", id="else"), headers=program)) == (400, "invariant", "Patient.id")
    made(clinic, program, person("7"))
    for answer in (
        browser.put(where, json=person("7"), headers=program),
        browser.delete(where, headers=program),
        browser.post("/fhir/Patient", json=person("7"), headers=program | {"if-none-exist": f"identifier={SYSTEM}|7"}),
    ):
        assert refusal(answer)[:2] == (412, "multiple-matches")
    assert refusal(browser.delete("/fhir/Patient", headers=program))[0] == 412
    assert refusal(browser.delete("/fhir/Patient?_count=1", headers=program))[0] == 412
    assert refusal(browser.delete("/fhir/Patient?nonsense=1", headers=program))[0] == 400
    assert browser.delete(f"/fhir/Patient?identifier={SYSTEM}|none", headers=program).status_code == 204
    browser.delete(f"/fhir/Patient/{first.json()['id']}", headers=program)
    assert browser.delete(where, headers=program).status_code == 204
    assert browser.get(where, headers=program).json().get("entry") is None


def test_of_64_who_create_at_once_one_does(clinic: Clinic, program: dict[str, str]) -> None:
    program = program | {"if-none-exist": f"identifier={SYSTEM}|race"}

    def create(_: int) -> tuple[int, str]:
        answer = clinic.browser.post("/fhir/Patient", json=person("race"), headers=program)
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(create, range(64)))
    assert sorted(status for status, _ in answers) == [200] * 63 + [201]
    assert len({name for _, name in answers}) == 1


def test_every_fault_of_a_resource_is_named(clinic: Clinic, program: dict[str, str]) -> None:
    answer = clinic.browser.post(
        "/fhir/Observation", json={"resourceType": "Observation", "status": "good", "colour": 1}, headers=program
    )
    assert answer.status_code == 422
    assert sorted(i["expression"][0] for i in answer.json()["issue"]) == [
        "Observation.code", "Observation.colour", "Observation.status"
    ]  # fmt: skip


def test_bodies_that_are_no_resource(clinic: Clinic, program: dict[str, str]) -> None:
    for body in (b"", b"{", b"[]", b'"x"', b"\xff", b'{"resourceType":"Group"}', b"[" * 5000):
        assert refusal(clinic.browser.post("/fhir/Patient", content=body, headers=program))[0] == 400, body[:9]


def test_what_cannot_be_stored_is_refused_not_failed(clinic: Clinic, program: dict[str, str]) -> None:
    for text in ('"a\\u0000b"', '"\\ud800"'):
        body = b'{"resourceType":"Patient","implicitRules":%s}' % text.encode()
        assert refusal(clinic.browser.post("/fhir/Patient", content=body, headers=program))[0] in (400, 422)
    number = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1e200000}}'
    assert refusal(clinic.browser.post("/fhir/Observation", content=number, headers=program))[0] in (400, 422)


def test_media_types_and_methods(clinic: Clinic, program: dict[str, str]) -> None:
    browser = clinic.browser
    wrong = browser.post(
        "/fhir/Patient", content=b"<Patient/>", headers=program | {"content-type": "application/fhir+xml"}
    )
    assert refusal(wrong)[:2] == (415, "not-supported")
    for method, path, allowed in (
        ("DELETE", "/fhir", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/fhir/metadata", "GET, HEAD, OPTIONS"),
        ("DELETE", "/fhir/Patient/_history", "GET, HEAD, OPTIONS"),
        ("PUT", "/fhir/Patient/$validate", "POST, OPTIONS"),
        ("POST", "/fhir/Patient/1", "GET, HEAD, OPTIONS, PUT, PATCH, DELETE"),
        ("TRACE", "/fhir/Patient", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),
    ):
        answer = browser.request(method, path, headers=program)
        assert (answer.status_code, answer.headers.get("allow")) == (405, allowed), (method, path)
        assert answer.json()["resourceType"] == "OperationOutcome"
    options = browser.options("/fhir/Patient/1", headers=program)
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, PUT, PATCH, DELETE")
    for path in ("/fhir/Banana", "/fhir/Patient/1/2/3/4", "/fhir/Banana/1/x"):
        assert refusal(browser.get(path, headers=program))[0] == 404
    assert browser.head("/fhir/metadata").content == b""


def test_what_the_system_has_made_is_not_changed_by_programs(clinic: Clinic, program: dict[str, str]) -> None:
    browser = clinic.browser
    clinic.receive(clinic.vitals(clinic.time.now, {150021: "132", 150022: "84.50", 149546: "71"}), clinic.recording())
    clinic.work()
    for query in ("Observation?code=85354-9", "DiagnosticReport?code=11524-6",
                  "Observation?code=8867-4&category=procedure",
                  "Provenance", "Device?type=cuff", "AuditEvent"):  # fmt: skip
        kind = query.partition("?")[0]
        found = browser.get(f"/fhir/{query}", headers=program).json()["entry"][0]["resource"]
        place = f"/fhir/{kind}/{found['id']}"
        changed = found | {"language": "en"}
        wanted = {(409, "business-rule"), (403, "forbidden")}
        assert refusal(browser.put(place, json=changed, headers=program))[:2] in wanted, query
        assert refusal(browser.delete(place, headers=program))[:2] in wanted, query
        assert browser.get(place, headers=program).json() == found
    report = browser.get("/fhir/DiagnosticReport?code=11524-6", headers=program).json()["entry"][0]["resource"]
    picture = report["presentedForm"][0]["url"]
    assert refusal(browser.delete(f"/fhir/{picture}", headers=program))[:2] == (409, "business-rule")


def test_nobody_passes_for_the_system(clinic: Clinic, program: dict[str, str]) -> None:
    claimed = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "identifier": [{"system": "urn:feldsher:reading", "value": "1"}],
    }  # fmt: skip
    answer = clinic.browser.post("/fhir/Observation", json=claimed, headers=program)
    assert refusal(answer) == (422, "business-rule", "Observation.identifier[0].system")


def test_an_order_goes_to_its_gateway_and_other_requests_are_records(clinic: Clinic, program: dict[str, str]) -> None:
    order = clinic.order()
    place = f"/fhir/ServiceRequest/{order}"
    ours = clinic.browser.get(place, headers=program).json()
    assert refusal(clinic.browser.put(place, json=ours | {"status": "revoked"}, headers=program))[:2] == (
        409,
        "business-rule",
    )
    other = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": "blood count"},
             "subject": {"reference": f"Patient/{clinic.patients[0]}"}}  # fmt: skip
    answer = clinic.browser.post("/fhir/ServiceRequest", json=other, headers=program)
    assert answer.status_code == 201
    with clinic.owner() as connection:
        assert connection.execute("SELECT count(*) FROM cloud.gateway_command").fetchone() == (1,)


def test_each_change_is_audited(clinic: Clinic, program: dict[str, str]) -> None:
    one = made(clinic, program, person())
    place = f"/fhir/Patient/{one['id']}"
    clinic.browser.put(place, json=person(id=one["id"], active=True), headers=program)
    clinic.browser.delete(place, headers=program)
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content #>> '{subtype,0,code}', content ->> 'action' FROM fhir.auditevent WHERE patient_id = %s"
            " ORDER BY 1", (one["id"],),
        ).fetchall()  # fmt: skip
    assert rows == [("create", "C"), ("delete", "D"), ("update", "U")]


def test_a_patient_writes_nobody_elses(clinic: Clinic) -> None:
    headers = clinic.sign_in("anna") | JSON
    mine = {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/{clinic.patients[1]}"}}  # fmt: skip
    answer = clinic.browser.post("/fhir/Observation", content=json.dumps(mine).encode(), headers=headers)
    assert refusal(answer)[:2] == (403, "forbidden")
