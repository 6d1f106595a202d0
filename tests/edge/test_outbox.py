"""The outbox against a naive model of it, and what the model does not say: damage, power cuts, full disks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Bound
from feldsher_edge.config import Outbox as Bounds
from feldsher_edge.outbox import Outbox
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store, StoreError
from feldsher_ehr_core import wire
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

Make = Callable[[wire.Envelope], wire.UpMessage]


def status(detail: str = "x") -> Make:
    return lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail)


def order_state(detail: str = "x") -> Make:
    return lambda env: wire.OrderState(env=env, order=UUID(int=1), state="armed", detail=detail)


def open_outbox(path: Path, clock: VirtualClock, bounds: Bounds | None = None, rng: Random | None = None) -> Outbox:
    rng = rng or Random(1)  # noqa: S311 - repeatable on purpose
    return Outbox(Store(path), Envelopes("gw-1", clock, rng.randbytes), bounds)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: VirtualClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path / "outbox.sqlite3", clock)
    yield opened
    opened.close()


def messages(outbox: Outbox) -> list[wire.UpMessage]:
    bodies = [outbox.body(row.seq) for row in outbox.waiting(10_000)]
    return [wire.decode_up(body) for body in bodies if body is not None]


def gaps(outbox: Outbox) -> list[wire.Gap]:
    return [m for m in messages(outbox) if isinstance(m, wire.Gap)]


def bound(rows: int, size: int = 10**9, days: float = 1000) -> Bound:
    return Bound(rows=rows, bytes=size, days=days)


# --- the model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    id: UUID
    seq: int
    cls: int
    kind: str
    up_s: int
    made_us: int
    state: str  # waiting, kept, held, dead
    again: bool = False
    receipted: bool = False


class Model:
    """The outbox as a list: obvious, slow, and written from its description alone."""

    def __init__(self, limits: dict[int, int], ages_s: dict[int, int]) -> None:
        self.entries: list[Entry] = []
        self.limits = limits
        self.ages_s = ages_s
        self.up_s = 0
        self.dropped = 0

    def waiting(self) -> list[Entry]:
        found = [e for e in self.entries if e.state == "waiting"]
        return sorted(found, key=self.place)

    def place(self, e: Entry) -> tuple[int, ...]:
        """History: vital signs before ECGs, and the newest of them first."""
        old = e.cls > 0 and self.old(e)
        if old and not e.again and e.cls == Priority.VITALS:
            return (0, 1, 0, -e.up_s, -e.seq)
        return (e.again, old, e.cls, e.up_s, e.seq)

    def old(self, entry: Entry) -> bool:
        return entry.again or entry.up_s < self.up_s - 600

    def enforce(self, added: int) -> None:
        for cls in (3, 2, 1, 0):
            for entry in [e for e in self.waiting() if e.cls == cls and e.kind != "gap" and not e.receipted]:
                if entry.up_s < self.up_s - self.ages_s[cls]:
                    self.entries.remove(entry)
                    self.dropped += 1
            while cls == added and len(mine := [e for e in self.waiting() if e.cls == cls]) > self.limits[cls]:
                candidates = [e for e in mine if e.kind != "gap"]
                if not candidates:
                    break
                victim = min(candidates, key=lambda e: (not e.again, e.up_s, e.seq))
                self.entries.remove(victim)
                if victim.receipted:
                    self.entries.append(replace(victim, state="kept", again=False))
                else:
                    self.dropped += 1

    def change(self, ids: set[UUID], **fields: object) -> None:
        self.entries = [replace(e, **fields) if e.id in ids else e for e in self.entries]  # type: ignore[arg-type]


class OutboxMachine(RuleBasedStateMachine):
    """Random calls, restarts included, on the outbox and on the model."""

    LIMITS = Bounds(
        alarms=bound(6), ecg=bound(5), vitals=bound(4, days=2), continuous=bound(3, days=1), kept=bound(1000)
    )

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.clock = VirtualClock()
        self.rng = Random(1)  # noqa: S311 - repeatable on purpose
        self.outbox = open_outbox(self.folder / "o.sqlite3", self.clock, self.LIMITS, self.rng)
        self.model = Model({0: 6, 1: 5, 2: 4, 3: 3}, {0: 86_400_000, 1: 86_400_000, 2: 172_800, 3: 86_400})
        self.model.up_s = 1
        self.seqs: list[int] = []
        self.number = 0
        self.gap_seen: dict[UUID, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.close()
            shutil.rmtree(self.folder)

    def add(self, state: str, priority: Priority) -> None:
        self.number += 1
        if state == "held":
            held = self.outbox.hold(order_state(str(self.number)))
            id_, priority = held.id, Priority.ECG
        else:
            id_ = self.outbox.put(status(str(self.number)), priority)
        row = self.outbox.store.one("SELECT seq, kind, made_us FROM message WHERE id = ?", (id_.bytes,))
        if row is None:  # dropped at once: only possible where the class holds nothing but what may not be dropped
            row = (self.outbox.store.one("SELECT seq FROM sqlite_sequence") or (0,))[0], "device", 0
        self.model.entries.append(Entry(id_, row[0], int(priority), row[1], self.model.up_s, row[2], state))
        self.model.enforce(int(priority))
        self.adopt_gaps()

    def adopt_gaps(self) -> None:
        """Gap messages are told by the outbox; the model takes them over and `counted` checks what they say."""
        known = {e.id for e in self.model.entries}
        for row in self.outbox.waiting(1000):
            if row.kind == "gap" and row.id not in known:
                self.model.entries.append(
                    Entry(row.id, row.seq, 0, "gap", self.model.up_s, self.clock.wall_us(), "waiting")
                )
                body = self.outbox.body(row.seq)
                assert body is not None
                message = wire.decode_up(body)
                assert isinstance(message, wire.Gap)
                if not message.why.startswith("refused"):
                    self.gap_seen[row.id] = message.count

    @rule(priority=st.sampled_from(Priority))
    def put(self, priority: Priority) -> None:
        self.add("waiting", priority)

    @rule()
    def hold(self) -> None:
        self.add("held", Priority.ECG)

    @rule()
    def release(self) -> None:
        for held in self.outbox.held()[:1]:
            self.outbox.release(held.seq)
            self.model.change({held.id}, state="waiting")

    @rule(picks=st.lists(st.integers(0, 12), max_size=4), state=st.sampled_from(("stored", "duplicate", "quarantined")))
    def receipt(self, picks: list[int], state: wire.ReceiptState) -> None:
        waiting = self.model.waiting()
        ids = list(dict.fromkeys(waiting[i].id for i in picks if i < len(waiting)))
        assert self.outbox.receipt(ids, (state,) * len(ids)) == len(ids)
        self.model.change(set(ids), state="kept", again=False, receipted=True, up_s=self.model.up_s)
        self.adopt_gaps()

    @rule()
    def resend(self) -> None:
        kept = {e.id for e in self.model.entries if e.state == "kept"}
        dead = {e.id for e in self.model.entries if e.state == "dead"}
        assert self.outbox.resend(0) == len(kept) + len(dead)
        self.model.change(kept, state="waiting", again=True)
        self.model.change(dead, state="waiting", again=False, receipted=False, up_s=self.model.up_s)

    @rule(pick=st.integers(0, 12))
    def bury(self, pick: int) -> None:
        waiting = self.model.waiting()
        if pick < len(waiting):
            self.outbox.bury(waiting[pick].seq, "Packet too large")
            self.model.change({waiting[pick].id}, state="dead", again=False)
            self.adopt_gaps()

    @rule(hours=st.integers(1, 30), jump_years=st.sampled_from((0, 0, -1, 1)))
    def time_passes(self, hours: int, jump_years: int) -> None:
        self.clock.advance(hours * 3600)
        self.clock.set_wall(max(0, self.clock.wall_us() + jump_years * 31_536_000_000_000))
        self.model.up_s += hours * 3600

    @rule()
    def take_seq(self) -> None:
        self.seqs.append(self.outbox.take_seq())

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        # running time is remembered through the rows: what passed since the last of them is not counted
        self.outbox = open_outbox(self.folder / "o.sqlite3", self.clock, self.LIMITS, self.rng)
        self.model.up_s = 1 + max((e.up_s for e in self.model.entries if e.state != "dead"), default=0)

    @invariant()
    def same_order_of_sending(self) -> None:
        if hasattr(self, "outbox"):
            waiting = self.model.waiting()
            assert [r.id for r in self.outbox.waiting(1000)] == [e.id for e in waiting]
            assert [r.historical for r in self.outbox.waiting(1000)] == [self.model.old(e) for e in waiting]
            assert self.outbox.waiting(3) == self.outbox.waiting(1000)[:3]
            assert {h.id for h in self.outbox.held()} == {e.id for e in self.model.entries if e.state == "held"}

    @invariant()
    def counted(self) -> None:
        if not hasattr(self, "outbox"):
            return
        counts = self.outbox.counts()
        waiting = self.model.waiting()
        assert counts.waiting == tuple(sum(e.cls == c for e in waiting) for c in (0, 1, 2, 3))
        assert counts.dead == sum(e.state == "dead" for e in self.model.entries)
        assert counts.kept == sum(e.state == "kept" for e in self.model.entries)
        assert counts.dropped == self.model.dropped
        pending = self.outbox.store.one("SELECT COALESCE(SUM(count), 0) FROM ledger WHERE why NOT LIKE 'refused%'")
        assert pending is not None
        assert sum(self.gap_seen.values()) + pending[0] == self.model.dropped

    @invariant()
    def numbers_are_never_reused(self) -> None:
        if hasattr(self, "outbox"):
            used = [e.seq for e in self.model.entries] + self.seqs
            assert len(used) == len(set(used))


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


# --- what the model does not say ---------------------------------------------------------------------------------


def test_a_message_comes_back_as_it_was_put(outbox: Outbox, clock: VirtualClock) -> None:
    id_ = outbox.put(status("hello"))
    (message,) = messages(outbox)
    assert isinstance(message, wire.DeviceStatus)
    assert (message.env.id, message.env.gateway, message.detail) == (id_, "gw-1", "hello")
    assert (message.env.wall_us, message.env.boot, message.env.clock) == (clock.wall_us(), clock.boot(), "synced")


def test_ecgs_and_orders_are_never_dropped_for_telemetry(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(5)))
    outbox.put(order_state())
    for i in range(50):
        outbox.put(status(str(i)), Priority.CONTINUOUS)
    kinds = [row.kind for row in outbox.waiting(100)]
    assert kinds.count("order") == 1
    assert kinds.count("device") == 5
    (gap,) = gaps(outbox)
    assert gap.what == "device"
    assert gap.why == "outbox full: more than 5 rows"
    outbox.receipt([gap.env.id], ["stored"])  # the rest of the ledger follows once the first gap is known
    (rest,) = gaps(outbox)
    assert gap.count + rest.count == 45
    assert outbox.counts().dropped == 45
    outbox.close()


def test_a_month_without_a_link_sends_alarms_then_what_is_new_then_history(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock)
    old = {p: outbox.put(status(), p) for p in reversed(Priority)}
    clock.advance(30 * 86_400)
    new = {p: outbox.put(status(), p) for p in reversed(Priority)}
    rows = outbox.waiting(99)
    a, e, v, c = Priority
    assert [r.id for r in rows] == [old[a], new[a], new[e], new[v], new[c], old[v], old[e], old[c]]
    assert [r.historical for r in rows] == [True, False, False, False, False, True, True, True]
    told = [wire.decode_up(outbox.body(r.seq, historical=r.historical) or b"") for r in rows]
    assert [m.historical for m in told] == [r.historical for r in rows]
    outbox.close()


def test_what_waited_through_a_restart_of_the_machine_is_history(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock)
    before = outbox.put(status())
    outbox.close()
    again = open_outbox(tmp_path / "o", clock, rng=Random(2))  # noqa: S311 - the daemon alone: still new
    assert [r.historical for r in again.waiting(9)] == [False]
    again.close()
    clock.reboot()  # off for nobody knows how long
    third = open_outbox(tmp_path / "o", clock, rng=Random(3))  # noqa: S311
    after = third.put(status())
    assert [(r.id, r.historical) for r in third.waiting(9)] == [(after, False), (before, True)]
    third.close()


def test_an_alarm_is_not_played_down_because_the_machine_was_started_anew(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock)
    outbox.put(status(), Priority.ALARM)
    outbox.close()
    clock.reboot()
    clock.trust = "unsynced"
    again = open_outbox(tmp_path / "o", clock, rng=Random(2))  # noqa: S311 - repeatable on purpose
    marks: list[bool] = []
    for seconds, trust in ((1, "unsynced"), (1, "synced"), (86_400, "synced")):
        clock.advance(seconds)
        clock.trust = trust  # type: ignore[assignment]
        (row,) = again.waiting(9)
        marks.append(wire.decode_up(again.body(row.seq, historical=row.historical) or b"").historical)
    assert marks == [False, False, True]
    again.close()


def test_a_critical_ecg_is_released_as_an_alarm(outbox: Outbox) -> None:
    held = outbox.hold(order_state())
    first = outbox.put(order_state())
    outbox.release(held.seq, priority=Priority.ALARM)
    assert [(row.id, row.rank) for row in outbox.waiting(9)] == [(held.id, 0), (first, 1)]
    assert outbox.counts().waiting == (1, 1, 0, 0)


def test_bytes_bound_a_class(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(1000, size=65_536)))
    for _ in range(10):
        outbox.put(status("x" * 20_000), Priority.CONTINUOUS)
    assert sum(row.size for row in outbox.waiting(100) if row.kind == "device") <= 65_536
    assert outbox.counts().dropped == 7
    outbox.close()


def test_a_jump_of_the_wall_clock_ages_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(10, days=1)))
    outbox.put(status(), Priority.CONTINUOUS)
    clock.set_wall(clock.wall_us() + 400 * 86_400_000_000)
    outbox.put(status(), Priority.CONTINUOUS)
    assert outbox.counts().waiting == (0, 0, 0, 2)
    outbox.close()


def test_receipted_rows_are_kept_seven_days_and_can_be_sent_again(outbox: Outbox, clock: VirtualClock) -> None:
    first = outbox.put(status("1"))
    at_us = clock.wall_us()
    clock.advance(10)
    second = outbox.put(status("2"))
    outbox.receipt([first, second], ["stored", "duplicate"])
    assert outbox.counts().waiting == (0, 0, 0, 0)
    assert outbox.resend(at_us, at_us + 5_000_000) == 1
    fresh = outbox.put(status("3"), Priority.CONTINUOUS)
    assert [row.id for row in outbox.waiting(9)] == [fresh, first]  # new data first
    outbox.receipt([first, fresh], ["duplicate", "stored"])
    clock.advance(8 * 86_400)
    outbox.receipt([outbox.put(status("4"))], ["stored"])
    assert outbox.counts().kept == 1
    assert outbox.resend(0) == 1


def test_a_receipt_releases_only_what_it_names(outbox: Outbox) -> None:
    ids = [outbox.put(status(str(i))) for i in range(3)]
    assert outbox.receipt([ids[1], UUID(int=7)], ["quarantined", "stored"]) == 1
    assert [row.id for row in outbox.waiting(9)] == [ids[0], ids[2]]


def test_what_the_broker_refuses_is_kept_reported_and_can_be_revived(outbox: Outbox) -> None:
    id_ = outbox.put(order_state())
    (row,) = outbox.waiting(9)
    outbox.bury(row.seq, "Not authorized")
    assert outbox.counts().dead == 1
    (gap,) = gaps(outbox)
    assert (gap.what, gap.why, gap.count) == ("order", "refused by the broker: Not authorized", 1)
    assert outbox.revive("Packet too large") == 0
    assert outbox.revive("Not authorized") == 1
    assert id_ in [row.id for row in outbox.waiting(9)]


def test_a_refused_gap_makes_no_further_gap(outbox: Outbox) -> None:
    outbox.put(order_state())
    outbox.bury(outbox.waiting(1)[0].seq, "Not authorized")
    (row,) = outbox.waiting(9)
    outbox.bury(row.seq, "Not authorized")
    assert outbox.waiting(9) == []
    assert outbox.counts().dead == 2


def test_a_message_larger_than_the_wire_allows_changes_nothing(outbox: Outbox) -> None:
    with pytest.raises(wire.WireError, match="more than"):
        outbox.put(status("x" * wire.MAX_BYTES))
    assert outbox.waiting(9) == []
    outbox.put(status())
    assert len(outbox.waiting(9)) == 1


def test_held_messages_wait_for_their_release(outbox: Outbox) -> None:
    held = outbox.hold(order_state("before"))
    assert outbox.waiting(9) == []
    outbox.release(held.seq, wire.OrderState(env=held.message.env, order=UUID(int=1), state="taken"))
    (message,) = messages(outbox)
    assert isinstance(message, wire.OrderState)
    assert (message.state, message.env) == ("taken", held.message.env)


def test_listeners_hear_of_every_new_message(outbox: Outbox) -> None:
    heard: list[int] = []
    outbox.on_waiting(lambda: heard.append(len(outbox.waiting(9))))
    outbox.put(status())
    outbox.put(status())
    assert heard == [1, 2]


def fill_disk(outbox: Outbox) -> None:
    row = outbox.store.one("PRAGMA page_count")
    assert row is not None
    outbox.store.rows(f"PRAGMA max_page_count = {row[0]}")


def put_until_full(outbox: Outbox) -> int:
    for count in range(10_000):
        try:
            outbox.put(status("x" * 5000), Priority.VITALS)
        except StoreError:
            return count
    raise AssertionError("the disk never filled")


def test_a_full_disk_is_an_error_and_leaves_rows_intact(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock)
    outbox.put(status("first"), Priority.VITALS)
    fill_disk(outbox)
    stored = 1 + put_until_full(outbox)
    with pytest.raises(StoreError, match="disk full"):
        outbox.put(status("x" * 5000), Priority.VITALS)
    assert len(messages(outbox)) == stored
    outbox.close()
    again = open_outbox(tmp_path / "o", clock, rng=Random(2))  # noqa: S311
    assert len(messages(again)) == stored
    again.put(status())  # PRAGMA max_page_count does not outlive the connection: there is room again
    assert len(messages(again)) == stored + 1
    again.close()


def test_on_a_full_disk_receipted_rows_give_their_place(outbox: Outbox) -> None:
    ids = [outbox.put(status("x" * 5000)) for _ in range(20)]
    outbox.receipt(ids, ("stored",) * 20)
    fill_disk(outbox)
    assert put_until_full(outbox) >= 15
    assert outbox.counts().kept == 0


def test_on_a_full_disk_continuous_data_gives_its_place_to_what_matters_more(outbox: Outbox) -> None:
    for i in range(200):
        outbox.put(status(f"{i}" + "x" * 3000), Priority.CONTINUOUS)
    fill_disk(outbox)
    for _ in range(20):
        outbox.put(status("ecg" + "x" * 5000), Priority.ECG)
    counts = outbox.counts()
    assert counts.waiting[1] == 20
    assert counts.dropped == 200 - counts.waiting[3] > 0
    counted = sum(gap.count for gap in gaps(outbox))
    pending = outbox.store.one("SELECT COALESCE(SUM(count), 0) FROM ledger")
    assert pending is not None
    assert counted + pending[0] == counts.dropped
    assert all((gap.why, gap.device) == ("disk full", "d") for gap in gaps(outbox))


def test_a_failing_disk_costs_no_receipted_rows(outbox: Outbox) -> None:
    outbox.receipt([outbox.put(status("x"))], ["stored"])
    outbox.store.run("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="read-only"):
        outbox.put(status("y"))
    outbox.store.run("PRAGMA query_only = 0")
    assert outbox.counts().kept == 1


def test_what_is_sent_again_gives_way_first_and_is_no_loss(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(3, days=1)))
    lost_if_dropped = outbox.put(status("old"), Priority.CONTINUOUS)
    known = [outbox.put(status(str(i)), Priority.CONTINUOUS) for i in range(2)]
    outbox.receipt(known, ("stored", "stored"))
    outbox.resend(0)
    fresh = [outbox.put(status("new"), Priority.CONTINUOUS) for _ in range(2)]
    assert [row.id for row in outbox.waiting(9)] == [lost_if_dropped, *fresh]
    assert outbox.counts().dropped == 0
    outbox.close()


def test_what_is_sent_again_does_not_age_out(tmp_path: Path, clock: VirtualClock) -> None:
    outbox = open_outbox(tmp_path / "o", clock, Bounds(continuous=bound(3, days=1)))
    id_ = outbox.put(status(), Priority.CONTINUOUS)
    outbox.receipt([id_], ("stored",))
    outbox.resend(0)
    clock.advance(2 * 86_400)
    fresh = outbox.put(status(), Priority.CONTINUOUS)
    assert [row.id for row in outbox.waiting(9)] == [fresh, id_]
    assert outbox.counts().dropped == 0
    outbox.close()
