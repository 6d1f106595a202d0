"""Messages as columns of readings: what belongs together, what repeats, what is left to say."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import reading_id
from feldsher_ingest import readings as module
from feldsher_ingest.readings import Columns, columns
from feldsher_ingest.simulate import SimulatedGateway
from hypothesis import given
from hypothesis import strategies as st

GATEWAY = SimulatedGateway("gw-a", 1)
PER_VALUE = ("reading", "code", "value", "absent", "unit", "sent_at", "time_us", "received_us", "user", "status")

UNUSUAL: dict[str, object] = {"user": None, "status": 3, "unit": "%", "code": 1, "sent_at": None}


def joined(first: wire.VitalsBatch, second: wire.VitalsBatch) -> wire.VitalsBatch:
    return msgspec.structs.replace(first, **{name: getattr(first, name) + getattr(second, name) for name in PER_VALUE})


def test_values_of_one_reading_stand_together() -> None:
    batch = GATEWAY.pressure(3)
    found = columns([batch])
    assert found.reading_id == list(dict.fromkeys(batch.reading))
    assert (found.shapes, found.shape) == ({(batch.code[:4], batch.unit[:4]): 0}, [0] * 3)
    assert found.value == [batch.value[i : i + 4] for i in (0, 4, 8)]
    assert (found.sources, found.source) == ({("cuff-gw-a", "gw-a", 1): 0}, [0] * 3)
    assert (found.status, found.statuses, found.absent) == ([0] * 3, [None] * 3, [None] * 3)


def test_the_key_time_is_the_devices_own_whatever_the_gateways_zone() -> None:
    batch = GATEWAY.pressure()
    elsewhere = msgspec.structs.replace(batch, time_us=tuple(us - 3_600_000_000 for us in batch.time_us))
    near, far = columns([batch]), columns([elsewhere])
    assert near.key_us == far.key_us == [batch.time_us[0] + 300 * 60_000_000]
    assert near.time_us != far.time_us
    assert near.sent_at == [None]  # the store makes it again from the key time


def test_the_key_times_of_each_message_are_told() -> None:
    batches = [GATEWAY.pressure(n) for n in (3, 1, 2)]
    found = columns(batches)
    spans: dict[tuple[str, UUID], list[int]] = {(b.env.gateway, b.env.id): [] for b in batches}
    for m, key in zip(found.message, found.key_us, strict=True):
        spans[found.envelopes[m].gateway, found.envelopes[m].id].append(key)
    assert found.spans() == {of: (min(keys), max(keys)) for of, keys in spans.items()}
    assert found.without({3}).spans().keys() == spans.keys() - {("gw-a", batches[1].env.id)}
    assert columns([]).spans() == {}


def test_a_time_that_is_not_to_the_second_is_kept_as_sent() -> None:
    for text in ("2026-11-22T12:00", "2026-11-22T12:00:00.5"):
        batch = msgspec.structs.replace(GATEWAY.pressure(), sent_at=(text,) * 4)
        assert columns([batch]).sent_at == [text]


def test_without_a_clock_the_key_is_the_receiving_time_and_the_sequence_is_judged_elsewhere() -> None:
    batch = GATEWAY.pressure(2, clocked=False)
    found = columns([batch])
    assert (found.key_us, found.clocked, found.sequenced) == ([batch.time_us[0], batch.time_us[4]], [False] * 2, [0, 1])


def test_an_id_made_of_the_receiving_time_needs_no_second_look() -> None:
    batch = GATEWAY.pressure(clocked=False)
    values = [(code, str(value)) for code, value in zip(batch.code, batch.value, strict=True)]
    at = batch.received_us[0]
    own = reading_id(device=batch.device, user=1, sent_at=None, values=values, sequence=at)
    assert columns([msgspec.structs.replace(batch, reading=(own,) * 4, time_us=(at,) * 4)]).sequenced == []


def test_a_reading_that_a_message_repeats_counts_once_and_keeps_its_own_bytes() -> None:
    first, second = GATEWAY.pressure(), GATEWAY.pressure()
    batch = msgspec.structs.replace(joined(joined(first, second), first), raw=(b"one", b"two"))
    found = columns([batch])
    assert found.reading_id == [first.reading[0], second.reading[0]]
    assert found.raw == [b"one", b"two"]


def test_an_absent_value_and_different_statuses_are_told_apart() -> None:
    batch = msgspec.structs.replace(
        GATEWAY.pressure(),
        value=("120", None, "90", "70"),
        absent=(None, "nan", None, None),
        status=(0, 1, None, 0),
    )
    found = columns([batch])
    assert (found.value, found.absent) == ([("120", None, "90", "70")], [(None, "nan", None, None)])
    assert (found.status, found.statuses) == ([None], [(0, 1, None, 0)])


def test_best_known_times() -> None:
    unsynced = SimulatedGateway("gw-b", 1, clock="unsynced")
    bare, clocked = unsynced.pressure(clocked=False), unsynced.pressure()
    found = columns([bare, clocked])
    assert found.corrected(lambda _: None) == [None, None]
    assert found.corrected(lambda _: 5) == [bare.time_us[0] + 5, None]  # nobody compared the cuff's clock
    assert columns([GATEWAY.pressure()]).corrected(lambda _: None) == [None]


def nothing_alike(*_: object) -> int:
    return 0


def rows(found: Columns) -> list[tuple[object, ...]]:
    """Everything that the columns say of each reading, places replaced by what stands there."""
    sources, shapes = list(found.sources), list(found.shapes)
    own = [(sources[s], shapes[h], found.envelopes[m].id)
           for s, h, m in zip(found.source, found.shape, found.message, strict=True)]  # fmt: skip
    plain = ("reading_id", "key_us", "time_us", "received_us", "behind_us", "status", "clocked", "value", "absent",
             "statuses", "sent_at", "raw")  # fmt: skip
    return [(*who, *rest) for who, *rest in zip(own, *(getattr(found, name) for name in plain), strict=True)]


@given(st.lists(st.booleans(), max_size=6), st.sets(st.integers(0, 5)))
def test_without_leaves_the_others_as_they_are(clocked: list[bool], gone: set[int]) -> None:
    made = SimulatedGateway("gw-c", 1)
    whole = columns([made.pressure(clocked=c) for c in clocked])
    kept = whole.without(gone)
    left = [i for i in range(len(whole)) if i not in gone]
    assert rows(kept) == [rows(whole)[i] for i in left]
    assert [kept.reading_id[i] for i in kept.sequenced] == [whole.reading_id[i] for i in whole.sequenced if i in left]


@st.composite
def messages(draw: st.DrawFn) -> wire.VitalsBatch:
    """Messages of few or many values, mostly alike, with something unusual in some places."""
    made = SimulatedGateway(draw(st.sampled_from(["gw-a", "gw-b"])), draw(st.integers(0, 9)))
    batch = made.pressure(draw(st.integers(1, 4)))
    if draw(st.booleans()):
        batch = joined(batch, made.pressure(1)) if draw(st.booleans()) else joined(batch, batch)
    n = len(batch.reading)
    for name, other in (*UNUSUAL.items(), ("sent_at", "2026-11-22T12:00:00.5")):
        if draw(st.integers(0, 3)) == 0:
            places = draw(st.sets(st.integers(0, n - 1)) | st.just(set(range(n))))
            column = tuple(other if i in places else entry for i, entry in enumerate(getattr(batch, name)))
            batch = msgspec.structs.replace(batch, **{name: column})
    raw = draw(st.sampled_from([(), tuple(bytes([i]) for i in range(n)),
                                tuple(bytes([i]) for i in range(len(set(batch.reading))))]))  # fmt: skip
    return msgspec.structs.replace(batch, raw=raw)


@given(st.lists(messages(), max_size=3))
def test_whole_columns_at_once_are_the_same_as_reading_by_reading(batches: list[wire.VitalsBatch]) -> None:
    whole = columns(batches)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_alike", nothing_alike)
        each = columns(batches)
    assert (whole, list(whole.sources), list(whole.shapes)) == (each, list(each.sources), list(each.shapes))


@given(st.lists(messages(), max_size=3))
def test_the_newest_and_the_days_are_those_of_a_plain_search(batches: list[wire.VitalsBatch]) -> None:
    found = columns(batches)
    newest: dict[tuple[int, int], int] = {}
    for i, kind in enumerate(zip(found.source, found.shape, strict=True)):
        if kind not in newest or found.time_us[i] > found.time_us[newest[kind]]:
            newest[kind] = i
    assert sorted(found.newest()) == sorted(newest.values())
    days = {(s, us // 86_400_000_000) for s, us in zip(found.source, found.time_us, strict=True)}
    assert sorted(found.days()) == sorted(days)


def test_no_readings_no_columns() -> None:
    empty: tuple[UUID, ...] = ()
    batch = msgspec.structs.replace(GATEWAY.pressure(), **dict.fromkeys(PER_VALUE, empty))
    assert len(columns([batch])) == 0
