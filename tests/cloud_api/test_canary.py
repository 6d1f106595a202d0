"""The canary: when test alarms are due, what of them is noted, how silence is seen, and that nothing of them stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from feldsher_cloud_api import canary, db, provision
from feldsher_cloud_api.canary import Seen, Standing
from feldsher_cloud_api.fleet import limits, problems
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import CANARIES, SHARDS
from feldsher_tools.clinic import Clinic
from prometheus_client import generate_latest

EVERY = timedelta(minutes=5)


@pytest.fixture
def connection(clinic: Clinic) -> Iterator[db.Connection]:
    """The worker's connection, with canaries that are sent every five minutes."""
    with clinic.owner() as owner:
        owner.execute("DELETE FROM cloud.canary")
    with db.connect(clinic.url, db.WORKER, autocommit=True) as worker:
        canary.prepare(worker, EVERY, clinic.time())
        yield worker


def deaf(messages: Sequence[wire.VitalsBatch]) -> Iterable[Seen]:
    return ()


class Line:
    """A line on which everything comes through unless it is told otherwise: stored by ingest, alarmed by the watch."""

    def __init__(self, clinic: Clinic, *, stored: bool = True, alarmed: bool = True, deaf: str = "") -> None:
        self.clinic, self.stored, self.alarmed, self.deaf = clinic, stored, alarmed, deaf

    def __call__(self, messages: Sequence[wire.VitalsBatch]) -> Iterator[Seen]:
        for one in messages:
            if one.env.gateway == self.deaf:
                continue
            yield Seen(one.env.gateway, one.env.id, "heard")
            if not self.stored:
                continue
            self._watch(one.env.gateway)
            assert self.clinic.receive(one) == ["stored"]
            yield Seen(one.env.gateway, one.env.id, "receipted")

    def _watch(self, gateway: str) -> None:
        during = "(,)" if self.alarmed else "empty"
        with self.clinic.owner() as connection:
            connection.execute(
                "UPDATE watch_subject SET during = %s WHERE device LIKE %s AND during <> %s",
                (during, f"{gateway}/%", during),
            )


def standing(clinic: Clinic) -> Standing:
    with db.connect(clinic.url, db.WORKER) as worker:
        return canary.standing(worker, clinic.time())


def trouble(clinic: Clinic) -> list[tuple[Any, ...]]:
    with clinic.owner() as owner, owner.transaction():
        found, _, _ = problems.page(owner, limits.load(), clinic.time(), code="canary")
    return [(p.of, p.name, p.urgent, p.figure) for p in found]


def test_a_crossing_is_noted_with_its_legs(clinic: Clinic, connection: db.Connection) -> None:
    assert canary.tend(connection, Line(clinic), clinic.time()) == SHARDS
    clinic.time.move(seconds=2)
    clinic.work()
    found = standing(clinic)
    assert found.well
    for one in found.canaries:
        assert one.crossed_at == clinic.time()
        assert one.heard_s is not None
        assert one.receipt_s is not None
        assert one.stored_s is not None
        assert one.seconds is not None
        assert 0 <= one.heard_s <= one.receipt_s <= one.seconds


def test_nothing_of_it_reaches_the_record_or_the_fleet(clinic: Clinic, connection: db.Connection) -> None:
    tables = ("fhir.observation", "fhir.provenance", "fhir.device", "cloud.device", "cloud.gateway", "cloud.unassigned")
    query = " UNION ALL ".join(f"SELECT count(*) FROM {t}" for t in tables)  # noqa: S608 - names of this test's own
    with clinic.owner() as owner:
        before = owner.execute(query.encode()).fetchall()
        canary.tend(connection, Line(clinic), clinic.time())
        assert clinic.work() == 2 * SHARDS
        assert owner.execute(query.encode()).fetchall() == before
        assert owner.execute("SELECT count(*) FROM public.event").fetchone() == (0,)


def test_it_is_sent_every_interval_and_ten_times_as_often_while_nothing_comes_through(
    clinic: Clinic, connection: db.Connection
) -> None:
    line = Line(clinic)
    assert canary.tend(connection, line, clinic.time()) == SHARDS
    assert canary.tend(connection, line, clinic.time()) == 0
    clinic.work()
    clinic.time.move(seconds=299)
    assert canary.tend(connection, line, clinic.time()) == 0
    clinic.time.move(seconds=1)
    assert canary.tend(connection, deaf, clinic.time()) == SHARDS
    clinic.time.move(seconds=29)
    assert canary.tend(connection, line, clinic.time()) == 0
    clinic.time.move(seconds=1)
    assert canary.tend(connection, line, clinic.time()) == SHARDS


