"""A task over a real database: what it writes, that a repeat changes nothing, and what cannot be interpreted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_ingest import read, replay, replay_task
from feldsher_ingest.replay import Asked, Run
from feldsher_ingest.replay_change import Change, Said, change
from feldsher_ingest.replay_task import Done, patiently, work
from feldsher_ingest.store import UnavailableError
from feldsher_signal import codec, interpret
from feldsher_signal.record import Recording

Archive = Callable[[int], list[UUID]]


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


def begun(connection: psycopg.Connection[Any], **asked: Any) -> Run:
    return replay.begin(connection, Asked(**asked), "tester")


def octets(ids: list[UUID]) -> list[bytes]:
    return [identity.bytes for identity in ids]


def expected(message: wire.EcgRecording, subject: Subject | None = None) -> Interpretation:
    samples = codec.decode(message.samples, len(message.leads), message.n, message.codec)
    return interpret.interpret(Recording(message.leads, message.fs, samples, message.uv_per_bit), subject)


def said(found: Interpretation) -> Said:
    return Said(found.statements, found.measurements)


def test_what_a_task_writes_is_what_the_engine_says(
    archive: Archive, connection: psycopg.Connection[Any], cardiograms: list[wire.EcgRecording]
) -> None:
    ids = archive(6)
    connection.execute("update ecg_recording set subject = %s where id = %s", ('{"age":71,"sex":"female"}', ids[4]))
    connection.execute("update ecg_recording set interpretation = null, engine = null where id = %s", (ids[1],))
    run = begun(connection)
    done = work(run.order, octets(ids))
    rows = connection.execute(
        "select recording, statements, critical, new_critical, differs, change, interpretation, failed, run"
        " from ecg_interpretation where engine = %s",
        (interpret.ENGINE,),
    ).fetchall()
    stored = {row[0]: row[1:] for row in rows}
    assert stored.keys() == set(ids)
    fresh = 0
    for i, (identity, message) in enumerate(zip(ids, cardiograms, strict=True)):
        found = expected(message, Subject(71, "female") if i == 4 else None)
        assert message.interpretation is not None
        statements, critical, new, differs, how, interpretation, failed, number = stored[identity]
        moved = change(said(message.interpretation), said(found)) if i != 1 else None
        assert msgspec.msgpack.decode(interpretation, type=Interpretation) == found
        assert statements == [s.code for s in found.statements]
        assert critical == new == [s.code for s in found.statements if s.critical]
        assert differs == (bool(critical) if moved is None else moved.differs)
        assert (None if how is None else msgspec.convert(how, Change)) == moved
        assert (failed, number) == (None, run.run)
        fresh += bool(new)
    assert (done.done, done.failed, done.critical) == (6, 0, fresh)
    assert fresh >= 2


def test_the_gateways_own_interpretation_stays(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    ids = archive(2)
    before = connection.execute("select * from ecg_recording order by id").fetchall()
    work(begun(connection).order, octets(ids))
    assert connection.execute("select * from ecg_recording order by id").fetchall() == before
    later = read.recording(connection, ids[0], interpret.ENGINE)
    assert later is not None
    assert later.interpretation is not None
    assert later.interpretation.engine == interpret.ENGINE
    with pytest.raises(read.DamagedError, match=r"feldsher 0\.1 is missing"):
        read.recording(connection, ids[0], "feldsher 0.1")


def test_a_new_critical_statement_makes_one_event_in_the_same_transaction(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(2)
    run = begun(connection)
    work(run.order, octets(ids))
    work(run.order, octets(ids))
    rows = connection.execute("select gateway, message_id, body from event where kind = 'reinterpreted'").fetchall()
    (row,) = rows
    assert row[:2] == ("gw-a", ids[1])
    (codes,) = connection.execute(
        "select new_critical from ecg_interpretation where recording = %s", (ids[1],)
    ).fetchall()[0]
    body = {"recording": str(ids[1]), "engine": run.engine, "run": run.run, "critical": codes, "apply": False}
    assert row[2] == body


def test_every_interpretation_makes_an_event_where_it_is_to_be_applied(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(3)
    work(begun(connection, apply_unsigned=True).order, octets(ids))
    rows = connection.execute("select message_id, body->'apply' from event where kind = 'reinterpreted'").fetchall()
    assert sorted(rows) == [(identity, True) for identity in ids]


def test_a_repeat_changes_nothing(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    ids = archive(3)
    run = begun(connection)
    assert work(run.order, octets(ids[:2])).done == 2
    before = connection.execute("select * from ecg_interpretation order by recording").fetchall()
    assert work(run.order, octets(ids)).done == 1
    # a task that had read before another wrote offers its own results all the same
    late = [replay_task.judge(row) for row in replay_task.fetch(connection, begun(connection).order, ids)]
    assert late == []
    after = connection.execute("select * from ecg_interpretation order by recording").fetchall()
    assert after[:2] == before
    assert len(after) == 3


def test_results_that_another_task_was_faster_with_are_dropped(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(2)
    run = begun(connection)
    slow = [replay_task.judge(row) for row in replay_task.fetch(connection, run.order, ids)]
    work(run.order, octets(ids[1:]))
    events = connection.execute("select count(*) from event").fetchone()
    assert replay_task.keep(connection, run.order, slow) == 1
    assert connection.execute("select count(*) from event").fetchone() == events
    assert connection.execute("select count(*) from ecg_interpretation").fetchone() == (2,)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("samples = '\\x00'", "CodecError: samples:"),
        ("sha256 = sha256 || '\\x00'", "ValueError: samples: they have another SHA-256"),
        ("fs = 12", "ValueError: fs: 12 samples per second"),
        ("codec = 'mp3'", "CodecError: codec: 'mp3' is not known"),
        ('subject = \'{"age": "old"}\'', "ValidationError: Expected `int | null`"),
        ("interpretation = '\\xc1'", "DecodeError: "),
        ("uv_per_bit = '{}'", "ValueError: "),
    ],
)
def test_what_cannot_be_interpreted_is_kept_with_its_reason(
    archive: Archive, connection: psycopg.Connection[Any], damage: str, reason: str
) -> None:
    ids = archive(3)
    connection.execute(f"update ecg_recording set {damage} where id = %s".encode(), (ids[1],))  # noqa: S608 (our words)
    run = begun(connection)
    done = work(run.order, octets(ids))
    assert (done.done, done.failed) == (2, 1)
    rows = connection.execute("select recording, failed from ecg_interpretation where failed is not null").fetchall()
    assert [row[0] for row in rows] == [ids[1]]
    assert rows[0][1].startswith(reason)
    assert replay.pending(connection, run) == []


def test_a_recording_that_was_deleted_meanwhile_is_no_trouble(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(2)
    run = begun(connection)
    results = [replay_task.judge(row) for row in replay_task.fetch(connection, run.order, ids)]
    connection.execute("delete from ecg_recording where id = %s", (ids[0],))
    assert replay_task.keep(connection, run.order, results) == 1


def test_the_database_is_waited_for_with_growing_pauses_but_not_for_ever() -> None:
    now = [0.0]
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    asked = iter([UnavailableError("gone"), UnavailableError("gone"), None])

    def ask() -> str:
        error = next(asked)
        if error is not None:
            raise error
        return "back"

    assert patiently(ask, 60.0, lambda: now[0], wait) == "back"
    assert pauses == [0.1, 0.2]

    def gone() -> str:
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError):
        patiently(gone, 60.0, lambda: now[0], wait)
    assert 60.0 <= now[0] <= 66.0
    assert max(pauses) == 5.0


def test_what_tasks_come_to_is_added() -> None:
    assert Done(1, 2, 3, 0.5) + Done(10, 20, 30, 0.25) == Done(11, 22, 33, 0.75)
