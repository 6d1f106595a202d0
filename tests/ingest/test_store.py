"""Batches in a real database: idempotent, one transaction, and no message poisons another."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality
from feldsher_ingest import readings as store_readings
from feldsher_ingest.check import Checked, Rejected, check
from feldsher_ingest.read import readings, recording
from feldsher_ingest.simulate import START_US, SimulatedGateway
from feldsher_ingest.store import Item, Store, UnavailableError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Rows = Callable[[str], list[tuple[Any, ...]]]


def item(message: wire.Up) -> Item:
    topic = wire.up_topic(getattr(message, "env").gateway, str(message.__struct_config__.tag))  # noqa: B009
    return check(topic, wire.encode(message))


def unchecked(message: wire.UpMessage) -> Item:
    """A message as it would come if the check let it through: what the database alone must withstand."""
    topic = wire.up_topic(message.env.gateway, str(message.__struct_config__.tag))
    return Checked(topic, wire.encode(message), message)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = Store(store_url, "test")
    yield store
    store.close()


def states(store: Store, *messages: wire.Up) -> list[wire.ReceiptState | None]:
    return store.save([item(m) for m in messages])[0].states


def test_it_works_with_the_least_rights(store: Store) -> None:
    found = store.run(lambda connection: connection.execute("select current_user").fetchone())
    assert found == ("feldsher_ingest",)


def test_a_repeat_of_any_kind_is_a_duplicate_and_makes_no_event(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    env = made.envelope
    messages: list[wire.Up] = [
        made.pressure(2),
        made.recording(seconds=1),
        made.birth(),
        made.heartbeat(),
        wire.Death(env=env(), cause="will"),
        wire.DeviceStatus(env=env(), device="kit", state="fault"),
        wire.ClockOffset(env=env(), offset_us=1, source="ntp"),
        wire.Gap(env=env(), what="live", why="full", count=1, first_us=1, last_us=1),
        wire.OrderState(env=env(), order=env().id, state="taken"),
    ]
    assert states(store, *messages) == ["stored"] * len(messages)
    before = rows("select count(*) from event"), rows("select * from gateway_state"), rows("select * from latest_value")
    assert states(store, *messages) == ["duplicate"] * len(messages)
    assert before == (
        rows("select count(*) from event"),
        rows("select * from gateway_state"),
        rows("select * from latest_value"),
    )


def test_a_repeat_within_one_batch_is_a_duplicate(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    one, two = made.pressure(), made.recording(seconds=1)
    assert states(store, one, two, one, two, one) == ["stored", "stored", "duplicate", "duplicate", "duplicate"]
    assert rows("select count(*) from event") == [(2,)]


@pytest.mark.parametrize("apart", [True, False])
def test_one_reading_heard_by_two_gateways_is_one_row(store: Store, rows: Rows, apart: bool) -> None:
    near, far = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 2)
    first = near.pressure(2, device="cuff")
    second = msgspec.structs.replace(first, env=far.envelope())
    if apart:
        assert states(store, first) + states(store, second) == ["stored", "duplicate"]
    else:
        assert states(store, first, second) == ["stored", "duplicate"]
    assert rows("select count(*), count(distinct reading_id), min(gateway) from vital_sign") == [(8, 2, "gw-near")]
    assert rows("select count(*) from message") == [(2,)]
    assert rows("select gateway from event") == [("gw-near",)]


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("clocked", [True, False])
def test_one_reading_at_two_times_is_one_row(store: Store, rows: Rows, apart: bool, clocked: bool) -> None:
    """Gateways in two zones, or a device without a clock but with a sequence: the time is not of the reading."""
    near, far = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 2)
    first = near.pressure(2, device="cuff", clocked=clocked)
    elsewhere = tuple(us + 3_600_000_000 for us in first.time_us)
    second = msgspec.structs.replace(first, env=far.envelope(), time_us=elsewhere)
    later = msgspec.structs.replace(first, env=near.envelope(), time_us=elsewhere)
    if apart:
        assert [states(store, m) for m in (first, second, later)] == [["stored"], ["duplicate"], ["duplicate"]]
    else:
        assert states(store, first, second, later) == ["stored", "duplicate", "duplicate"]
    assert rows("select count(*), count(distinct reading_id), min(gateway) from vital_sign") == [(8, 2, "gw-near")]
    assert sorted(rows("select distinct time_us from (select (extract(epoch from time) * 1000000)::bigint as time_us"
                       " from vital_sign)")) == sorted({(us,) for us in first.time_us})  # fmt: skip
    of_sequence: set[UUID] = set() if clocked else set(first.reading)
    assert sorted(rows("select reading_id, gateway from reading")) == sorted((r, "gw-near") for r in of_sequence)
    assert rows("select gateway from event") == [("gw-near",)]
    assert rows("select distinct time from latest_value") == rows("select max(time) from vital_sign")


@pytest.mark.parametrize("apart", [True, False])
def test_an_id_that_is_another_gateways_recording_is_a_dead_letter(store: Store, rows: Rows, apart: bool) -> None:
    near, far = SimulatedGateway("gw-near", 1), SimulatedGateway("gw-far", 2)
    first, second, third = (gateway.recording(seconds=1) for gateway in (near, far, near))
    second = msgspec.structs.replace(second, env=msgspec.structs.replace(second.env, id=first.env.id))
    if apart:
        found = [state for m in (first, second, third) for state in states(store, m)]
    else:
        found = states(store, first, second, third)
    assert found == ["stored", "quarantined", "stored"]
    assert sorted(rows("select id, gateway from ecg_recording")) == sorted(
        (m.env.id, "gw-near") for m in (first, third)
    )
    assert rows("select cause, reason, gateway, message_id from dead_letter") == [
        ("values", f"$.env.id: {first.env.id} is a recording of another gateway", "gw-far", first.env.id)
    ]
    assert rows("select payload from dead_letter") == [(wire.encode(second),)]
    assert states(store, first) == ["duplicate"]


def test_what_nobody_foresaw_stands_alone(store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimulatedGateway("gw-a", 1)
    good, bad, last = made.pressure(), made.pressure(device="odd"), made.pressure()
    real = store_readings.columns

    def columns(batches: list[wire.VitalsBatch]) -> store_readings.Columns:
        if any(batch.device == "odd" for batch in batches):
            raise KeyError("odd")
        return real(batches)

    monkeypatch.setattr(store_readings, "columns", columns)
    assert states(store, good, bad, last) == ["stored", "quarantined", "stored"]
    assert rows("select cause, reason, message_id from dead_letter") == [("unexpected", "KeyError: 'odd'", bad.env.id)]


def test_the_event_names_the_new_readings_only(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    first, second = made.pressure(1, device="cuff"), made.pressure(2, device="cuff")
    columns = ("reading", "code", "value", "absent", "unit", "sent_at", "time_us", "received_us", "user", "status")
    joined = {name: getattr(second, name)[4:] + getattr(first, name) for name in columns}
    grown = msgspec.structs.replace(second, **joined)
    states(store, first, grown)
    bodies = [
        UUID(str(body))
        for (body,) in rows("select jsonb_array_elements_text(body -> 'readings') from event order by id")
    ]
    assert bodies == [first.reading[0], second.reading[4]]


def test_decimals_and_reasons_of_absence_survive(store: Store, rows: Rows) -> None:
    message = msgspec.structs.replace(
        SimulatedGateway("gw-a", 1).pressure(),
        value=("120.10", None, "-0.500", "7E1"),
        absent=(None, "nres", None, None),
    )
    states(store, message)
    kept = dict(rows("select code, coalesce(value::text, absent) from vital_sign"))
    assert kept == dict(zip(message.code, ("120.10", "nres", "-0.500", "70"), strict=True))


def test_the_key_time_is_exact_to_the_microsecond(store: Store, rows: Rows) -> None:
    times = (0, START_US + 123_457, 4_294_967_294_999_999, 1)
    each = tuple(us for us in times for _ in range(4))
    states(store, msgspec.structs.replace(SimulatedGateway("gw-a", 1).pressure(4, clocked=False), time_us=each))
    assert [
        t for (t,) in rows("select (extract(epoch from time) * 1000000)::bigint from vital_reading order by 1")
    ] == sorted(times)


def test_latest_value_never_goes_back(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    old, new = made.pressure(device="cuff"), made.pressure(device="cuff")
    states(store, new)
    states(store, old)
    assert rows("select distinct reading_id from latest_value") == [(new.reading[0],)]
    assert rows("select count(*) from latest_value") == [(4,)]


def test_two_users_of_a_cuff_have_their_own_latest_value(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    states(store, made.pressure(device="c"), msgspec.structs.replace(made.pressure(device="c"), user=(None,) * 4))
    states(store, msgspec.structs.replace(made.pressure(device="c"), user=(None,) * 4))
    assert rows("select count(*) from latest_value") == [(8,)]


@pytest.mark.parametrize(
    "change",
    [
        {"device": "a\0b"},
        {"user": (2**40,) * 4},
        {"device": hashlib.shake_128(b"device").hexdigest(4500)},
        {"status": (2**80,) * 4},
        {"unit": ("\ud800",) * 4},
    ],
    ids=["nul", "user", "index row", "status", "surrogate"],
)
def test_a_message_that_the_database_refuses_stands_alone(store: Store, rows: Rows, change: dict[str, object]) -> None:
    made = SimulatedGateway("gw-a", 1)
    good = [made.pressure() for _ in range(9)]
    poison = msgspec.structs.replace(made.pressure(), **change)
    items = [item(m) for m in good]
    items.insert(4, Checked(wire.up_topic("gw-a", "vitals"), b"poison", poison))
    saved, _ = store.save(items)
    assert saved.states[:4] + saved.states[5:] == ["stored"] * 9
    assert saved.dead == {"database": 1}
    assert rows("select count(*) from vital_sign") == [(36,)]
    assert rows("select cause, payload from dead_letter") == [("database", b"poison")]


def test_a_poisoned_recording_leaves_its_neighbours_alone(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    good, bad = made.recording(seconds=1), msgspec.structs.replace(made.recording(seconds=1), partial="\0")
    saved, _ = store.save([item(good), unchecked(bad), item(made.birth())])
    assert saved.states == ["stored", "quarantined", "stored"]
    assert rows("select id from ecg_recording") == [(good.env.id,)]
    assert rows("select message_id, gateway, kind from dead_letter") == [(bad.env.id, "gw-a", "ecg")]
    assert rows("select count(*) from message where kind = 'ecg'") == [(1,)]


def test_the_same_bad_message_again_is_counted_not_kept_twice(store: Store, rows: Rows) -> None:
    bad = check("feldsher/1/0/gw-a/up/vitals", b"\xc1")
    assert store.save([bad, bad])[0].dead == {"payload": 1}
    assert store.save([bad])[0].states == [None]
    assert rows("select seen, topic, payload from dead_letter") == [(3, "feldsher/1/0/gw-a/up/vitals", b"\xc1")]


def test_a_schema_that_is_missing_is_nobodys_fault(empty_database: str) -> None:
    store = Store(empty_database, "test")
    with pytest.raises(UnavailableError, match="message"):
        store.save([item(SimulatedGateway("gw-a", 1).pressure())])


def test_a_migration_under_a_running_store_costs_one_refusal_at_most(database: str) -> None:
    store = Store(database, "test")
    made = SimulatedGateway("gw-a", 1)
    for _ in range(8):  # psycopg prepares statements after five uses
        states(store, made.pressure(), made.heartbeat())
    with psycopg.connect(database) as connection:
        connection.execute("alter table latest_reading alter column key_time type timestamptz(3)")
        connection.execute("alter table gateway_state alter column state type varchar(10)")
    message = made.pressure()
    try:
        found = states(store, message)
    except UnavailableError:
        found = states(store, message)
    store.close()
    assert found == ["stored"]


def test_marks_count_batches(store: Store) -> None:
    made = SimulatedGateway("gw-a", 1)
    assert [store.save([item(made.pressure())])[1] for _ in range(3)] == [1, 2, 3]


def test_heartbeats_tell_the_worker_of_a_return_only(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    states(store, made.birth())
    states(store, made.heartbeat())
    states(store, wire.Death(env=made.envelope(), cause="will"))
    assert rows("select state from gateway_state") == [("offline",)]
    states(store, made.heartbeat())
    states(store, made.heartbeat())
    assert rows("select body ->> 'state' from event order by id") == [("birth",), ("death",), ("heartbeat",)]
    assert rows("select state, software, outbox_rows, starts from gateway_state") == [("online", "simulated", 0, 1)]


def test_the_end_of_an_earlier_connection_is_no_news_whenever_it_comes(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    wills: list[wire.Death] = []
    for _ in range(3):  # the broker is told the last word of each connection before its birth
        wills.append(wire.Death(env=made.envelope(), cause="will"))
        states(store, wire.Birth(env=made.envelope(), software="t", starts=1))
    states(store, wire.Heartbeat(env=made.envelope(), outbox_rows=0, outbox_bytes=0, oldest_us=None, sources={}))
    for will in wills[:2]:
        states(store, will)
        assert rows("select state from gateway_state") == [("online",)]
    states(store, wills[2])
    assert rows("select state from gateway_state") == [("offline",)]


def test_a_late_heartbeat_does_not_overwrite_a_newer_one(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    old, new = made.heartbeat(), msgspec.structs.replace(made.heartbeat(), outbox_rows=7)
    states(store, new)
    states(store, old)
    assert rows("select outbox_rows from gateway_state") == [(7,)]


def test_a_clock_set_later_corrects_what_came_before(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    message, recording = made.pressure(clocked=False), made.recording(seconds=1)
    states(store, message, recording)
    assert rows("select count(*) from vital_sign where corrected_time is not null") == [(0,)]
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=90_000_001, source="ntp"))
    made.clock = "synced"
    states(store, made.pressure(device="after"))
    behind = "select distinct device, (extract(epoch from corrected_time - time) * 1000000)::bigint from vital_sign"
    assert sorted(rows(behind), key=str) == [("after", None), ("cuff-gw-a", 90_000_001)]
    assert rows("select corrected_time is not null from latest_value where device = 'cuff-gw-a' limit 1") == [(True,)]
    assert rows("select corrected_started_at - started_at = '90.000001 s' from ecg_recording") == [(True,)]


def test_a_correction_looks_where_the_readings_are(store: Store, rows: Rows) -> None:
    """A kit without a battery may begin in 1970 with a cuff that is in 2031: whatever is corrected lies in its span."""
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    first = moved(made.pressure(device="a", clocked=False), 5_000_000)
    second = made.pressure(device="b", clocked=False)
    states(store, first, second, SimulatedGateway("gw-b", 1).pressure())
    span = (
        "select extract(epoch from key_from)::int8, extract(epoch from key_to)::int8 from message order by gateway, seq"
    )
    keys = [(b.time_us[0] // 1_000_000,) * 2 for b in (first, second)]
    assert rows(span) == [*keys, (None, None)]
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=1_000_000, source="ntp"))
    assert rows("select count(*) from vital_sign where corrected_time - time = '1 s'") == [(8,)]


def test_a_message_that_was_overtaken_by_its_clocks_correction_is_corrected(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    late = made.pressure(clocked=False)
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=5_000_000, source="ntp"))
    states(store, late)
    assert rows("select distinct corrected_time - time = '5 s' from vital_sign") == [(True,)]


def moved(message: wire.VitalsBatch, wall_us: int) -> wire.VitalsBatch:
    """Return a message made at another wall time of the same moment."""
    env = msgspec.structs.replace(message.env, wall_us=wall_us)
    n = len(message.reading)
    return msgspec.structs.replace(message, env=env, time_us=(wall_us,) * n, received_us=(wall_us,) * n)


def test_a_reference_corrects_the_whole_boot_through_any_steps(store: Store, rows: Rows) -> None:
    """1970, then set by hand and wrong by an hour, then synchronised; one message is late and one of afterwards."""
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    in_1970, by_hand, late, reference, after = (made.pressure(device=f"d{i}", clocked=False) for i in range(5))
    true_us = {m.device: m.env.wall_us for m in (in_1970, by_hand, late, after)}
    hour_us = 3_600_000_000
    states(store, moved(in_1970, 5_000_000))
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=123, source="step, now unsynced", trusted=False))
    assert rows("select count(*) from vital_sign where corrected_time is not null") == [(0,)]
    states(store, moved(by_hand, by_hand.env.wall_us - hour_us))
    base_us = reference.env.wall_us - reference.env.mono_ns // 1000
    states(store, wire.ClockOffset(env=reference.env, offset_us=hour_us, source="signed by the cloud", base_us=base_us))
    states(store, moved(late, 9_000_000), moved(after, 11_000_000))  # the wall clock itself was never set right
    found = rows("select distinct device, round(extract(epoch from corrected_time) * 1000000)::bigint from vital_sign")
    assert dict(found) == true_us


def test_a_clock_that_somebody_set_corrects_nothing(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    message = made.pressure(clocked=False)
    states(store, message)
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=7, source="step, now unsynced", trusted=False))
    states(store, made.pressure(device="late", clocked=False))
    assert rows("select distinct corrected_time from vital_sign") == [(None,)]
    assert rows("select source, trusted from clock_offset") == [("step, now unsynced", False)]


def test_a_record_of_losses_says_whose_and_how_many(store: Store, rows: Rows) -> None:
    env = SimulatedGateway("gw-a", 1).envelope()
    states(store, wire.Gap(env=env, what="vitals", why="full", count=2, first_us=1, last_us=2, device="d", readings=20))
    assert rows("select what, count, device, readings from gap") == [("vitals", 2, "d", 20)]


def test_an_event_says_that_a_message_waited_long(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    states(store, msgspec.structs.replace(made.pressure(), historical=True), made.pressure())
    assert rows("select body -> 'historical' from event where kind = 'vitals' order by id") == [(True,), (None,)]


def test_a_devices_clock_is_corrected_by_a_gateways_that_is_right(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1)
    sent = msgspec.structs.replace(
        made.pressure(),
        sent_at=("2026-11-22T12:00:00",) * 4,
        device_now="1970-01-01T05:00:10",
        gateway_now_us=70_000_000,
    )
    states(store, sent)
    assert rows("select distinct corrected_time - time = '60 s', device_behind_us from vital_sign") == [
        (True, 60_000_000)
    ]


def test_a_devices_clock_is_not_corrected_by_a_gateways_that_is_wrong(store: Store, rows: Rows) -> None:
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    sent = msgspec.structs.replace(
        made.pressure(),
        sent_at=("2026-11-22T12:00:00",) * 4,
        device_now="1970-01-01T05:00:10",
        gateway_now_us=70_000_000,
    )
    states(store, sent)
    assert rows("select distinct corrected_time from vital_sign") == [(None,)]
    states(store, wire.ClockOffset(env=made.envelope(), offset_us=1_000_000, source="ntp"))
    assert rows("select distinct corrected_time - time = '61 s' from vital_sign") == [(True,)]


def test_raw_bytes_lie_on_the_first_value_of_a_reading(store: Store, rows: Rows) -> None:
    states(store, msgspec.structs.replace(SimulatedGateway("gw-a", 1).pressure(2), raw=(b"one", b"two")))
    assert sorted(rows("select raw from vital_sign where raw is not null")) == [(b"one",), (b"two",)]


def test_events_wake_the_worker(store: Store, store_url: str) -> None:
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("listen feldsher_event")
        states(store, SimulatedGateway("gw-a", 1).pressure())
        assert [n.channel for n in connection.notifies(timeout=60, stop_after=1)] == ["feldsher_event"]


INTEGERS = st.sampled_from([-(2**63), -(2**31), -1, 0, 1, 721, 2**31, 2**53, 2**63 - 1, 2**64 - 1]) | st.integers(
    -(2**63), 2**64 - 1
)
FLOATS = st.floats() | st.sampled_from([0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7e308])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    ["", "\0", "garbage", "0001-01-01T00:00:00", "9999-12-31T23:59:59", "2026-11-23T08:00:00", "1e-99", "9" * 30]
)


def extreme(value: object) -> st.SearchStrategy[Any]:
    """Values of the same type as a field's, at the edge of what the wire can carry."""
    if isinstance(value, bool | bytes | UUID) or value is None:
        return st.just(value)
    if isinstance(value, int):
        return INTEGERS
    if isinstance(value, float):
        return FLOATS
    if isinstance(value, str):
        return TEXTS
    if isinstance(value, tuple):
        return st.tuples(*(extreme(entry) for entry in value))  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    if isinstance(value, dict):
        return st.dictionaries(TEXTS, FLOATS, max_size=3)
    if isinstance(value, msgspec.Struct):
        return st.sampled_from(value.__struct_fields__).flatmap(lambda name: altered(value, name))
    raise AssertionError(f"no extremes of {type(value)}")