def test_of_two_workers_one_sends_it(clinic: Clinic, connection: db.Connection) -> None:
    with db.connect(clinic.url, db.WORKER) as other:
        assert len(canary.take(connection, clinic.time())) == SHARDS
        assert canary.take(other, clinic.time()) == []


@pytest.mark.parametrize(
    ("line", "leg"),
    [(None, "worker"), ("deaf", "broker"), ("unstored", "ingest"), ("unwatched", "watch")],
)
def test_where_a_leg_is_cut_that_is_noticed_and_named(
    clinic: Clinic, connection: db.Connection, line: str | None, leg: str
) -> None:
    canary.tend(connection, Line(clinic), clinic.time())
    clinic.work()
    lines = {"deaf": deaf, "unstored": Line(clinic, stored=False), "unwatched": Line(clinic, alarmed=False)}
    for _ in range(2):
        clinic.time.move(minutes=5)
        if line is not None:
            canary.tend(connection, lines[line], clinic.time())
        clinic.work()
    assert trouble(clinic) == []
    assert standing(clinic).well
    clinic.time.move(seconds=30)
    assert trouble(clinic) == [("line", f"{SHARDS}/{SHARDS}", True, leg)]
    assert [c.stopped(clinic.time()) for c in standing(clinic).silent] == [leg] * SHARDS


def test_a_single_shard_that_is_silent_is_noticed(clinic: Clinic, connection: db.Connection) -> None:
    for _ in range(3):
        canary.tend(connection, Line(clinic, deaf=CANARIES[7]), clinic.time())
        clinic.work()
        clinic.time.move(minutes=5)
    assert [c.shard for c in standing(clinic).silent] == [7]
    assert trouble(clinic) == [("line", f"1/{SHARDS}", True, "broker")]


def test_an_installation_that_never_sent_one_says_so(clinic: Clinic, connection: db.Connection) -> None:
    with clinic.owner() as owner:
        owner.execute("DELETE FROM cloud.canary")
    assert trouble(clinic) == [("line", "0/0", True, "worker")]
    assert not standing(clinic).well


def test_pages_health_and_metrics_tell_it(clinic: Clinic, connection: db.Connection) -> None:
    silent = f"feldsher_canary_silent {float(SHARDS)}"
    clinic.time.move(minutes=11)
    assert clinic.browser.get("/health/ready").json() == {"status": "ready", "alarms": "silent"}
    said = generate_latest(clinic.metrics.registry).decode()
    assert silent in said
    assert 'feldsher_fleet_problems{code="canary",of="line"} 1.0' in said
    clinic.sign_in("technician")
    page = clinic.browser.get("/fleet", headers={"accept": "text/html"}).text
    assert "Alarm line" in page
    assert "does not send any" in page
    canary.tend(connection, Line(clinic), clinic.time())
    clinic.work()
    assert clinic.browser.get("/health/ready").json() == {"status": "ready", "alarms": "crossing"}
    said = generate_latest(clinic.metrics.registry).decode()
    assert "feldsher_canary_silent 0.0" in said
    assert f'feldsher_canary_crossed_timestamp_seconds{{shard="{SHARDS - 1}"}}' in said
    for leg in ("broker", "ingest", "watch", "worker"):
        assert f'feldsher_canary_seconds{{leg="{leg}",shard="0"}}' in said


def test_readings_are_forgotten_after_a_day_and_nobody_elses(clinic: Clinic, connection: db.Connection) -> None:
    at = clinic.time()
    clinic.receive(clinic.vitals(at - timedelta(minutes=1), {150021: "132"}))
    canary.tend(connection, Line(clinic), at)
    left = "SELECT count(*), count(*) FILTER (WHERE gateway LIKE 'feldsher-canary-%') FROM "
    with clinic.owner() as owner:
        canary.prune(connection, at + timedelta(hours=23))
        assert owner.execute(f"{left} vital_sign".encode()).fetchone() == (1 + 2 * SHARDS, 2 * SHARDS)
        canary.prune(connection, at + timedelta(hours=25))
        assert owner.execute(f"{left} vital_sign".encode()).fetchone() == (1, 0)
        assert owner.execute(f"{left} message".encode()).fetchone() == (1, 0)


def test_nobodys_gateway_bears_such_a_name(clinic: Clinic) -> None:
    clinic.sign_in("technician")
    authority = clinic.context.settings
    with clinic.owner() as owner, pytest.raises(ValueError, match="test alarms"):
        provision.add_gateway(owner, authority, provision.ca.load(authority.ca_directory), CANARIES[3], "x")
