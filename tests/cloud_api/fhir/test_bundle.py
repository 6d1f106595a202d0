"""Batch and transaction: order, rewriting, criteria, all or nothing, limits, and an outcome for each entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from feldsher_cloud_api.fhir import entry
from feldsher_tools.clinic import Clinic
from httpx2 import Response

JSON = {"content-type": "application/fhir+json"}
SYSTEM = "urn:example:bundle"
U = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0"


def item(method: str, url: str, resource: dict[str, Any] | None = None, full: str = "", **more: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        out["resource"] = resource
    return out | ({"fullUrl": full} if full else {})


def sent(clinic: Clinic, program: dict[str, str], kind: str, *entries: dict[str, Any]) -> Response:
    body: dict[str, Any] = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return clinic.browser.post("/fhir", json=body, headers=program)


def statuses(answer: Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [e["response"]["status"] for e in answer.json()["entry"]]


def refusal(answer: Response) -> tuple[int, str, str]:
    issue = answer.json()["issue"][0]
    return answer.status_code, issue["code"], (issue.get("expression") or [""])[0]


def patient(number: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": number}], **more}


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def read(clinic: Clinic, program: dict[str, str], response: dict[str, Any]) -> Any:
    place = response["location"].removeprefix("http://testserver").split("/_history")[0]
    return clinic.browser.get(place, headers=program).json()


def test_references_are_rewritten_everywhere(clinic: Clinic, program: dict[str, str]) -> None:
    there = sent(clinic, program, "transaction", item("POST", "Patient", patient("there"))).json()["entry"][0][
        "response"
    ]
    answer = sent(
        clinic, program, "transaction",
        item("POST", "Observation", observation(
            f"{U}1", hasMember=[{"reference": f"{U}2"}], derivedFrom=[{"reference": f"{U}2"}],
        ) | {"text": {
            "status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{U}1">who</a></div>'}}),
        item("POST", "Patient", patient("rewritten"), f"{U}1"),
        item("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|there"), f"{U}2"),
    )  # fmt: skip
    assert statuses(answer) == ["201", "201", "201"]
    first, person, second = (e["response"] for e in answer.json()["entry"])
    one, who, two = (read(clinic, program, r) for r in (first, person, second))
    assert one["subject"]["reference"] == f"Patient/{who['id']}"
    assert one["hasMember"] == one["derivedFrom"] == [{"reference": f"Observation/{two['id']}"}]
    assert f'href="Patient/{who["id"]}"' in one["text"]["div"]
    assert two["subject"]["reference"] == "/".join(there["location"].split("/")[-4:-2])
    found = clinic.browser.get(f"/fhir/Observation?subject=Patient/{who['id']}", headers=program).json()
    assert [e["resource"]["id"] for e in found["entry"]] == [one["id"]]


def test_the_methods_have_an_order_and_each_entry_its_place(clinic: Clinic, program: dict[str, str]) -> None:
    old = sent(clinic, program, "transaction", item("POST", "Patient", patient("old"))).json()["entry"][0]["response"]
    name = old["location"].split("/")[-3]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "active"}, {"name": "value", "valueBoolean": True}]}]}  # fmt: skip
    sent(clinic, program, "transaction", item("POST", "Patient", patient("patched")))
    answer = sent(
        clinic, program, "transaction",
        item("GET", f"Patient?identifier={SYSTEM}|new"),
        item("GET", f"Patient?identifier={SYSTEM}|old"),
        item("PUT", "Patient/bundle.own", patient("own", id="bundle.own")),
        item("POST", "Patient", patient("new"), ifNoneExist=f"identifier={SYSTEM}|new"),
        item("PATCH", f"Patient?identifier={SYSTEM}|patched", patch),
        item("DELETE", f"Patient/{name}", ifMatch='W/"1"'),
        item("GET", "Patient/bundle.own"),
    )  # fmt: skip
    assert statuses(answer) == ["200", "200", "201", "201", "200", "204", "200"]
    entries = answer.json()["entry"]
    assert [e["resource"].get("total", len(e["resource"].get("entry", []))) for e in entries[:2]] == [1, 0]
    assert entries[6]["resource"]["id"] == "bundle.own"
    assert entries[4]["response"]["etag"] == 'W/"2"'
    again = sent(clinic, program, "transaction",
                 item("POST", "Patient", patient("new"), f"{U}9", ifNoneExist=f"identifier={SYSTEM}|new"),
                 item("POST", "Observation", observation(f"{U}9")))  # fmt: skip
    assert statuses(again) == ["200", "201"]
    made = read(clinic, program, again.json()["entry"][1]["response"])
    assert made["subject"]["reference"] == "Patient/" + entries[3]["response"]["location"].split("/")[-3]


BAD: list[tuple[dict[str, Any], tuple[int, str, str]]] = [
    (item("POST", "Observation", {"resourceType": "Observation", "status": "x", "code": {"text": "x"}}),
     (422, "code-invalid", "Bundle.entry[1].resource.status")),
    (item("POST", "Patient", observation("x")), (400, "structure", "Bundle.entry[1].resource.resourceType")),
    (item("POST", "Patient/1", patient("x")), (400, "value", "Bundle.entry[1].request.url")),
    (item("POST", "Banana", {"resourceType": "Banana"}), (400, "value", "Bundle.entry[1].request.url")),
    (item("POST", "Patient"), (400, "required", "Bundle.entry[1].resource")),
    (item("PUT", "Patient/1", patient("x", id="2")), (400, "invariant", "Bundle.entry[1].resource.id")),
    (item("DELETE", "Patient"), (400, "value", "Bundle.entry[1].request.url")),
    (item("DELETE", "Patient/gone", ifMatch='W/"3"'), (412, "conflict", "Bundle.entry[1]")),
    (item("GET", "Patient/nobody"), (404, "not-found", "Bundle.entry[1]")),
    (item("POST", "Observation", observation(f"Patient?identifier={SYSTEM}|none")),
     (412, "not-found", "Bundle.entry[1]")),
    (item("PATCH", "Patient/elsewhere", {"resourceType": "Basic"}), (400, "structure", "Bundle.entry[1].resource")),
    (item("POST", "Patient", patient("x"), f"{U}0"), (400, "duplicate", "Bundle.entry[1].fullUrl")),
    (item("PUT", "Patient/kept", patient("x", id="kept")), (400, "duplicate", "Bundle.entry[2]")),
    ({"resource": patient("x")}, (400, "structure", "Bundle.entry[1]")),
    ({"resource": patient("x"), "fullUrl": "urn:x:1"}, (400, "required", "Bundle.entry[1].request")),
    ({"request": {"method": "POST"}}, (400, "required", "Bundle.entry[1].request.url")),
    ({"banana": 1, "request": {"method": "GET", "url": "Patient"}}, (400, "structure", "Bundle.entry[1].banana")),
]  # fmt: skip


def test_a_transaction_with_one_fault_leaves_nothing(clinic: Clinic, program: dict[str, str]) -> None:
    def log() -> object:
        with clinic.owner() as connection:
            return connection.execute("SELECT count(*), max(seq) FROM fhir.change").fetchone()

    before = log()
    for number, (bad, wanted) in enumerate(BAD):
        answer = sent(clinic, program, "transaction", item("POST", "Patient", patient("whole"), f"{U}0"), bad,
                      item("PUT", "Patient/kept", patient("kept", id="kept", active=True)))  # fmt: skip
        assert refusal(answer) == wanted, number
    assert log() == before


def test_a_batchs_entries_stand_for_themselves(clinic: Clinic, program: dict[str, str]) -> None:
    answer = sent(
        clinic, program, "batch",
        item("POST", "Patient", patient("batched")),
        item("POST", "Patient", patient("x", gender="man")),
        item("GET", "Patient/nobody"),
        item("PUT", f"Patient?identifier={SYSTEM}|batched", patient("batched", active=True)),
        item("POST", "Patient", patient("batched"), ifNoneExist=f"identifier={SYSTEM}|batched"),
        item("DELETE", f"Patient?identifier={SYSTEM}|batched"),
        item("POST", "Observation", observation("x") | {"valueString": "\u0001"}),
        item("GET", "Patient?nonsense=1"),
        item("GET", "Patient/_history"),
        item("DELETE", "AuditEvent/1"),
    )  # fmt: skip
    assert statuses(answer) == ["201", "422", "404", "200", "200", "204", "422", "400", "200", "403"]
    outcomes = [
        e["response"].get("outcome", {}).get("issue", [{}])[0].get("expression") for e in answer.json()["entry"]
    ]
    assert outcomes[1] == ["Bundle.entry[1].resource.gender"]
    assert outcomes[6] == ["Bundle.entry[6].resource.value"]


def test_bundles_that_are_none(clinic: Clinic, program: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def post(body: Any, path: str = "/fhir/") -> tuple[int, str, str]:
        return refusal(clinic.browser.post(path, content=json.dumps(body).encode(), headers=program))

    assert post({"resourceType": "Bundle", "type": "collection"})[::2] == (400, "Bundle.type")
    assert post({"resourceType": "Patient"})[0] == 400
    assert post({"resourceType": "Bundle", "type": "batch", "entry": {}})[0] == 400
    monkeypatch.setattr(entry, "MOST_ENTRIES", 2)
    assert refusal(sent(clinic, program, "batch", *[item("GET", "Patient")] * 3))[:2] == (413, "too-long")
    assert sent(clinic, program, "transaction").json()["resourceType"] == "OperationOutcome"
    empty = clinic.browser.post("/fhir", json={"resourceType": "Bundle", "type": "transaction"}, headers=program)
    assert empty.json() == {"resourceType": "Bundle", "type": "transaction-response"}


def test_whole_resources_come_back_where_asked_for(clinic: Clinic, program: dict[str, str]) -> None:
    plain = sent(clinic, program, "transaction", item("POST", "Patient", patient("plain")))
    assert "resource" not in plain.json()["entry"][0]
    whole = sent(clinic, program | {"prefer": "return=representation"}, "batch", item("POST", "Patient", patient("w")))
    assert whole.json()["entry"][0]["resource"]["identifier"][0]["value"] == "w"


def test_a_transaction_is_audited_by_patient(clinic: Clinic, program: dict[str, str]) -> None:
    answer = sent(clinic, program, "transaction", item("POST", "Patient", patient("seen"), f"{U}1"),
                  *[item("POST", "Observation", observation(f"{U}1")) for _ in range(3)])  # fmt: skip
    who = answer.json()["entry"][0]["response"]["location"].split("/")[-3]
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT jsonb_array_length(content -> 'entity') FROM fhir.auditevent WHERE patient_id = %s", (who,)
        ).fetchall()
    assert rows == [(4,)]


def test_an_order_in_a_transaction_goes_to_its_gateway(clinic: Clinic, program: dict[str, str]) -> None:
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]},
        "subject": {"reference": f"Patient/{clinic.patients[1]}"},
        "performer": [{"reference": f"Device/{clinic.made['cardiograph']}"}],
    }  # fmt: skip
    answer = sent(clinic, program, "transaction", item("POST", "ServiceRequest", order, f"{U}1"),
                  item("POST", "Communication", {"resourceType": "Communication", "status": "completed",
                                                 "basedOn": [{"reference": f"{U}1"}]}))  # fmt: skip
    assert statuses(answer) == ["201", "201"]
    name = answer.json()["entry"][0]["response"]["location"].split("/")[-3]
    assert read(clinic, program, answer.json()["entry"][1]["response"])["basedOn"] == [
        {"reference": f"ServiceRequest/{name}"}
    ]
    with clinic.owner() as connection:
        assert connection.execute("SELECT order_id::text FROM cloud.gateway_command").fetchall() == [(name,)]
