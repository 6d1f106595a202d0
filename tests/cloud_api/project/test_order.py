"""What becomes of an order: published while it holds, believed from its own gateway only, and ended in every case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import commands, db
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CARDIOGRAPH, CLINIC, HOME, Clinic


class _Broker:
    def __init__(self) -> None:
        self.said: list[tuple[str, wire.DownMessage]] = []
        self.lives: list[int] = []
        self.connected = False

    def publish(self, topic: str, payload: bytes, life_s: int) -> bool:
        if self.connected:
            self.said.append((topic, wire.decode_down(payload)))
            self.lives.append(life_s)
        return self.connected


def _publish(clinic: Clinic, broker: _Broker) -> int:
    with db.connect(clinic.url, db.WORKER) as connection:
        return commands.publish_due(connection, broker, clinic.time())


def _lapse(clinic: Clinic) -> list[UUID]:
    with db.connect(clinic.url, db.WORKER) as connection:
        return commands.lapse(connection, clinic.time())


def _say(clinic: Clinic, order: UUID, state: wire.OrderStateName, gateway: str = CLINIC) -> dict[str, Any]:
    clinic.receive(wire.OrderState(env=clinic.envelope(gateway), order=order, state=state, detail=None))
    clinic.work()
    return clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()


def _command(clinic: Clinic) -> tuple[Any, ...]:
    with clinic.owner() as connection:
        row = connection.execute("SELECT state, acknowledged_at IS NOT NULL FROM cloud.gateway_command").fetchone()
    assert row is not None
    return row


def _age(clinic: Clinic, seconds: float) -> None:
    """Let the order have ended so many seconds ago."""
    with clinic.owner() as connection:
        connection.execute(
            "UPDATE cloud.gateway_command SET expires_at = now() - make_interval(secs => %s)", (seconds,)
        )


def test_command_is_published_until_acknowledged(clinic: Clinic) -> None:
    order, broker = clinic.order(), _Broker()
    assert _publish(clinic, broker) == 0  # not connected: it stays due
    broker.connected = True
    assert _publish(clinic, broker) == 1
    assert _publish(clinic, broker) == 0  # not yet again
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_command SET sent_at = sent_at - interval '1 minute'")
    clinic.time.move(seconds=10)
    assert _publish(clinic, broker) == 1
    (topic, first), (_, second) = broker.said
    assert topic == wire.down_topic(CLINIC, "order")
    assert isinstance(first, wire.OrderCommand)
    assert isinstance(second, wire.OrderCommand)
    assert (first.order, first.device, first.subject.sex) == (order, CARDIOGRAPH, "male")
    assert first.subject.age is not None
    # An unsynced gateway counts from `sent_us`, and no broker may keep the command longer than the order holds.
    assert second.sent_us - first.sent_us == 10_000_000
    whole = int(clinic.settings.order_life.total_seconds())
    assert broker.lives == [whole, whole - 10]
    _say(clinic, order, "armed")
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_command SET sent_at = sent_at - interval '1 minute'")
    assert _publish(clinic, broker) == 0


def test_command_holds_no_name_and_no_patient_id(clinic: Clinic) -> None:
    clinic.order()
    with clinic.owner() as connection:
        row = connection.execute("SELECT payload FROM cloud.gateway_command").fetchone()
    assert row is not None
    for word in (b"Boris", b"Demo-Bravo", b"DEMO", clinic.patients[1].encode(), UUID(clinic.patients[1]).bytes):
        assert word not in row[0]


def test_states_of_an_order_show_and_never_go_back(clinic: Clinic) -> None:
    order = clinic.order()
    assert _say(clinic, order, "recording")["extension"][0]["valueCode"] == "recording"
    assert _say(clinic, order, "armed")["extension"][0]["valueCode"] == "recording"
    lapsed = _say(clinic, order, "lapsed")
    assert (lapsed["status"], lapsed["note"][0]["text"]) == ("revoked", "lapsed")
    assert _command(clinic) == ("lapsed", True)
    assert _say(clinic, order, "armed")["status"] == "revoked"
    assert _command(clinic) == ("lapsed", True)


def test_another_gateways_word_about_an_order_is_ignored(clinic: Clinic) -> None:
    order = clinic.order()
    before = clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()
    for state in ("armed", "lapsed", "refused"):
        assert _say(clinic, order, state, HOME) == before
    assert _command(clinic) == ("waiting", False)


def test_order_that_no_gateway_answers_lapses(clinic: Clinic) -> None:
    order = clinic.order()
    assert _lapse(clinic) == []
    _age(clinic, 1)
    assert _lapse(clinic) == [order]
    assert _lapse(clinic) == []
    shown = clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()
    assert (shown["status"], shown["note"][0]["text"]) == ("revoked", "lapsed: no gateway answered")


@pytest.mark.parametrize("state", ["armed", "recording"])
def test_armed_order_whose_gateway_goes_silent_lapses(clinic: Clinic, state: wire.OrderStateName) -> None:
    order = clinic.order()
    _say(clinic, order, state)
    _age(clinic, 100)
    assert _lapse(clinic) == []  # what it took in time may still be on its way
    _age(clinic, 131)
    assert _lapse(clinic) == [order]
    shown = clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()
    assert (shown["status"], shown["note"][0]["text"]) == ("revoked", "lapsed: the gateway did not report")


def test_nothing_lapses_while_its_gateways_word_waits_to_be_projected(clinic: Clinic) -> None:
    order = clinic.order()
    clinic.receive(wire.OrderState(env=clinic.envelope(CLINIC), order=order, state="armed"))
    _age(clinic, 131)
    assert _lapse(clinic) == []
    clinic.work()
    assert _lapse(clinic) == [order]


def test_order_and_command_lapse_together_or_not_at_all(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    order = clinic.order()
    _age(clinic, 1)

    def fail(*_: object) -> None:
        raise ConnectionError("the worker was killed")

    with monkeypatch.context() as patch:
        patch.setattr(commands, "show", fail)
        with pytest.raises(ConnectionError):
            _lapse(clinic)
    assert _command(clinic) == ("waiting", False)
    assert _lapse(clinic) == [order]


def test_order_whose_recording_is_here_never_lapses(clinic: Clinic) -> None:
    order = clinic.order()
    _say(clinic, order, "armed")
    clinic.receive(clinic.recording(order))
    clinic.work()
    _age(clinic, 1000)
    assert _lapse(clinic) == []
    assert clinic.browser.get(f"/fhir/ServiceRequest/{order}").json()["status"] == "completed"
