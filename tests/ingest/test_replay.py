"""Runs over a real database: what is chosen, what is left, and that only results tell what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from feldsher_ingest import replay
from feldsher_ingest.replay import Asked, ReplayError, Run
from feldsher_ingest.replay_task import Order, fetch, give_up, work
from feldsher_ingest.simulate import START_US
from feldsher_signal import interpret

Archive = Callable[[int], list[UUID]]
START = datetime.fromtimestamp(START_US / 1e6, UTC)


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as opened:
        yield opened


def begun(connection: psycopg.Connection[Any], **asked: Any) -> Run:
    return replay.begin(connection, Asked(**asked), "tester")


def test_everything_that_this_engine_has_not_interpreted_is_pending(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    ids = archive(6)
    connection.execute("update ecg_recording set engine = %s where id = %s", (interpret.ENGINE, ids[2]))
    run = begun(connection)
    assert (run.total, run.state, run.engine, run.asked_by) == (5, "open", interpret.ENGINE, "tester")
    assert replay.pending(connection, run) == ids[:2] + ids[3:]
    assert replay.pending(connection, run, ids[0], most=2) == [ids[1], ids[3]]


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({"start": START + timedelta(seconds=-8)}, [1, 2, 3, 4, 5]),  # each begins ten seconds before it is sent
        ({"end": START + timedelta(seconds=-7)}, [0, 1]),
        ({"gateways": ("gw-b",)}, []),
        ({"devices": ("kit-gw-a", "other")}, [0, 1, 2, 3, 4, 5]),
        ({"engines": ("none",)}, [3]),
        ({"engines": ("none", "feldsher 0.1")}, [0, 1, 2, 3, 4, 5]),
        ({"engines": ("feldsher 0.1",), "said": ("AFIB",)}, [4]),
    ],
)
def test_chosen(
    archive: Archive, connection: psycopg.Connection[Any], asked: dict[str, Any], chosen: list[int]
) -> None:
    ids = archive(6)
    connection.execute(
        "update ecg_recording set engine = null, statements = null, interpretation = null where id = %s", (ids[3],)
    )
    connection.execute("update ecg_recording set statements = '{SR,AFIB}' where id = %s", (ids[4],))
    run = begun(connection, **asked)
    assert replay.pending(connection, run) == [ids[i] for i in chosen]
    assert run.total == len(chosen)


def test_ids_are_chosen_and_what_is_done_is_left_out(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    ids = archive(4)
    run = begun(connection, ids=tuple(ids[1:3]))
    assert replay.pending(connection, run) == ids[1:3]
    work(run.order, [ids[1].bytes])
    assert replay.pending(connection, run) == [ids[2]]
    assert replay.left(connection, run) == 1
    later = begun(connection)
    assert replay.pending(connection, later) == [ids[0], ids[2], ids[3]]
    now = replay.shown(connection, run.run)
    assert (now.total, now.done, now.failed, now.state) == (2, 1, 0, "open")


def test_a_failure_is_tried_again_by_a_run_that_asks_for_it_only(
    archive: Archive, connection: psycopg.Connection[Any]
) -> None:
    (bad,) = archive(1)
    first = begun(connection)
    give_up(connection, first.order, bad, "it was said so")
    assert replay.pending(connection, first) == []
    assert replay.pending(connection, begun(connection)) == []
    again = begun(connection, retry_failed=True)
    assert replay.pending(connection, again) == [bad]
    work(again.order, [bad.bytes])
    assert replay.pending(connection, again) == []
    assert connection.execute("select run, failed from ecg_interpretation").fetchall() == [(again.run, None)]


def test_two_processes_do_not_drive_one_run(
    archive: Archive, connection: psycopg.Connection[Any], store_url: str
) -> None:
    archive(1)
    run = begun(connection)
    replay.claim(connection, run.run)
    with psycopg.connect(store_url) as other, pytest.raises(ReplayError, match="by another process"):
        replay.claim(other, run.run)


def test_a_run_of_another_engine_is_not_gone_on_with(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    archive(1)
    run = begun(connection)
    replay.check_engine(run)
    connection.execute("update replay_run set engine = 'feldsher 0.0'")
    with pytest.raises(ReplayError, match="begin a new run"):
        replay.check_engine(replay.shown(connection, run.run))
    with pytest.raises(ReplayError, match=r"run wants feldsher 0\.0"):
        work(Order(run.run, "feldsher 0.0", apply_unsigned=False), [])


def test_there_is_no_such_run(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(ReplayError, match="there is no run 9"):
        replay.shown(connection, 9)


def test_runs_end_and_are_listed_newest_first(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    archive(1)
    first, second = begun(connection), begun(connection)
    replay.end(connection, first.run)
    assert [(r.run, r.state) for r in replay.newest(connection)] == [(second.run, "open"), (first.run, "ended")]


def test_a_task_reads_what_is_still_to_be_done(archive: Archive, connection: psycopg.Connection[Any]) -> None:
    ids = archive(3)
    run = begun(connection)
    work(run.order, [ids[1].bytes])
    assert sorted(row.id for row in fetch(connection, run.order, ids)) == [ids[0], ids[2]]
