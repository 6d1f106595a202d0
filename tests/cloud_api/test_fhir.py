"""The REST interface: reading, versions, searching, paging, ordering, and refusals that name what is wrong."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from feldsher_cloud_api.access import EVERYTHING
from feldsher_cloud_api.fhir import dates, search, store
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_tools.clinic import Clinic

BP = {150021: "132", 150022: "84.50", 149546: "71"}


def _get(clinic: Clinic, path: str, **headers: str) -> Any:
    answer = clinic.browser.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _ids(bundle: dict[str, Any]) -> list[str]:
    return [e["resource"]["id"] for e in bundle.get("entry", [])]


def _order(clinic: Clinic, **changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6"}]},
        "subject": {"reference": f"Patient/{clinic.patients[0]}"},
        "performer": [{"reference": f"Device/{clinic.made['cardiograph']}"}],
    }
    return {k: v for k, v in (resource | changes).items() if v is not None}


def test_capability_statement_says_what_is_served(clinic: Clinic) -> None:
    answer = clinic.browser.get("/fhir/metadata")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    statement = answer.json()
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    assert "validate" in [o["name"] for o in statement["rest"][0]["operation"]]
    served = {r["type"]: {i["code"] for i in r["interaction"]} for r in statement["rest"][0]["resource"]}
    assert served["ServiceRequest"] >= {"read", "vread", "history-instance", "search-type", "create"}
    observation = next(r for r in statement["rest"][0]["resource"] if r["type"] == "Observation")
    assert {"name": "code-value-quantity", "type": "composite"} in observation["searchParam"]
    assert "Observation:subject" in observation["searchInclude"]


def test_read_has_a_weak_etag_and_answers_304(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    path = f"/fhir/Patient/{clinic.patients[0]}"
    answer = clinic.browser.get(path)
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["meta"]["versionId"] == "1"
    assert clinic.browser.get(path, headers={"if-none-match": 'W/"1"'}).status_code == 304


def test_decimal_leaves_with_every_digit(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP | {150023: "1.10"}))
    clinic.work()
    clinic.sign_in("doctor")
    text = clinic.browser.get("/fhir/Observation?code=85354-9").text
    assert '"value": 84.50' in text
    assert '"value": 1.10' in text
    trend = clinic.browser.get(f"/api/patient/{clinic.patients[0]}/vitals").text
    assert '"diastolic":[84.50]' in trend
    assert '"pulse":[71]' in trend


def test_xml_is_not_served_and_that_is_said(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get("/fhir/Patient", headers={"accept": "application/fhir+xml"})
    assert (answer.status_code, answer.json()["resourceType"]) == (406, "OperationOutcome")
    assert clinic.browser.get("/fhir/Patient?_format=json", headers={"accept": "text/xml"}).status_code == 200


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("nonsense=1", "nonsense"),
        ("code:above=x", "above"),
        ("date=yesterday", "date"),
        ("date=zz2020", "date"),
        ("patient=a b", "patient"),
        ("_sort=nonsense", "_sort"),
        ("_count=many", "_count"),
        ("_total=perhaps", "_total"),
        ("code=", "code"),
        ("_cursor=forged", "_cursor"),
    ],
)
def test_search_that_is_not_understood_is_refused_by_name(clinic: Clinic, query: str, named: str) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get(f"/fhir/Observation?{query}")
    assert answer.status_code == 400
    issue = answer.json()["issue"][0]
    assert named in issue["diagnostics"]
    assert issue["expression"][0].startswith("http.")


def test_unknown_parameter_may_be_ignored_on_request(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    answer = clinic.browser.get("/fhir/Patient?nonsense=1", headers={"prefer": "handling=lenient"})
    assert len(answer.json()["entry"]) == 3
    assert "nonsense" not in answer.json()["link"][0]["url"]


def test_types_that_are_not_served(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    assert clinic.browser.get("/fhir/Banana").status_code == 404
    assert clinic.browser.get("/fhir/Patient/not-a-uuid").json()["issue"][0]["code"] == "not-found"


def test_searches_by_token_reference_string_and_id(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP), clinic.recording())
    clinic.work()
    clinic.sign_in("doctor")
    anna = clinic.patients[0]

    def found(query: str) -> int:
        return len(_ids(_get(clinic, f"/fhir/{query}")))

    same = ["85354-9", "http://loinc.org|85354-9", "nothing,85354-9"]
    assert [found(f"Observation?code={c}") for c in same] == [1, 1, 1]
    assert found("Observation?code=8480-6") == 0  # a component is not the panel
    assert found("Observation?component-code=8480-6") == 1
    assert found("Observation?code=|85354-9") == 0
    forms = [anna, f"Patient/{anna}", f"http://testserver/fhir/Patient/{anna}", f"Patient/{anna}/_history/1"]
    assert [found(f"Observation?patient={f}") for f in forms] == [2, 2, 2, 2]
    assert [found(f"Observation?subject={f}") for f in forms] == [2, 2, 2, 2]
    assert found(f"Observation?subject:Patient={anna}&category=vital-signs&status=final") == 2
    assert found("Observation?category=procedure") == 4
    assert found("Observation?subject:missing=true") == 4
    assert found("Observation?status:not=final") == 4
    assert found(f"Patient?_id={anna},{clinic.patients[1]}") == 2
    assert found("Patient?name=demo-a") == 1
    assert found("Patient?family:exact=Demo-Alpha") == 1
    assert found("Patient?name:contains=ALPH") == 1
    assert found("Patient?name=%25") == 0
    assert found("Patient?identifier=urn:feldsher:demo|DEMO-ANNA") == 1
    assert found("Patient?gender=male&birthdate=lt1950") == 1
    assert found("DiagnosticReport?conclusion=AFIB&status=preliminary") == 1
    assert found("Provenance?target=" + _ids(_get(clinic, "/fhir/DiagnosticReport"))[0]) == 1
    report = _ids(_get(clinic, "/fhir/DiagnosticReport"))[0]
    assert found(f"Observation?_lastUpdated=gt2020&device={clinic.made['cardiograph']}") == 4
    assert found(f"DiagnosticReport?identifier={report}&_lastUpdated=lt2020") == 0


def test_search_by_post_means_the_same(clinic: Clinic) -> None:
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post("/fhir/Patient/_search", data={"name": "Demo-Bravo"}, headers=headers)
    assert _ids(answer.json()) == [clinic.patients[1]]


@pytest.mark.parametrize("prefix", ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", ""])
def test_date_prefixes_against_a_plain_reading_of_the_standard(clinic: Clinic, prefix: str) -> None:
    base = clinic.time.now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)
    moments = [base + timedelta(days=d) for d in range(5)]
    clinic.receive(*(clinic.vitals(m, {150021: "120", 150022: "80"}) for m in moments))
    clinic.work()
    clinic.sign_in("doctor")
    day = (base + timedelta(days=2)).date()
    low, high = dates.parse(day.isoformat())

    def plain(t: datetime) -> bool:
        inside, after, before = low <= t < high, t >= high, t < low
        return {
            "eq": inside,
            "ne": not inside,
            "gt": after,
            "lt": before,
            "ge": inside or after,
            "le": inside or before,
            "sa": after,
            "eb": before,
        }[prefix or "eq"]

    bundle = _get(clinic, f"/fhir/Observation?date={prefix}{day}&_sort=date")
    found = [dates.parse(e["resource"]["effectiveDateTime"])[0] for e in bundle.get("entry", [])]
    assert found == [m for m in moments if plain(m)]


def test_pages_hold_everything_once_and_their_links_nothing(clinic: Clinic) -> None:
    rng = random.Random(7)  # noqa: S311 - only spreads times
    start = clinic.time.now - timedelta(days=30)
    moments = [start + timedelta(hours=rng.randrange(40)) for _ in range(23)]
    clinic.receive(*(clinic.vitals(m, {150021: str(100 + i), 150022: "80"}) for i, m in enumerate(moments)))
    clinic.work()
    clinic.sign_in("doctor")
    for sort in ("date", "-date", "-date,_lastUpdated", "_lastUpdated", "_id", "-_id"):
        wanted = _ids(_get(clinic, f"/fhir/Observation?_count=200&_sort={sort}"))
        path = f"/fhir/Observation?patient={clinic.patients[0]}&_count=5&_sort={sort}&_total=accurate"
        seen: list[str] = []
        while path:
            bundle = _get(clinic, path)
            seen += _ids(bundle)
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            following = links.get("next", "")
            assert clinic.patients[0] not in following
            path = following.removeprefix("http://testserver")
            assert "total" not in bundle or bundle["total"] == 23
        assert seen == wanted
        assert len(set(seen)) == 23


def test_page_token_is_of_no_use_to_another(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    bundle = _get(clinic, "/fhir/Patient?_count=1")
    link = urlsplit(str(bundle["link"][1]["url"]))
    assert clinic.browser.get(f"/fhir/Observation?{link.query}").status_code == 400
    clinic.sign_out()
    clinic.sign_in("anna")
    assert clinic.browser.get(f"{link.path}?{link.query}").status_code == 400


def test_count_zero_only_counts(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    bundle = _get(clinic, "/fhir/Patient?_count=0&_total=accurate")
    assert (bundle["total"], "entry" in bundle) == (3, False)


def test_order_is_created_with_its_command(clinic: Clinic) -> None:
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post("/fhir/ServiceRequest", json=_order(clinic, priority="urgent"), headers=headers)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"http://testserver/fhir/ServiceRequest/{made['id']}/_history/1"
    assert UUID(made["id"]).version == 7
    assert made["requester"]["display"] == "DEMO Doctor"
    assert made["authoredOn"] == dates.render(clinic.time())
    assert _ids(_get(clinic, "/fhir/ServiceRequest?status=active&priority=urgent")) == [made["id"]]
    with clinic.owner() as connection:
        row = connection.execute("SELECT order_id, expires_at FROM cloud.gateway_command").fetchone()
    assert row == (UUID(made["id"]), clinic.time() + timedelta(minutes=10))


def test_program_can_order(clinic: Clinic) -> None:
    headers = {"authorization": f"Bearer {clinic.program_token()}"}
    assert clinic.browser.post("/fhir/ServiceRequest", json=_order(clinic), headers=headers).status_code == 201
    narrow = {"authorization": f"Bearer {clinic.program_token('system/*.rs')}"}
    assert clinic.browser.post("/fhir/ServiceRequest", json=_order(clinic), headers=narrow).status_code == 403


NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("changes", "elements"),
    [
        ({"status": "draft"}, ["ServiceRequest.status"]),
        ({"intent": "plan", "status": None}, ["ServiceRequest.status", "ServiceRequest.intent"]),
        ({"code": {"text": "take an ECG"}}, ["ServiceRequest.code"]),
        ({"subject": None, "performer": None}, ["ServiceRequest.subject", "ServiceRequest.performer"]),
        ({"subject": {"reference": f"Patient/{NOBODY}"}}, ["ServiceRequest.subject"]),
        ({"subject": {"reference": "Group/1"}}, ["ServiceRequest.subject.reference"]),
        ({"performer": [{"reference": f"Device/{NOBODY}"}]}, ["ServiceRequest.performer[0]"]),
        ({"performer": {"reference": "x"}}, ["ServiceRequest.performer"]),
        ({"priority": "yesterday"}, ["ServiceRequest.priority"]),
        ({"requester": {"reference": f"Practitioner/{NOBODY}"}}, ["ServiceRequest.requester"]),
        ({"banana": 1, "note": "x"}, ["ServiceRequest.banana", "ServiceRequest.note"]),
        ({"modifierExtension": [{"url": "x", "valueCode": "y"}]}, ["ServiceRequest.modifierExtension"]),
        ({"doNotPerform": True}, ["ServiceRequest.doNotPerform"]),
    ],
)
def test_order_that_is_wrong_is_refused_element_by_element(
    clinic: Clinic, changes: dict[str, Any], elements: list[str]
) -> None:
    headers = clinic.sign_in("doctor")
    answer = clinic.browser.post("/fhir/ServiceRequest", json=_order(clinic, **changes), headers=headers)
    assert answer.status_code == 422
    assert [i["expression"][0] for i in answer.json()["issue"]] == elements
    with clinic.owner() as connection:
        assert connection.execute("SELECT count(*) FROM fhir.servicerequest").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM cloud.gateway_command").fetchone() == (0,)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"resourceType":"Patient"}', b"[" * 5000])
def test_body_that_is_no_order_is_refused(clinic: Clinic, body: bytes) -> None:
    headers = clinic.sign_in("doctor") | {"content-type": "application/fhir+json"}
    answer = clinic.browser.post("/fhir/ServiceRequest", content=body, headers=headers)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


def _validate(clinic: Clinic, kind: str, body: Any) -> tuple[int, list[tuple[str, str]]]:
    answer = clinic.browser.post(f"/fhir/{kind}/$validate", json=body, headers=clinic.sign_in("doctor"))
    assert answer.json()["resourceType"] == "OperationOutcome"
    issues = answer.json()["issue"]
    return answer.status_code, [(i["severity"], (i.get("expression") or [""])[0]) for i in issues]


def test_any_resource_can_be_validated_and_nothing_is_kept(clinic: Clinic) -> None:
    task: dict[str, Any] = {"resourceType": "Task", "status": "requested", "intent": "order"}
    assert _validate(clinic, "Task", task) == (200, [("information", "")])
    assert _validate(clinic, "Task", task | {"status": "x"}) == (200, [("error", "Task.status")])
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": task | {"intent": "x"}}]}
    assert _validate(clinic, "Task", parameters) == (200, [("error", "Task.intent")])
    unlinked = {"resourceType": "Patient", "contact": [{"gender": "male"}]}
    assert _validate(clinic, "Patient", unlinked) == (200, [("error", "Patient.contact[0]")])
    assert _validate(clinic, "Patient", task)[0] == 400
    assert _validate(clinic, "Banana", task)[0] == 404
    profile = {"name": "profile", "valueUri": "http://example.org/p"}
    asked = {"resourceType": "Parameters", "parameter": [*parameters["parameter"], profile]}
    assert _validate(clinic, "Task", asked)[0] == 400
    assert clinic.browser.post("/fhir/Task/$validate", content=b"[" * 4000).status_code in (400, 401, 403)


def test_versions_stay_readable(clinic: Clinic) -> None:
    patient = UUID(clinic.patients[2])
    with clinic.owner() as connection:
        before = store.read(connection, "Patient", patient)
        changed = before.content() | {"active": False}
        number = store.update(connection, changed, patient=patient, now=clinic.time())
        assert store.update(connection, changed, patient=patient, now=clinic.time()) == number  # nothing changed
    clinic.sign_in("doctor")
    path = f"/fhir/Patient/{patient}"
    assert _get(clinic, path)["active"] is False
    assert _get(clinic, f"{path}/_history/{before.version}") == json.loads(before.json)
    history = _get(clinic, f"{path}/_history")
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]][:2] == [str(number), str(before.version)]
    assert clinic.browser.get(f"{path}/_history/99").status_code == 404
    assert _ids(_get(clinic, "/fhir/Patient?active=false")) == [str(patient)]
    with clinic.owner() as connection:
        store.update(connection, before.content(), patient=patient, now=clinic.time())


def test_samples_for_the_viewer(clinic: Clinic) -> None:
    message = clinic.recording()
    clinic.receive(message)
    clinic.work()
    clinic.sign_in("doctor")
    body = _get(clinic, f"/api/ecg/{message.env.id}/samples")
    assert (body["fs"], body["n"], body["status"], len(body["leads"])) == (500.0, 1000, "preliminary", 12)
    assert body["uv_per_bit"] == [2.5] * 12
    assert body["sha256"] == message.sha256.hex()
    assert body["interpretation"]["statements"][0]["code"] == "AFIB"
    looked = _get(clinic, f"/fhir/AuditEvent?entity=DiagnosticReport/{message.env.id}")
    assert [e["resource"]["agent"][0]["name"] for e in looked["entry"]] == ["DEMO Doctor"]


def test_search_values_never_become_sql(clinic: Clinic) -> None:
    nasty = "'; DROP TABLE fhir.patient; --"
    with clinic.owner() as connection:
        for name, parameter in kind("Patient").search.items():
            if parameter.kind in ("date", "reference"):
                with pytest.raises(FhirError, match=f"^{name}="):
                    search.understand("Patient", [(name, nasty)], "http://testserver/fhir")
                continue
            query = search.understand("Patient", [(name, nasty)], "http://testserver/fhir")
            assert search.run(connection, query, EVERYTHING)[0] == []
