"""The fleet for programs: filters, pages without silent cuts, what technicians may do, and what nobody else may."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api.fhir import store
from feldsher_tools.clinic import CUFF, HOME

ADDRESS = "AA:BB:CC:00:00:81"


def get(fleet: Any, path: str, status: int = 200) -> Any:
    answer = fleet.clinic.browser.get(f"/api/fleet/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


def post(fleet: Any, path: str, status: int = 200, **given: str) -> Any:
    fleet.clinic.time.move(seconds=1)
    answer = fleet.clinic.browser.post(f"/api/fleet/{path}", json=given, headers=fleet.signed)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def technician(fleet: Any) -> Any:
    """The fleet, a technician signed in."""

    class Signed:
        clinic, device, beat, vitals, status = fleet.clinic, fleet.device, fleet.beat, fleet.vitals, fleet.status
        sign_in = fleet.sign_in
        signed = fleet.sign_in("technician")

    return Signed()


def test_gateways_say_how_they_are(technician: Any) -> None:
    technician.beat(HOME, waiting=8)
    page = get(technician, "gateways")
    assert (page["total"], page["next"], [g["id"] for g in page["rows"]]) == (2, None, ["demo-clinic", HOME])
    home = page["rows"][1]
    assert (home["state"], home["clock"], home["outbox_rows"], home["sources"]) == (
        "online",
        "synced",
        7,
        {"cuff": 12.5},
    )
    assert (home["config_wanted"], home["config_reported"], home["devices"]) == (0, 0, 1)
    assert [p["code"] for p in page["problems"][HOME]] == ["queue"]
    assert [g["id"] for g in get(technician, "gateways?problem=queue")["rows"]] == [HOME]
    assert [g["id"] for g in get(technician, "gateways?state=never")["rows"]] == ["demo-clinic"]
    assert [g["id"] for g in get(technician, "gateways?name=HOME")["rows"]] == [HOME]
    assert get(technician, "gateways?state=nonsense", 400)["issue"][0]["diagnostics"].startswith("state:")
    assert get(technician, f"gateways/{HOME}")["gateway"]["id"] == HOME
    get(technician, "gateways/nobody", 404)


def test_devices_say_how_they_are_and_never_whose_they_are(technician: Any) -> None:
    technician.vitals(CUFF)
    technician.status(CUFF, battery=55, model="UA-651BLE", firmware="1.2")
    found = get(technician, f"devices/{technician.clinic.made['cuff']}")
    device = found["device"]
    assert (device["battery"], device["model"], device["firmware"], device["assigned"]) == (55, "UA-651BLE", "1.2", 1)
    assert device["measured_at"] is not None
    assert [p["code"] for p in found["problems"]] == ["calibration_missing"]
    (period,) = found["periods"]
    assert (period["until"], period["user"]) == (None, None)
    said = json.dumps([found, get(technician, "devices"), get(technician, "problems")])
    for word in (*technician.clinic.patients, "Demo-Alpha", "Anna"):
        assert word not in said


def test_pages_hold_everything_once_and_say_how_much_there_is(technician: Any) -> None:
    made = {str(technician.device(f"AA:BB:CC:00:02:{i:02}", kind="scale")) for i in range(7)}
    seen: list[str] = []
    path = "devices?kind=scale&count=3"
    while path:
        page = get(technician, path)
        assert page["total"] == 7
        seen += [d["id"] for d in page["rows"]]
        path = page["next"] and page["next"].removeprefix("/api/fleet/")
    assert (len(seen), set(seen)) == (7, made)
    problems: list[str] = []
    for one in made:
        post(technician, f"devices/{one}/return")
    path = "problems?count=2&code=to_clean"
    while path:
        page = get(technician, path)
        assert page["total"] == 7
        problems += [p["device"] for p in page["rows"]]
        path = page["next"] and page["next"].removeprefix("/api/fleet/")
    assert sorted(problems) == sorted(made)
    get(technician, "devices?after=nonsense", 400)


def test_filters_of_devices(technician: Any) -> None:
    one = str(technician.device(ADDRESS, kind="scale", label="W-12", model="UC-352"))
    for query in ("kind=scale", "name=w-12", "name=352", "assigned=no&kind=scale", "life=ready&kind=scale"):
        assert [d["id"] for d in get(technician, f"devices?{query}")["rows"]] == [one], query
    assert get(technician, "devices?assigned=yes")["total"] == 1
    assert get(technician, "devices?gateway=demo-clinic")["total"] == 1
    assert get(technician, "devices?problem=battery")["rows"] == []
    assert get(technician, "devices?count=0", 422)


def test_summary_counts(technician: Any) -> None:
    technician.beat(HOME)
    found = get(technician, "summary")
    assert found["gateways"] == {"never": 1, "online": 1}
    assert found["devices"] == {"assigned": 1, "ready": 1}
    assert found["problems"] == {"device.calibration_missing": 1, "device.silent": 1}
    assert get(technician, "limits")["battery_percent"] == 20


def test_a_device_lives_through_its_life(technician: Any) -> None:
    device = UUID(post(technician, "devices", 201, gateway=HOME, address=ADDRESS, kind="cuff", label="BP-1")["device"])
    other = technician.device("AA:BB:CC:00:00:82")
    path = f"devices/{device}"
    today = technician.clinic.time.now.date()
    post(technician, f"{path}/calibrate", done_on=str(today), done_by="Lab", certificate="K-7")
    post(technician, f"{path}/assign", number="DEMO-BORIS")
    assert post(technician, f"{path}/assign", 422, number="DEMO-BORIS")["code"] == "theirs"
    assert post(technician, f"{path}/assign", 422, number="DEMO-CLARA", user="2")["code"] == "whole"
    post(technician, f"{path}/share", user="1")
    post(technician, f"{path}/assign", number="DEMO-CLARA", user="2")
    technician.clinic.time.move(minutes=9)
    post(technician, f"{path}/replace", by=str(other))
    assert post(technician, f"{path}/assign", 422, number="DEMO-BORIS")["code"] == "to_clean"
    technician.clinic.time.move(minutes=9)
    post(technician, f"devices/{other}/end", user="2")
    post(technician, f"{path}/clean")
    post(technician, f"{path}/retire")
    found = get(technician, path)
    assert found["device"]["life"] == "retired"
    assert found["device"]["replaced_by"] == str(other)
    assert found["device"]["calibration_due"] == str(today.replace(year=today.year + 2))
    assert [a["what"] for a in reversed(found["actions"])] == [
        "registered", "calibrated", "assigned", "shared", "assigned", "replaced", "cleaned", "retired",
    ]  # fmt: skip
    assert {a["by"] for a in found["actions"]} == {"DEMO Technician"}
    assert sorted(str(p["user"]) for p in found["periods"]) == ["1", "2", "None"]
    (left,) = [p for p in get(technician, f"devices/{other}")["periods"] if p["until"] is None]
    assert left["user"] == 1
    with technician.clinic.owner() as connection:
        assert store.read(connection, "Device", device).content()["status"] == "inactive"


def test_assigning_is_in_the_patients_audit_and_names_nobody_to_others(technician: Any) -> None:
    device = technician.device(ADDRESS)
    post(technician, f"devices/{device}/assign", number="DEMO-ANNA")
    technician.clinic.sign_out()
    technician.sign_in("anna")
    events = technician.clinic.browser.get("/fhir/AuditEvent").json()["entry"]
    codes = {e["resource"]["subtype"][0]["code"]: e["resource"]["agent"][0]["name"] for e in events}
    assert codes["device-assigned"] == "DEMO Technician"


@pytest.mark.parametrize(
    ("act", "given", "code"),
    [
        ("assign", {"number": "DEMO"}, "number"),
        ("assign", {"number": "urn:feldsher:demo|DEMO-ANNA"}, "number"),
        ("assign", {"number": "Demo-Alpha"}, "number"),
        ("assign", {"number": "DEMO-ANNA", "user": "x"}, "user"),
        ("assign", {"number": "DEMO-ANNA", "user": "255"}, "user"),
        ("assign", {"number": "DEMO-ANNA", "user": "1" * 5000}, "user"),
        ("calibrate", {"done_on": "yesterday"}, "date"),
        ("calibrate", {"done_on": "2999-01-01", "done_by": "L", "certificate": "1"}, "future"),
        ("calibrate", {"done_on": "2026-01-01", "done_by": "", "certificate": "1"}, "certificate"),
        ("calibrate", {"done_on": "2026-01-01", "months": "200", "done_by": "L", "certificate": "1"}, "months"),
        ("share", {"user": "1"}, "nobody"),
        ("share", {}, "user"),
        ("end", {}, "nothing"),
        ("replace", {"by": "x"}, "by"),
    ],
)
def test_what_cannot_be_done_says_why(technician: Any, act: str, given: dict[str, str], code: str) -> None:
    device = technician.device(ADDRESS)
    assert post(technician, f"devices/{device}/{act}", 422, **given)["code"] == code
    post(technician, f"devices/{uuid4()}/retire", 404)


def test_what_a_replacement_has_to_be(technician: Any) -> None:
    device, scale = technician.device(ADDRESS), technician.device("AA:BB:CC:00:00:83", kind="scale")
    taken, dirty = technician.clinic.made["cuff"], technician.device("AA:BB:CC:00:00:84")
    post(technician, f"devices/{dirty}/return")
    for by, code in ((scale, "kind"), (device, "kind"), (taken, "taken"), (dirty, "to_clean")):
        assert post(technician, f"devices/{device}/replace", 422, by=str(by))["code"] == code


@pytest.mark.parametrize(
    ("given", "code"),
    [({"gateway": "nobody", "address": "a", "kind": "cuff"}, "gateway"), ({"gateway": HOME, "address": ""}, "address"),
     ({"gateway": HOME, "address": "a", "kind": "toaster"}, "kind")],
)  # fmt: skip
def test_what_cannot_be_registered_says_why(technician: Any, given: dict[str, str], code: str) -> None:
    assert post(technician, "devices", 422, **given)["code"] == code


def test_card_numbers_cannot_be_guessed_through(technician: Any) -> None:
    device = technician.device(ADDRESS)
    path, browser = f"/api/fleet/devices/{device}/assign", technician.clinic.browser
    asked = [browser.post(path, json={"number": f"CARD-{i}"}, headers=technician.signed) for i in range(61)]
    codes = [answer.json()["code"] for answer in asked]
    assert codes == ["number"] * 60 + ["guesses"]


@pytest.mark.parametrize("name", ["doctor", "anna", None])
def test_other_roles_see_nothing_of_the_fleet(fleet: Any, name: str | None) -> None:
    fleet.clinic.sign_out()
    if name is not None:
        fleet.sign_in(name)
    refused = 403 if name else 401
    for path in ("summary", "limits", "gateways", f"gateways/{HOME}", "devices", f"devices/{uuid4()}", "problems"):
        get(fleet, path, refused)


def test_managers_see_states_and_change_nothing(fleet: Any) -> None:
    fleet.beat(HOME)
    headers = fleet.sign_in("manager")
    for path in ("summary", "limits", "gateways", f"gateways/{HOME}", "devices", "problems"):
        get(fleet, path)
    device = fleet.clinic.made["cuff"]
    for path in ("devices", *(f"devices/{device}/{a}" for a in ("assign", "return", "retire", "calibrate"))):
        answer = fleet.clinic.browser.post(f"/api/fleet/{path}", json={"number": "DEMO-ANNA"}, headers=headers)
        assert answer.status_code == 403


def test_programs_read_with_their_scope_and_change_nothing(fleet: Any) -> None:
    fleet.beat(HOME)
    for scope, status in (("system/*.rs", 200), ("system/ServiceRequest.c", 403)):
        token = fleet.clinic.program_token(scope)
        headers = {"authorization": f"Bearer {token}"}
        fleet.clinic.sign_out()
        assert fleet.clinic.browser.get("/api/fleet/gateways", headers=headers).status_code == status
        path = f"/api/fleet/devices/{fleet.clinic.made['cuff']}/retire"
        assert fleet.clinic.browser.post(path, json={}, headers=headers).status_code == 403


def test_changes_need_the_sessions_csrf_token(technician: Any) -> None:
    answer = technician.clinic.browser.post(f"/api/fleet/devices/{technician.device(ADDRESS)}/retire", json={})
    assert answer.status_code == 403


def test_readings_stay_whose_they_are_when_a_cuff_is_replaced(technician: Any) -> None:
    old, new = technician.device(ADDRESS), technician.device("AA:BB:CC:00:00:85")
    post(technician, f"devices/{old}/assign", number="DEMO-BORIS")
    technician.clinic.time.move(minutes=9)
    technician.vitals(ADDRESS)
    technician.clinic.time.move(minutes=9)
    post(technician, f"devices/{old}/replace", by=str(new))
    technician.clinic.time.move(minutes=9)
    technician.vitals("AA:BB:CC:00:00:85")
    technician.vitals(ADDRESS)  # somebody tries the old one
    with technician.clinic.owner() as connection:
        rows = connection.execute(
            "SELECT patient_id::text, count(*) FROM fhir.observation GROUP BY 1 ORDER BY 1 NULLS LAST"
        ).fetchall()
    assert rows == [(technician.clinic.patients[1], 2), (None, 1)]


def test_a_whole_day_of_a_leap_year_is_no_trouble(technician: Any) -> None:
    device = technician.device(ADDRESS)
    technician.clinic.time.now = technician.clinic.time.now.replace(year=2028, month=3, day=1)
    technician.signed = technician.sign_in("technician")
    post(technician, f"devices/{device}/calibrate", done_on="2028-02-29", done_by="Lab", certificate="1", months="12")
    assert get(technician, f"devices/{device}")["device"]["calibration_due"] == "2029-02-28"