def altered(whole: msgspec.Struct, name: str) -> st.SearchStrategy[Any]:
    return extreme(getattr(whole, name)).map(lambda entry: msgspec.structs.replace(whole, **{name: entry}))


def everything() -> list[wire.UpMessage]:
    """One message of each kind with every field filled."""
    made = SimulatedGateway("gw-a", 1)
    env = made.envelope
    pressure = msgspec.structs.replace(
        made.pressure(), sent_at=("2026-11-22T12:00:00",) * 4, device_now="2026-11-22T12:00:00", gateway_now_us=START_US
    )
    opinion = Interpretation(
        "test", 500.0, ("I",), 500, Quality(True, {}), (), (), (), Measurements(60.0, 160.0), (), {"NORM": 1.0}, "sinus"
    )
    ecg = msgspec.structs.replace(
        made.recording(leads=1, seconds=1), clock_ratio=1.0, partial="short", interpretation=opinion
    )
    return [
        pressure,
        ecg,
        made.birth(),
        msgspec.structs.replace(made.heartbeat(), oldest_us=1, sources={"kit": 1.0}),
        wire.Death(env=env(), cause="stopping"),
        wire.DeviceStatus(env=env(), device="kit", state="fault", detail="x", battery=5, model="m", firmware="f"),
        wire.ClockOffset(env=env(), offset_us=1, source="ntp"),
        wire.Gap(env=env(), what="live", why="full", count=1, first_us=1, last_us=1),
        wire.OrderState(env=env(), order=env().id, state="taken", detail="x"),
    ]


