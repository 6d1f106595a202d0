"""Continuous ECGs: stored piece by piece, read as one, holes missing, times corrected."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ingest import read, sql
from feldsher_ingest.check import Rejected, check
from feldsher_ingest.read import WINDOW_MOST_S, StoredStream
from feldsher_ingest.simulate import START_US, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_signal import codec
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

Rows = Callable[[str], list[tuple[Any, ...]]]
STREAM = UUID(int=0x51)
START = datetime.fromtimestamp(START_US / 1e6, UTC)
TEN = timedelta(seconds=10)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store(store_url, "test") as opened:
        yield opened


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


def saved(store: Store, *messages: wire.UpMessage) -> list[wire.ReceiptState | None]:
    items = [check(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m)) for m in messages]
    return store.save(items)[0].states


def pieces(count: int, gateway: str = "gw-a", stream: UUID = STREAM) -> list[wire.EcgRecording]:
    made = SimulatedGateway(gateway, 1)
    return [made.piece(stream, part) for part in range(count)]


def known(connection: psycopg.Connection[Any], stream: UUID = STREAM) -> StoredStream:
    found = read.stream(connection, stream)
    assert found is not None
    return found


def decoded(piece: wire.EcgRecording) -> NDArray[np.int32]:
    return codec.decode(piece.samples, len(piece.leads), piece.n, piece.codec)


def test_pieces_become_chunks_and_one_event(store: Store, rows: Rows) -> None:
    sent = pieces(5)
    assert saved(store, *sent) == ["stored"] * 5
    assert rows("select part, n from ecg_chunk order by part") == [(i, 1300) for i in range(5)]
    assert rows("select count(*) from ecg_recording") == [(0,)]
    assert rows("select kind, body ->> 'stream', body ->> 'device' from event") == [
        ("ecg_stream", str(STREAM), "belt-gw-a")
    ]
    assert rows("select parts, taken_until - taken_from from ecg_stream") == [(5, timedelta(seconds=50))]


def test_repeats_are_duplicates_also_where_the_ledger_has_forgotten(
    store: Store, rows: Rows, connection: psycopg.Connection[Any]
) -> None:
    sent = pieces(3)
    saved(store, *sent)
    assert saved(store, *sent) == ["duplicate"] * 3
    connection.execute("truncate message")
    assert saved(store, *sent) == ["duplicate"] * 3
    assert rows("select count(*) from ecg_chunk") == [(3,)]
    assert rows("select count(*) from event") == [(1,)]


def test_order_of_arrival_changes_nothing(store: Store, connection: psycopg.Connection[Any]) -> None:
    sent = pieces(8)
    shuffled = list(sent)
    random.Random(3).shuffle(shuffled)  # noqa: S311
    for message in shuffled:
        saved(store, message)
    found = known(connection)
    assert (found.parts, found.taken_from, found.taken_until) == (8, START, START + 8 * TEN)
    window = read.stream_window(connection, found, START, START + 8 * TEN)
    assert window is not None
    assert np.array_equal(window.recording.samples, np.concatenate([decoded(p) for p in sent], axis=1))


def test_a_window_is_what_was_sent_bit_for_bit(store: Store, connection: psycopg.Connection[Any]) -> None:
    sent = pieces(6)
    saved(store, *sent)
    everything = np.concatenate([decoded(p) for p in sent], axis=1)
    window = read.stream_window(connection, known(connection), START + 1.5 * TEN, START + 3.2 * TEN)
    assert window is not None
    assert window.start == START + 1.5 * TEN
    assert (window.recording.fs, window.recording.leads, window.recording.uv_per_bit) == (130.0, ("CHEST",), (1.0,))
    assert np.array_equal(window.recording.samples, everything[:, 1950:4160])


def test_what_did_not_come_is_missing(store: Store, connection: psycopg.Connection[Any]) -> None:
    sent = pieces(4)
    saved(store, sent[0], sent[3])
    window = read.stream_window(connection, known(connection), START, START + 4 * TEN)
    assert window is not None
    assert window.recording.n == 5200
    assert np.array_equal(window.recording.samples[:, :1300], decoded(sent[0]))
    assert np.array_equal(window.recording.samples[:, 3900:], decoded(sent[3]))
    assert bool((window.recording.samples[:, 1300:3900] == MISSING).all())


def test_a_window_that_ends_in_a_hole_has_its_length(store: Store, connection: psycopg.Connection[Any]) -> None:
    sent = pieces(4)
    saved(store, sent[0], sent[3])
    found = known(connection)
    for start, end, there in ((0.5, 2.0, slice(0, 650)), (1.0, 3.5, slice(2600, 3250))):
        window = read.stream_window(connection, found, START + start * TEN, START + end * TEN)
        assert window is not None
        assert (window.start, window.recording.n) == (START + start * TEN, round((end - start) * 1300))
        missing = window.recording.samples[0] == MISSING
        assert not missing[there].any()
        assert int(missing.sum()) == window.recording.n - 650
    assert read.stream_window(connection, found, START + TEN, START + 3 * TEN) is None


def test_windows_are_cut_to_what_there_is_and_bounded(store: Store, connection: psycopg.Connection[Any]) -> None:
    saved(store, *pieces(2))
    found = known(connection)
    early = read.stream_window(connection, found, START - TEN, START + TEN / 10)
    assert early is not None
    assert (early.start, early.recording.n) == (START, 130)
    assert read.stream_window(connection, found, START + 5 * TEN, START + 6 * TEN) is None
    for end in (START, START + timedelta(seconds=WINDOW_MOST_S + 1)):
        with pytest.raises(ValueError, match="window"):
            read.stream_window(connection, found, START, end)
    along = read.stream_axis(connection, found)
    with pytest.raises(ValueError, match="window"):
        read.stream_samples(connection, found, along, 0, 10_000_000)


def test_streams_of_a_device_by_time(store: Store, connection: psycopg.Connection[Any]) -> None:
    other = UUID(int=0x52)
    saved(store, *pieces(2), *pieces(2, "gw-b", other))
    two = ["belt-gw-a", "belt-gw-b"]
    assert {s.id for s in read.streams(connection, two, START, START + TEN)} == {STREAM, other}
    assert [s.id for s in read.streams(connection, two[:1], START, START + TEN)] == [STREAM]
    assert read.streams(connection, two, START + 2 * TEN, START + 3 * TEN) == []
    assert read.stream(connection, UUID(int=1)) is None


def test_damage_on_disk_is_found(store: Store, connection: psycopg.Connection[Any]) -> None:
    saved(store, *pieces(2))
    connection.execute("update ecg_chunk set sha256 = %s where part = 1", [bytes(32)])
    with pytest.raises(read.DamagedError, match="part 1"):
        read.stream_window(connection, known(connection), START, START + 2 * TEN)


@pytest.mark.parametrize("change", [{"device": "another"}, {"leads": ("II",)}, {"fs": 131.0}])
def test_a_piece_that_cannot_be_of_its_stream_is_a_dead_letter(
    store: Store, rows: Rows, change: dict[str, object]
) -> None:
    first, second, third = pieces(3)
    saved(store, first)
    wrong = msgspec.structs.replace(second, **change)
    assert saved(store, wrong, third) == ["quarantined", "stored"]
    assert rows("select cause, reason from dead_letter") == [
        ("values", f"$.stream: {STREAM} is another device's, or has other leads")
    ]


def test_no_gateway_adds_to_anothers_stream(store: Store, rows: Rows) -> None:
    saved(store, *pieces(1))
    assert saved(store, pieces(2, "gw-b")[1]) == ["quarantined"]
    assert rows("select gateway, parts from ecg_stream") == [("gw-a", 1)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order": UUID(int=1)}, "order"),
        ({"subject": Subject(40, "male")}, "subject"),
        ({"part": -1}, "part"),
        ({"part": 10_000_000}, "part"),
        ({"ended_us": START_US - 1}, "ended_us"),
    ],
)
def test_what_belongs_to_a_whole_recording_is_refused_of_a_piece(change: dict[str, object], field: str) -> None:
    wrong = msgspec.structs.replace(pieces(1)[0], **change)
    found = check(wire.up_topic("gw-a", "ecg"), wire.encode(wrong))
    assert isinstance(found, Rejected)
    assert f"$.{field}" in found.reason


@pytest.mark.parametrize("late", [False, True])
def test_a_clock_set_later_moves_the_stream(store: Store, connection: psycopg.Connection[Any], late: bool) -> None:
    made = SimulatedGateway("gw-a", 1, clock="unsynced")
    sent = [made.piece(STREAM, part) for part in range(3)]
    env = made.envelope()
    hour = timedelta(hours=1)
    base = env.wall_us - env.mono_ns // 1000 + hour // timedelta(microseconds=1)
    correction = wire.ClockOffset(env=env, offset_us=0, source="ntp", base_us=base)
    for message in (correction, *sent) if late else (*sent, correction):
        saved(store, message)
    found = known(connection)
    assert (found.started_at, found.taken_from, found.taken_until) == (START, START + hour, START + hour + 3 * TEN)
    window = read.stream_window(connection, found, START + hour + TEN, START + hour + 2 * TEN)
    assert window is not None
    assert window.start == START + hour + TEN
    assert np.array_equal(window.recording.samples, decoded(sent[1]))
    assert read.stream_window(connection, found, START, START + TEN) is None


AS_BEFORE = """
insert into ecg_recording (id, device, gateway, fs, leads, uv_per_bit, n, codec, samples, sha256, started_at, ended_at,
                           clock, lost, crc_errors, partial, lead_off, not_interpreted)
