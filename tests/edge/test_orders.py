"""Orders: armed, lapsed, replaced, cancelled, repeated, refused; by a clock that is told to go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.orders import Orders
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject


class Desk:
    """An outbox with orders on a virtual clock, and what the cloud was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = VirtualClock()
        self.rng = Random(1)  # noqa: S311 - repeatable on purpose
        self.open()

    def open(self) -> None:
        envelopes = Envelopes("gw-1", self.clock, self.rng.randbytes)
        self.outbox = Outbox(Store(self.folder / "o"), envelopes)
        self.orders = Orders(self.outbox, ["kit-1", "kit-2"], 600.0)

    def restart(self) -> None:
        self.outbox.close()
        self.open()

    def command(self, number: int, device: str = "kit-1", *, lapses_s: float = 3600, **fields: object) -> UUID:
        values: dict[str, object] = {
            "id": UUID(int=self.rng.getrandbits(120)),
            "sent_us": self.clock.wall_us(),
            "order": UUID(int=number),
            "device": device,
            "seconds": 10.0,
            "lapses_us": self.clock.wall_us() + int(lapses_s * 1e6),
            "subject": Subject(age=70, sex="male"),
        }
        self.orders.command(wire.OrderCommand(**(values | fields)))  # type: ignore[arg-type]
        return UUID(int=number)

    def told(self) -> list[tuple[int, str, str | None]]:
        rows = self.outbox.store.rows("SELECT body FROM message WHERE kind = 'order' ORDER BY seq")
        messages = [wire.decode_up(row[0]) for row in rows]
        return [(m.order.int, m.state, m.detail) for m in messages if isinstance(m, wire.OrderState)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.outbox.close()


def test_an_order_is_armed_recorded_and_taken(desk: Desk) -> None:
    order = desk.command(1)
    found = desk.orders.next("kit-1")
    assert found is not None
    assert (found.id, found.seconds, found.subject) == (order, 10.0, Subject(age=70, sex="male"))
    assert desk.orders.next("kit-2") is None
    desk.orders.started(order)
    assert desk.orders.next("kit-1") is None
    desk.orders.taken(order)
    assert [state for _, state, _ in desk.told()] == ["armed", "recording", "taken"]
    assert desk.orders.open() == []


@pytest.mark.parametrize("after", ["armed", "recording", "taken", "lapsed"])
def test_repeats_of_a_command_change_nothing(desk: Desk, after: str) -> None:
    order = desk.command(1)
    if after in ("recording", "taken"):
        desk.orders.started(order)
    if after == "taken":
        desk.orders.taken(order)
    if after == "lapsed":
        desk.clock.advance(601)
        desk.orders.lapse_due()
    before = desk.told()
    desk.command(1)
    assert desk.told() == before
    assert (desk.orders.next("kit-1") is not None) == (after == "armed")


def test_an_order_lapses_after_ten_minutes(desk: Desk) -> None:
    desk.command(1)
    desk.clock.advance(599)
    assert desk.orders.next("kit-1") is not None
    desk.clock.advance(2)
    assert desk.orders.next("kit-1") is None
    assert desk.told()[-1] == (1, "lapsed", None)


def test_an_order_lapses_earlier_where_it_says_so(desk: Desk) -> None:
    desk.command(1, lapses_s=30)
    desk.clock.advance(31)
    assert desk.orders.next("kit-1") is None


def test_an_order_that_arrives_too_late_is_lapsed_at_once(desk: Desk) -> None:
    desk.command(1, lapses_s=-1)
    assert desk.orders.next("kit-1") is None
    assert desk.told() == [(1, "lapsed", None)]


def test_a_gateway_whose_clock_is_wrong_still_arms(desk: Desk) -> None:
    cloud_us = desk.clock.wall_us()
    desk.clock.set_wall(cloud_us + 5 * 31_536_000_000_000)
    desk.clock.trust = "unsynced"
    desk.command(1, sent_us=cloud_us, lapses_us=cloud_us + 60_000_000)
    assert desk.orders.next("kit-1") is not None
    desk.clock.advance(61)
    assert desk.orders.next("kit-1") is None


def test_a_jump_of_the_wall_clock_lapses_nothing(desk: Desk) -> None:
    desk.command(1)
    desk.clock.set_wall(desk.clock.wall_us() + 31_536_000_000_000)
    assert desk.orders.next("kit-1") is not None


def test_another_order_for_the_device_replaces_an_armed_one(desk: Desk) -> None:
    desk.command(1)
    desk.command(3, "kit-2")
    desk.command(2)
    found = desk.orders.next("kit-1")
    assert found is not None
    assert found.id == UUID(int=2)
    assert desk.told() == [(1, "armed", None), (3, "armed", None), (1, "replaced", None), (2, "armed", None)]


def test_an_order_that_is_being_recorded_is_not_replaced(desk: Desk) -> None:
    first = desk.command(1)
    desk.orders.started(first)
    desk.command(2)
    desk.orders.taken(first)
    assert [t for t in desk.told() if t[0] == 1][-1] == (1, "taken", None)
    found = desk.orders.next("kit-1")
    assert found is not None
    assert found.id == UUID(int=2)


def test_a_cancelled_order_is_given_up(desk: Desk) -> None:
    desk.command(1)
    desk.command(1, action="cancel")
    assert desk.orders.next("kit-1") is None
    assert desk.told()[-1] == (1, "lapsed", "cancelled")


def test_a_cancellation_that_overtakes_its_order_holds(desk: Desk) -> None:
    desk.command(1, action="cancel")
    desk.command(1)
    assert desk.orders.next("kit-1") is None
    assert desk.told() == [(1, "lapsed", "cancelled")]


def test_a_recording_under_way_is_not_cancelled(desk: Desk) -> None:
    order = desk.command(1)
    desk.orders.started(order)
    desk.command(1, action="cancel")
    desk.orders.taken(order)
    assert desk.told()[-1] == (1, "taken", None)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"device": "kit-9"}, "no cardiograph 'kit-9' on this gateway"),
        ({"seconds": 61.0}, "seconds: 61 is not 1 to 60"),
        ({"seconds": float("nan")}, "seconds: nan is not 1 to 60"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(desk: Desk, fields: dict[str, object], why: str) -> None:
    desk.command(1, **fields)  # type: ignore[arg-type]
    assert desk.told() == [(1, "refused", why)]
    assert desk.orders.open() == []


def test_a_device_that_could_not_start_leaves_the_order_armed_with_the_reason(desk: Desk) -> None:
    order = desk.command(1)
    desk.orders.started(order)
    desk.orders.rearm(order, "no such port")
    assert desk.orders.next("kit-1") is not None
    desk.clock.advance(601)
    desk.orders.lapse_due()
    assert desk.told()[-1] == (1, "lapsed", "no such port")


def test_orders_survive_a_restart(desk: Desk) -> None:
    desk.command(1)
    second = desk.command(2, "kit-2")
    desk.orders.started(second)
    desk.restart()
    desk.orders.recover([])
    assert desk.orders.next("kit-1") is not None
    assert desk.orders.next("kit-2") is not None  # its recording was lost with the process: it is taken again


def test_a_saved_recording_is_not_taken_a_second_time(desk: Desk) -> None:
    order = desk.command(1)
    desk.orders.started(order)
    desk.restart()
    desk.orders.recover([order])
    assert desk.orders.next("kit-1") is None


def test_an_order_lapses_by_wall_time_after_a_reboot(desk: Desk) -> None:
    desk.command(1)
    desk.clock.reboot()
    desk.restart()
    assert desk.orders.next("kit-1") is not None
    desk.clock.advance(601)
    assert desk.orders.next("kit-1") is None


def test_listeners_hear_of_orders(desk: Desk) -> None:
    heard: list[int] = []
    desk.orders.on_armed(lambda: heard.append(1))
    desk.command(1)
    assert heard == [1]
