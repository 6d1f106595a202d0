"""The fleet's pages: problems first, a technician's acts step by step, and nobody's name but where it must be shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.canary import Leg
from feldsher_cloud_api.fleet import acts, gateways, life, listing, problems
from feldsher_cloud_api.web.catalogue import LANGUAGES, catalogue

HOME, CUFF = "gw-home", "AA:BB:CC:00:11:22"


@pytest.fixture
def technician(clinic: Any, visitor: Any) -> Any:
    """A signed-in technician."""
    clinic.send(clinic.home.birth())
    return visitor.sign_in("technician")


def device(clinic: Any, kind: str = "cuff", **more: Any) -> UUID:
    address = f"AA:BB:CC:{uuid4().hex[:2]}:{uuid4().hex[:2]}:{uuid4().hex[:2]}".upper()
    with db.connect(clinic.url) as connection:
        now = clinic.settings("http://testserver").clock()
        return life.register(connection, gateway=HOME, address=address, kind=kind, now=now, **more)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_its_words(language: str) -> None:
    words = catalogue(language).sentences
    wanted = {f"fleet.codes.{c}" for c in problems.CODES}
    for of, codes in (("gateway", problems.GATEWAY_CODES), ("device", problems.DEVICE_CODES)):
        wanted |= {f"fleet.{group}.{of}.{c}" for group in ("problem", "todo") for c in codes}
    wanted |= {f"fleet.problem.line.{c}" for c in problems.LINE_CODES} | {f"fleet.legs.{leg}" for leg in get_args(Leg)}
    wanted |= {f"fleet.states.{s}" for s in (*gateways.STATES, "present", "absent", "busy", "fault")}
    wanted |= {f"fleet.lives.{w}" for w in (*listing.LIVES, "assigned")} | {f"fleet.kinds.{k}" for k in life.KINDS}
    wanted |= {f"fleet.done.{a}" for a in acts.ACTS}
    codes = set[str]()
    for module in (acts, life):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        codes |= set(re.findall(r'LifeError\(\s*"(\w+)"', source))
    wanted |= {f"fleet.refused.{c}" for c in codes | {"whole", "later", "nobody", "to_clean", "retired", "user"}}
    assert wanted - words.keys() == set()


def test_the_overview_shows_problems_first_and_counts(clinic: Any, technician: Any) -> None:
    device(clinic, label="BP-100")
    page = technician.get("/fleet")
    assert page.index("Needs a technician") < page.index("Add a gateway")
    assert "no check entered" in page
    assert re.search(r"<b>\d+</b> online", page)
    assert "Demo-Alpha" not in page
    listed = technician.get("/fleet/problems?code=calibration_missing")
    assert "BP-100" in listed
    assert re.search(r"\d+ of \d+", listed)


def test_a_device_is_handed_over_step_by_step(clinic: Any, technician: Any) -> None:
    one = device(clinic, label="BP-101")
    path = f"/fleet/device/{one}"
    assert "Demo-" not in technician.get(path)
    assert "Nobody has this number" in technician.post(f"{path}/wearer", status=422, number="DEMO-NOBODY")
    shown = technician.post(f"{path}/wearer", number="DEMO-BORIS")
    assert "Boris Demo-Bravo" in shown
    assert "born 1949" in shown
    assert "The device is handed over" in technician.post(f"{path}/assign", number="DEMO-BORIS", user="")
    page = technician.get(path)
    assert "assigned to 1 person" in page
    assert "Demo-Bravo" not in page
    assert "It came back" in technician.post(f"{path}/return")
    page = technician.get(path)
    assert "to be cleaned" in page
    assert "DEMO Technician" in page
    assert "It may be handed out" in technician.post(f"{path}/clean")


def test_a_shared_cuff_and_its_replacement(clinic: Any, technician: Any) -> None:
    one, other = device(clinic, label="BP-102"), device(clinic, label="BP-103")
    path = f"/fleet/device/{one}"
    technician.get(path)
    technician.post(f"{path}/assign", number="DEMO-BORIS")
    refused = technician.post(f"{path}/assign", status=422, number="DEMO-CLARA", user="2")
    assert "Share it first" in refused
    technician.post(f"{path}/share", user="1")
    technician.post(f"{path}/assign", number="DEMO-CLARA", user="2")
    assert "assigned to 2 people" in technician.get(path)
    page = technician.post(f"{path}/replace", by=str(other))
    assert "took its place" in page
    assert "assigned to 2 people" in technician.get(f"/fleet/device/{other}")


def test_a_check_is_entered_and_shown(clinic: Any, technician: Any) -> None:
    path = f"/fleet/device/{device(clinic, label='BP-104')}"
    assert "without a number: 24 months".lower() in technician.get(path).lower()
    given = {"done_on": "2026-11-01", "done_by": "Metrology lab", "certificate": "K-42"}
    assert "The check is entered" in technician.post(f"{path}/calibrate", **given)
    page = technician.get(path)
    assert "1 Nov 2028" in page
    assert "K-42" in page


def test_a_gateways_page_says_how_it_is(clinic: Any, technician: Any) -> None:
    page = technician.get(f"/fleet/gateway/{HOME}")
    for word in ("Last heard", "Clock", "Certificate until", "Configuration", "Nothing was dropped", CUFF):
        assert word in page
    technician.get("/fleet/gateway/nobody", status=404)


def test_a_gateway_is_replaced_and_its_claim_is_shown_once(clinic: Any, technician: Any) -> None:
    clinic.execute(
        "INSERT INTO cloud.gateway (id, name, certificate_serial, claimed_at) VALUES ('gw-old', 'x', '1', now())"
    )
    path = "/fleet/gateway/gw-old"
    technician.get(path)
    assert "There is a gateway of that name" in technician.post(f"{path}/replace", status=422, name=HOME)
    assert "cannot name a gateway" in technician.post(f"{path}/replace", status=422, name="Not a name")
    page = technician.post(f"{path}/replace", name="gw-next")
    assert re.search(r"feldsher-edge claim (feldsher1\.[\w-]+)", page)
    assert "coming back" in page
    assert "forget everything" in page
    assert "feldsher1." not in technician.get(path)
    assert "already, or retired" in technician.post(f"{path}/return", status=422, reason="x")


def test_lists_are_filtered_by_forms(clinic: Any, technician: Any) -> None:
    device(clinic, kind="scale", label="W-105")
    technician.get("/fleet/devices")
    page = technician.post("/fleet/devices", name="w-105", kind="scale")
    assert "W-105" in page
    assert CUFF not in page
    assert HOME in technician.post("/fleet/gateways", name="home", state="")
    assert "gw-clinic" not in technician.post("/fleet/gateways", name="home")


def test_a_device_is_registered_by_hand(clinic: Any, technician: Any) -> None:
    technician.get("/fleet/devices")
    given = {"address": "AA:BB:CC:99:99:99", "kind": "scale", "label": "W-106"}
    assert "There is no such gateway" in technician.post("/fleet/devices/new", status=422, gateway="nobody", **given)
    assert "W-106" in technician.post("/fleet/devices/new", gateway=HOME, **given)


def test_a_manager_sees_and_changes_nothing(clinic: Any, visitor: Any) -> None:
    one = device(clinic, label="BP-107")
    manager = visitor.sign_in("manager")
    for path in ("/fleet", "/fleet/problems", "/fleet/gateways", f"/fleet/gateway/{HOME}", "/fleet/devices"):
        page = manager.get(path)
        assert "Add a gateway" not in page
        assert "Register" not in page
    page = manager.get(f"/fleet/device/{one}")
    assert "<form" not in page[page.index("<main") :]
    for act in (*acts.ACTS, "wearer"):
        manager.post(f"/fleet/device/{one}/{act}", status=403, number="DEMO-ANNA")
    manager.post("/fleet/gateways/new", status=403, name="gw-x")
    manager.post("/fleet/devices/new", status=403, gateway=HOME, address="x", kind="cuff")
    for path in ("/worklist", "/patients", "/me", f"/patient/{clinic.patient}"):
        manager.get(path, status=403)


def test_a_form_without_its_token_changes_nothing(clinic: Any, technician: Any) -> None:
    one = device(clinic)
    technician.post(f"/fleet/device/{one}/retire", status=403, csrf="wrong")
