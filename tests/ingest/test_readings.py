"""Messages as columns of readings: what belongs together, what repeats, what is left to say."""

from __future__ import annotations

from uuid import UUID

import msgspec
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import reading_id
from feldsher_ingest.readings import Columns, columns
from feldsher_ingest.simulate import SimulatedGateway
from hypothesis import given
from hypothesis import strategies as st

GATEWAY = SimulatedGateway("gw-a", 1)
PER_VALUE = ("reading", "code", "value", "absent", "unit", "sent_at", "time_us", "received_us", "user", "status")


def joined(first: wire.VitalsBatch, second: wire.VitalsBatch) -> wire.VitalsBatch:
    return msgspec.structs.replace(first, **{name: getattr(first, name) + getattr(second, name) for name in PER_VALUE})


def test_values_of_one_reading_stand_together() -> None:
    batch = GATEWAY.pressure(3)
    found = columns([batch])
    assert found.reading_id == list(dict.fromkeys(batch.reading))
    assert found.shape == [(batch.code[:4], batch.unit[:4])] * 3
    assert found.value == ["{" + ",".join(str(v) for v in batch.value[i : i + 4]) + "}" for i in (0, 4, 8)]
    assert found.source == [("cuff-gw-a", "gw-a", 1)] * 3
    assert (found.status, found.statuses, found.absent) == ([0] * 3, [None] * 3, [None] * 3)


def test_the_key_time_is_the_devices_own_whatever_the_gateways_zone() -> None:
    batch = GATEWAY.pressure()
    elsewhere = msgspec.structs.replace(batch, time_us=tuple(us - 3_600_000_000 for us in batch.time_us))
    near, far = columns([batch]), columns([elsewhere])
    assert near.key_us == far.key_us == [batch.time_us[0] + 300 * 60_000_000]
    assert near.time_us != far.time_us
    assert near.sent_at == [None]  # the store makes it again from the key time


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
    assert (found.value, found.absent) == (["{120,NULL,90,70}"], ["{NULL,nan,NULL,NULL}"])
    assert (found.status, found.statuses) == ([None], ["{0,1,NULL,0}"])


def test_best_known_times() -> None:
    unsynced = SimulatedGateway("gw-b", 1, clock="unsynced")
    bare, clocked = unsynced.pressure(clocked=False), unsynced.pressure()
    found = columns([bare, clocked])
    assert found.corrected(lambda _: None) == [None, None]
    assert found.corrected(lambda _: 5) == [bare.time_us[0] + 5, None]  # nobody compared the cuff's clock
    assert columns([GATEWAY.pressure()]).corrected(lambda _: None) == [None]


def _row(found: Columns, i: int) -> tuple[object, ...]:
    return found.reading_id[i], found.value[i], found.key_us[i], found.source[i], found.clocked[i]


@given(st.lists(st.booleans(), max_size=6), st.sets(st.integers(0, 5)))
def test_without_leaves_the_others_as_they_are(clocked: list[bool], gone: set[int]) -> None:
    made = SimulatedGateway("gw-c", 1)
    whole = columns([made.pressure(clocked=c) for c in clocked])
    kept = whole.without(gone)
    left = [i for i in range(len(whole)) if i not in gone]
    assert [_row(kept, i) for i in range(len(kept))] == [_row(whole, i) for i in left]
    assert [kept.reading_id[i] for i in kept.sequenced] == [whole.reading_id[i] for i in whole.sequenced if i in left]


def test_no_readings_no_columns() -> None:
    empty: tuple[UUID, ...] = ()
    batch = msgspec.structs.replace(GATEWAY.pressure(), **dict.fromkeys(PER_VALUE, empty))
    assert len(columns([batch])) == 0
