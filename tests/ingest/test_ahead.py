"""One batch ahead: in order, never more than one, and everything handed over before the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest import ahead as module
from feldsher_ingest.ahead import Ahead
from feldsher_ingest.check import Checked, Rejected
from feldsher_ingest.inbox import Arrived, Inbox
from feldsher_ingest.simulate import SimulatedGateway

MADE = SimulatedGateway("gw-a", 1)


def arrived(payload: bytes | None = None) -> Arrived:
    message = MADE.pressure()
    return Arrived(wire.up_topic("gw-a", "vitals"), payload or wire.encode(message), 1, 1, 1, time.monotonic())


def filled(count: int) -> tuple[Inbox, list[Arrived]]:
    inbox, messages = Inbox(100, 1 << 20), [arrived() for _ in range(count)]
    for message in messages:
        inbox.put(message)
    return inbox, messages


def test_batches_come_in_order_checked_and_ready() -> None:
    inbox, messages = filled(7)
    ahead = Ahead(inbox, 3, 1 << 20)
    ahead.start()
    inbox.close()
    found = [ready for _ in range(3) if (ready := ahead.next(60.0)) is not None]
    assert [len(ready.batch) for ready in found] == [3, 3, 1]
    assert [a for ready in found for a in ready.batch] == messages
    assert all(isinstance(item, Checked) for ready in found for item in ready.items)
    assert all(ready.prepared is not None and ready.prepared.items == ready.items for ready in found)
    assert ahead.next(60.0) is None
    assert ahead.spent


def test_it_is_one_batch_ahead_and_one_in_hand_at_most() -> None:
    inbox, _ = filled(20)
    ahead = Ahead(inbox, 5, 1 << 20)
    ahead.start()
    deadline = time.monotonic() + 60
    while len(ahead) < 10 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert (len(ahead), len(inbox)) == (10, 10)
    ahead.stop(60.0)
    assert not ahead.spent  # what was ready is still there for who wants it


class Counted(list[Arrived]):
    """A batch that is taken by another thread while its messages are being counted."""

    meanwhile: Callable[[], object] | None = None

    def __len__(self) -> int:
        if self.meanwhile is not None:
            taking = threading.Thread(target=self.meanwhile)
            self.meanwhile = None
            taking.start()
            taking.join(0.5)
        return super().__len__()


def test_it_is_counted_while_another_takes_and_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by killing things at random: the count for the metrics ended a worker."""
    inbox, _ = filled(3)
    batch = Counted(inbox.take(3, 1 << 20, 0.0))
    given: list[list[Arrived]] = [[], batch]

    def take(*_: object) -> list[Arrived]:
        return given.pop() if given else []

    monkeypatch.setattr(inbox, "take", take)
    inbox.close()
    ahead = Ahead(inbox, 3, 1 << 20)
    ahead.start()
    while ahead._working or not ahead._made:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.005)
    batch.meanwhile = lambda: ahead.next(60.0)
    assert len(ahead) == 3


def test_a_message_that_cannot_be_read_is_handed_over_as_refused() -> None:
    inbox = Inbox(10, 1 << 20)
    inbox.put(arrived(b"\xc1"))
    ahead = Ahead(inbox, 5, 1 << 20)
    ahead.start()
    ready = ahead.next(60.0)
    ahead.stop(60.0)
    assert ready is not None
    assert [type(item) for item in ready.items] == [Rejected]


def test_what_makes_us_stumble_is_left_to_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(_: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr(module, "prepare", stumble)
    inbox, _ = filled(2)
    ahead = Ahead(inbox, 5, 1 << 20)
    ahead.start()
    ready = ahead.next(60.0)
    ahead.stop(60.0)
    assert ready is not None
    assert ready.prepared is None
    assert len(ready.items) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_told_from_one_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, _ = filled(1)
    ended = Ahead(inbox, 5, 1 << 20)
    assert not ended.dead  # not started yet
    ended.start()
    ended.stop(60.0)
    assert not ended.dead

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inbox, "take", fail)
    died = Ahead(inbox, 5, 1 << 20)
    died.start()
    deadline = time.monotonic() + 60
    while not died.dead and time.monotonic() < deadline:
        time.sleep(0.005)
    assert died.dead


def test_recordings_are_checked_by_two_and_keep_their_places() -> None:
    messages = [MADE.recording(leads=1, seconds=0.1) if i % 3 else MADE.pressure() for i in range(14)]
    damaged = msgspec.structs.replace(MADE.recording(leads=1, seconds=0.1), sha256=bytes(32))
    inbox = Inbox(100, 1 << 20)
    for message in (*messages, damaged):
        kind = str(message.__struct_config__.tag)
        inbox.put(Arrived(wire.up_topic("gw-a", kind), wire.encode(message), 1, 1, 1, 0.0))
    ahead = Ahead(inbox, 100, 1 << 20)
    ahead.start()
    ready = ahead.next(60.0)
    ahead.stop(60.0)
    assert ready is not None
    *good, bad = ready.items
    assert [item.message for item in good if isinstance(item, Checked)] == messages
    assert isinstance(bad, Rejected)
    assert bad.cause == "samples"
