"""The queue between network and database never grows beyond its bounds."""

from __future__ import annotations

import threading

from feldsher_ingest.inbox import Arrived, Inbox


def message(mid: int, octets: int = 10, qos: int = 1) -> Arrived:
    return Arrived("t", bytes(octets), mid, qos, 1, 0.0)


def test_a_batch_is_bounded_by_messages_and_bytes_and_keeps_the_order() -> None:
    inbox = Inbox(100, 10_000)
    for mid in range(20):
        assert inbox.put(message(mid))
    assert [m.mid for m in inbox.take(5, 10_000, 0)] == [0, 1, 2, 3, 4]
    assert [m.mid for m in inbox.take(50, 25, 0)] == [5, 6, 7]
    assert (len(inbox), inbox.octets) == (12, 120)


def test_an_empty_inbox_is_waited_for_in_vain() -> None:
    assert Inbox(1, 1).take(5, 5, 0.01) == []


def test_a_message_larger_than_the_bound_still_passes() -> None:
    inbox = Inbox(10, 100)
    assert inbox.put(message(1, 5000))
    assert [m.mid for m in inbox.take(10, 100, 0)] == [1]


def test_a_full_inbox_holds_the_sender_until_there_is_room() -> None:
    inbox = Inbox(2, 10_000)
    done = threading.Event()

    def fill() -> None:
        for mid in range(3):
            inbox.put(message(mid))
        done.set()

    thread = threading.Thread(target=fill)
    thread.start()
    assert not done.wait(0.1)
    assert len(inbox) == 2
    assert len(inbox.take(1, 10_000, 0)) == 1
    assert done.wait(60)
    thread.join()
    assert [m.mid for m in inbox.take(5, 10_000, 0)] == [1, 2]


def test_bytes_hold_the_sender_too() -> None:
    inbox = Inbox(100, 50)
    assert inbox.put(message(0, 50))
    thread = threading.Thread(target=lambda: inbox.put(message(1)))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    inbox.take(1, 50, 0)
    thread.join(60)
    assert not thread.is_alive()


def test_without_promise_a_full_inbox_refuses() -> None:
    inbox = Inbox(1, 100)
    assert inbox.put(message(0, qos=0))
    assert not inbox.put(message(1, qos=0))


def test_closed_it_takes_nothing_more_and_frees_who_waits() -> None:
    inbox = Inbox(1, 100)
    inbox.put(message(0))
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(inbox.put(message(1))))
    thread.start()
    thread.join(0.05)
    inbox.close()
    thread.join(60)
    assert answers == [False]
    assert [m.mid for m in inbox.take(5, 100, 1)] == [0]
    assert inbox.take(5, 100, 1) == []
