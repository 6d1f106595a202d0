"""Readings of many events at once become what each of them becomes alone; a bad one among them stays behind alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from feldsher_cloud_api import db, worker
from feldsher_cloud_api.project import many
from feldsher_cloud_api.project.common import Event
from feldsher_ehr_core import wire
from feldsher_tools.clinic import Clinic

BP = {150021: "132", 150022: "84", 149546: "71"}
TABLES = ("fhir.observation", "fhir.provenance", "cloud.unassigned", "fhir.amount")


def messages(clinic: Clinic) -> list[wire.VitalsBatch]:
    """Readings as they come: the patient's, nobody's, doubtful ones, of a clock that nobody trusts, of new devices."""
    now = clinic.time.now
    plain = [clinic.vitals(now - timedelta(minutes=5 + n), BP) for n in range(3)]
    untimed = clinic.vitals(now - timedelta(minutes=2), BP)
    return [
        *plain,
        clinic.vitals(now - timedelta(days=4000), BP),
        clinic.vitals(now - timedelta(minutes=20), {150021: None, 150022: "80"}, status=5),
        msgspec.structs.replace(clinic.vitals(now - timedelta(minutes=30), BP), unowned=True),
        msgspec.structs.replace(untimed, sent_at=(None,) * len(BP)),
        clinic.vitals(now + timedelta(days=2), BP),
        clinic.vitals(now - timedelta(minutes=40), {149546: "70"}, device="AA:BB:CC:00:00:98"),
        clinic.vitals(now - timedelta(minutes=41), BP, device="AA:BB:CC:00:00:98"),
    ]


def record(clinic: Clinic) -> dict[str, list[Any]]:
    """What the record holds of measurements, without when it was written."""
    with clinic.owner() as connection:
        return {
            table: connection.execute(
                f"SELECT to_jsonb(t) - 'txid' - 'created' FROM {table} t ORDER BY to_jsonb(t)::text".encode()  # noqa: S608
            ).fetchall()
            for table in TABLES
        }


def not_at_all(*_: object) -> bool:
    """Stands for a projection of many that finds that it cannot be done."""
    return False


def test_together_they_become_what_they_become_alone(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = messages(clinic)
    clinic.receive(*sent)
    with monkeypatch.context() as alone:
        alone.setattr(worker, "_together", not_at_all)
        assert clinic.work() == len(sent)
    expected = record(clinic)
    with clinic.owner() as connection:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608 - this test's own names
        connection.execute("UPDATE event SET done_at = NULL, attempts = 0")
    with monkeypatch.context() as together:
        together.setattr(worker, "_alone", pytest.fail)
        assert clinic.work() == len(sent)
    assert record(clinic) == expected
    assert len(expected["cloud.unassigned"]) >= 4
    assert clinic.work() == 0


def test_again_changes_nothing(clinic: Clinic) -> None:
    sent = messages(clinic)
    clinic.receive(*sent)
    clinic.work()
    before = record(clinic)
    with clinic.owner() as connection:
        connection.execute("UPDATE event SET done_at = NULL, attempts = 0")
    clinic.time.move(minutes=1)
    assert clinic.work() == len(sent)
    assert record(clinic) == before


def test_a_bad_one_among_them_stays_behind_alone(clinic: Clinic) -> None:
    sent = messages(clinic)[:3]
    clinic.receive(*sent)
    lost = msgspec.json.encode({"readings": [str(uuid4())], "device": "cuff-1", "model": None}).decode()
    with clinic.owner() as connection:
        connection.execute(
            "INSERT INTO event (kind, gateway, message_id, body) VALUES ('vitals', 'gw-home', %s, %s)", (uuid4(), lost)
        )
    clinic.work()
    with clinic.owner() as connection:
        rows = connection.execute("SELECT done_at IS NULL, error, attempts FROM event ORDER BY id").fetchall()
        made = connection.execute("SELECT count(*) FROM fhir.provenance").fetchone()
    assert [row[0] for row in rows] == [False, False, False, True]
    assert "1 of 1 are not stored" in rows[-1][1]
    assert made == (3,)


def test_groups_keep_the_order_of_events_and_are_bounded() -> None:
    def event(number: int, kind: str, readings: int = 1, attempts: int = 0) -> tuple[Event, int]:
        body = {"readings": ["x"] * readings}
        return Event(number, datetime(2026, 11, 23, tzinfo=UTC), kind, "gw-a", uuid4(), body), attempts

    claimed = [
        event(1, "vitals"), event(2, "vitals"), event(3, "clock"), event(4, "vitals", many.MOST),
        event(5, "vitals"), event(6, "vitals", attempts=1), event(7, "vitals"),
    ]  # fmt: skip
    groups = [[one.id for one, _ in group] for group in worker._groups(claimed)]  # pyright: ignore[reportPrivateUsage]
    assert groups == [[1, 2], [3], [4], [5], [6], [7]]


def test_what_was_heard_of_a_moment_ago_is_not_written_again(clinic: Clinic) -> None:
    now = clinic.time.now
    clinic.receive(*[clinic.vitals(now - timedelta(minutes=n), BP) for n in range(1, 4)])
    clinic.work()

    def rows() -> list[Any]:
        with db.connect(clinic.url) as connection:
            return connection.execute("SELECT last_seen, xmin::text FROM cloud.gateway_device ORDER BY 1, 2").fetchall()

    before = rows()
    clinic.time.move(seconds=30)
    clinic.receive(clinic.vitals(now - timedelta(minutes=7), BP), clinic.vitals(now - timedelta(minutes=8), BP))
    clinic.work()
    assert rows() == before
    clinic.time.move(minutes=2)
    clinic.receive(clinic.vitals(now - timedelta(minutes=9), BP), clinic.vitals(now - timedelta(minutes=10), BP))
    clinic.work()
    assert rows() != before
