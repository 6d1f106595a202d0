"""Gateways that come back or are replaced: told to forget everything, their devices expected at the new one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import access
from feldsher_cloud_api.assignment import assign
from feldsher_cloud_api.fleet import devices, gateway_life, gateways, limits, trail
from feldsher_cloud_api.fleet.life import LifeError
from feldsher_cloud_api.manage import tasks
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, CUFF, HOME


@pytest.fixture
def claimed(fleet: Any) -> Any:
    """The fleet, both gateways claimed and heard."""
    with fleet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET certificate_serial = '1'")
    for name in (HOME, CLINIC):
        fleet.beat(name)
    return fleet


def back(fleet: Any, gateway: str, reason: str = "it moves") -> None:
    who, clinic = trail.administrator(), fleet.clinic
    with clinic.owner() as connection, connection.transaction():
        gateway_life.take_back(connection, clinic.settings, who, gateway, reason=reason, now=clinic.time.now)


def state(fleet: Any, gateway: str) -> gateways.Gateway:
    with fleet.clinic.owner() as connection:
        return gateways.one(connection, gateway, limits.load(), fleet.clinic.time.now)


def test_a_gateway_that_comes_back_is_told_to_forget(claimed: Any) -> None:
    back(claimed, HOME)
    assert state(claimed, HOME).state == "returning"
    with claimed.clinic.owner() as connection:
        (task,) = tasks.of_gateway(connection, HOME)
        payload = connection.execute("SELECT payload FROM cloud.gateway_task").fetchone()
    assert (task.kind, task.reason, task.state) == ("wipe", "it moves", "waiting")
    assert payload is not None
    message = wire.decode_down(bytes(payload[0]))
    assert isinstance(message, wire.Wipe)
    assert not message.force  # what waits is sent first
    with pytest.raises(LifeError, match="on its way back"):
        back(claimed, HOME)


def test_what_cannot_be_told_says_why(claimed: Any) -> None:
    with pytest.raises(LifeError, match="a reason is needed"):
        back(claimed, HOME, " ")
    with claimed.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET certificate_serial = NULL WHERE id = %s", (HOME,))
    with pytest.raises(LifeError, match="nobody has claimed it"):
        back(claimed, HOME)
    assert state(claimed, HOME).state == "online"


def replaced(fleet: Any, old: str, new: str) -> str:
    with fleet.clinic.owner() as connection, connection.transaction():
        claim = gateway_life.replace(
            connection, fleet.clinic.settings, trail.administrator(), old, new, fleet.clinic.time.now
        )
    return claim.gateway


def test_another_gateway_takes_its_place_with_its_devices(claimed: Any) -> None:
    clinic = claimed.clinic
    with clinic.owner() as connection:
        assign(connection, UUID(clinic.made["cardiograph"]), UUID(clinic.patients[1]), clinic.time.now)
    clinic.time.move(minutes=5)
    assert replaced(claimed, CLINIC, "gw-second") == "gw-second"
    assert replaced(claimed, HOME, "gw-third") == "gw-third"
    assert [state(claimed, g).state for g in (CLINIC, HOME, "gw-second")] == ["returning", "returning", "unclaimed"]
    assert state(claimed, CLINIC).replaced_by == "gw-second"
    with clinic.owner() as connection:
        (cuff,), _ = devices.page(connection, devices.Wanted(gateway="gw-third"), clinic.time.now)
        (heart,), _ = devices.page(connection, devices.Wanted(gateway="gw-second"), clinic.time.now)
        old = devices.one(connection, UUID(clinic.made["cardiograph"]), clinic.time.now)
    assert (cuff.address, cuff.id) == (CUFF, UUID(clinic.made["cuff"]))  # its address is its own: the same device
    assert (heart.address, heart.assigned, old.assigned) == ("gw-second/cardiograph", 1, 0)
    assert (old.replaced_by, old.life) == (heart.id, "to_clean")


def test_a_broken_gateway_is_replaced_without_being_told(claimed: Any) -> None:
    with claimed.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET revoked_at = now() WHERE id = %s", (HOME,))
    replaced(claimed, HOME, "gw-fourth")
    with claimed.clinic.owner() as connection:
        assert tasks.of_gateway(connection, HOME) == []
    with pytest.raises(LifeError, match="there is such a gateway"):
        replaced(claimed, CLINIC, HOME)


def test_only_what_cannot_enter_any_more_is_retired(claimed: Any) -> None:
    who, now = trail.administrator(), claimed.clinic.time.now
    with claimed.clinic.owner() as connection:
        with pytest.raises(LifeError, match="revoke it first"):
            gateway_life.retire(connection, who, HOME, now)
        connection.execute("UPDATE cloud.gateway SET revoked_at = now() WHERE id = %s", (HOME,))
        gateway_life.retire(connection, who, HOME, now)
    assert state(claimed, HOME).state == "retired"


def test_a_technician_may_and_others_may_not(claimed: Any) -> None:
    clinic = claimed.clinic
    for name, status in (("manager", 403), ("doctor", 403), ("technician", 200)):
        headers = claimed.sign_in(name)
        path = f"/api/fleet/gateways/{HOME}/return"
        assert clinic.browser.post(path, json={"reason": "moves"}, headers=headers).status_code == status
    answer = clinic.browser.post(f"/api/fleet/gateways/{HOME}/return", json={"reason": "moves"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "returning")
    claimed.sign_in("technician")
    with access.asking(
        clinic.context.pool, access.Principal(UUID(int=1), "manager", "M", None, (), "web")
    ) as connection:
        assert tasks.of_gateway(connection, HOME) == []  # what gateways are asked is the technicians' alone