FORESEEN = {"topic", "payload", "samples", "values", "database"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_message_of_extremes_is_stored_readable_or_rejected_for_a_reason(
    store: Store, store_url: str, data: st.DataObject
) -> None:
    message: wire.UpMessage = data.draw(st.sampled_from(everything()))
    for _ in range(data.draw(st.integers(1, 2))):
        message = data.draw(altered(message, data.draw(st.sampled_from(message.__struct_fields__))))
    fresh = SimulatedGateway("gw-a", data.draw(st.integers(0, 2**64))).envelope().id
    message = msgspec.structs.replace(message, env=msgspec.structs.replace(message.env, id=fresh))
    if isinstance(message, wire.VitalsBatch):
        message = msgspec.structs.replace(message, reading=(fresh,) * 4)
    found = item(message)
    saved, _ = store.save([found])
    if isinstance(found, Rejected):
        assert found.cause in FORESEEN
        assert found.reason
        return
    assert saved.states[0] in {"stored", "quarantined", "duplicate"}
    assert saved.dead.keys() <= FORESEEN
    if saved.states == ["stored"]:
        with psycopg.connect(store_url) as connection:
            if isinstance(message, wire.VitalsBatch):
                assert len(readings(connection, [fresh])) == 4
            elif isinstance(message, wire.EcgRecording):
                assert recording(connection, fresh) is not None