select message_id, s.device, s.gateway, s.fs, s.leads, s.uv_per_bit, n, codec, samples, sha256, started_at, ended_at,
       clock, lost, crc_errors, partial, lead_off, 'a piece' from ecg_chunk c join ecg_stream s using (stream);
delete from event;
insert into event (kind, gateway, message_id, body, done_at)
select 'ecg_piece', 'gw-a', message_id,
       jsonb_build_object('recording', message_id, 'stream', stream, 'part', part), now()
from ecg_chunk;
truncate ecg_chunk, ecg_stream;
"""


def test_pieces_of_earlier_revisions_move_and_are_the_same(
    store: Store, rows: Rows, connection: psycopg.Connection[Any]
) -> None:
    saved(store, *pieces(4), SimulatedGateway("gw-b", 2).recording(seconds=1))
    both = [
        "select stream, part, started_at, ended_at, n, samples, sha256, message_id, clock from ecg_chunk order by 1, 2",
        "select stream, gateway, device, boot, first_at, last_at, taken_from, taken_until, parts from ecg_stream",
    ]
    was = [rows(query) for query in both]
    connection.execute(AS_BEFORE.encode())
    assert rows("select count(*) from ecg_recording") == [(5,)]
    streams = next(text for text in sql.schemas() if "create table if not exists ecg_stream" in text)
    for _ in range(2):
        connection.execute(streams.encode())
        assert [rows(query) for query in both] == was
        assert rows("select gateway from ecg_recording") == [("gw-b",)]
        assert rows("select body ->> 'stream' from event where kind = 'ecg_stream'") == [(str(STREAM),)]
    assert saved(store, *pieces(4)) == ["duplicate"] * 4
