"""Every type of resource: written, changed, deleted, read as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import refill, row, store
from feldsher_cloud_api.fhir.identity import key
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.outcome import FhirError
from psycopg import sql

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
EXAMPLES = [db.loads(line) for line in (Path(__file__).parent / "examples.ndjson").read_text("utf-8").splitlines()]


@pytest.fixture
def connection(database: str) -> Iterator[db.Connection]:
    with db.connect(database) as connection:
        yield connection


def _changes(connection: db.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT type, version, method FROM fhir.change ORDER BY txid, seq").fetchall()


def _observation(value: str, name: str = "o1") -> dict[str, Any]:
    quantity = {"value": Decimal(value), "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    subject = {"reference": "Patient/anna"}
    return {"resourceType": "Observation", "id": name, "subject": subject, "valueQuantity": quantity}


def test_every_example_of_the_standard_is_kept_whole(connection: db.Connection) -> None:
    for example in EXAMPLES:
        assert store.insert(connection, example, now=NOW), example["resourceType"]
    for example in EXAMPLES:
        stored = store.read(connection, example["resourceType"], key(example["id"]))
        assert row.unstamped(stored.content()) == row.unstamped(example)
        assert (stored.logical, stored.version) == (example["id"], 1)
    assert len(_changes(connection)) == sum(e["resourceType"] != "AuditEvent" for e in EXAMPLES)


def test_filling_anew_changes_nothing(connection: db.Connection) -> None:
    for example in EXAMPLES:
        store.insert(connection, example, now=NOW)

    def state() -> list[Any]:
        tables = sorted({kind(e["resourceType"]).table for e in EXAMPLES})
        query = sql.SQL("SELECT * FROM {} ORDER BY id, content ->> 'resourceType'")
        rows = [connection.execute(query.format(sql.Identifier("fhir", t))).fetchall() for t in tables]
        amounts = connection.execute("SELECT a::text FROM fhir.amount a ORDER BY 1").fetchall()
        return [*rows, amounts]

    before = state()
    assert sum(refill.refill(connection, name) for name in sorted({e["resourceType"] for e in EXAMPLES})) == len(
        EXAMPLES
    )
    assert state() == before


def test_the_life_of_a_resource(connection: db.Connection) -> None:
    first, second = _observation("120.0"), _observation("121")
    o1 = key("o1")
    assert store.put(connection, first, now=NOW) == 1
    assert store.put(connection, first, now=NOW + timedelta(1)) == 1  # the same again
    assert store.update(connection, second, now=NOW, expected=1, method="PATCH") == 2
    for wrong in (1, 3):
        with pytest.raises(FhirError, match=f"version {wrong} was expected, there is version 2"):
            store.update(connection, first, now=NOW, expected=wrong)
    assert store.read(connection, "Observation", o1).patient == key("anna")
    with pytest.raises(FhirError) as stale:
        store.delete(connection, "Observation", o1, now=NOW, expected=1)
    assert stale.value.status == 412
    assert store.delete(connection, "Observation", o1, now=NOW, expected=2) == 3
    assert store.delete(connection, "Observation", o1, now=NOW) is None
    with pytest.raises(FhirError) as gone:
        store.read(connection, "Observation", o1)
    assert gone.value.status == 410
    assert connection.execute("SELECT count(*) FROM fhir.amount").fetchone() == (0,)
    assert not store.insert(connection, first, now=NOW)  # the id has had its first version
    assert store.put(connection, first, now=NOW) == 4
    assert connection.execute("SELECT count(*) FROM fhir.amount").fetchone() == (1,)
    found = store.versions(connection, "Observation", o1)
    assert [(v.version, v.deleted) for v in found] == [(4, False), (3, True), (2, False), (1, False)]
    assert '"value": 120.0' in store.vread(connection, "Observation", o1, 1).json
    for version, status in ((3, 410), (5, 404)):
        with pytest.raises(FhirError) as refused:
            store.vread(connection, "Observation", o1, version)
        assert refused.value.status == status
    assert [c[1:] for c in _changes(connection)] == [(1, "PUT"), (2, "PATCH"), (3, "DELETE"), (4, "PUT")]


def test_many_at_once_are_as_one_by_one(database: str, connection: db.Connection) -> None:
    binary = {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "aGVsbG8="}
    everything = [*EXAMPLES, binary]

    def state() -> list[Any]:
        tables = sorted({kind(e["resourceType"]).table for e in everything})
        query = sql.SQL("SELECT to_jsonb(t) - 'txid' FROM {} t ORDER BY id, content ->> 'resourceType'")
        rows = [connection.execute(query.format(sql.Identifier("fhir", t))).fetchall() for t in tables]
        others = (
            "SELECT a::text FROM fhir.amount a ORDER BY 1",
            "SELECT type, id, method FROM fhir.change ORDER BY 1, 2",
        )
        return [*rows, *(connection.execute(query).fetchall() for query in others)]

    for example in everything:
        store.insert(connection, example, now=NOW)
    single = state()
    connection.rollback()
    assert all(store.insert_many(connection, everything, now=NOW))
    assert state() == single
    assert store.picture(connection, key("b"))[0] == b"hello"
    more = [_observation("1"), _observation("2"), EXAMPLES[0]]
    assert store.insert_many(connection, more, now=NOW) == [True, False, False]
    assert '"value": 1' in store.read(connection, "Observation", key("o1")).json


def test_types_that_share_a_table_share_no_ids(connection: db.Connection) -> None:
    for name in ("Library", "Endpoint", "BodyStructure"):
        assert store.insert(connection, {"resourceType": name, "id": "x", "status": "active"}, now=NOW)
    assert store.delete(connection, "Library", key("x"), now=NOW) == 2
    assert store.find(connection, "Library", key("x")) is None
    assert store.read(connection, "Endpoint", key("x")).content()["resourceType"] == "Endpoint"
    assert [v.version for v in store.versions(connection, "Library", key("x"))] == [2, 1]


def test_of_many_who_create_the_same_one_does(database: str) -> None:
    made: list[bool] = []
    together = threading.Barrier(8)

    def create() -> None:
        with db.connect(database) as connection:
            together.wait()
            made.append(store.insert(connection, _observation("1"), now=NOW))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


_LOG = "SELECT id FROM fhir.change WHERE (txid, seq) > (%s::xid8, %s) AND txid < fhir.settled() ORDER BY txid, seq"


def test_who_follows_the_log_skips_nobody_who_commits_late(database: str) -> None:
    with db.connect(database) as late, db.connect(database) as early, db.connect(database, autocommit=True) as reader:
        late.execute("SELECT pg_current_xact_id()")  # it is first, and ends last
        store.insert(early, _observation("1", "early"), now=NOW)
        early.commit()
        assert reader.execute(_LOG, ("0", 0)).fetchall() == []  # what is before it may still come
        store.insert(late, _observation("2", "late"), now=NOW)
        late.commit()
        found = [r[0] for r in reader.execute(_LOG, ("0", 0)).fetchall()]
        assert found == [key("late"), key("early")]
        last = reader.execute("SELECT txid::text, seq FROM fhir.change WHERE id = %s", (key("early"),)).fetchone()
        assert reader.execute(_LOG, last).fetchall() == []


def test_nul_is_refused(connection: db.Connection) -> None:
    with pytest.raises(FhirError, match="NUL"):
        store.insert(connection, {"resourceType": "Basic", "id": "x", "code": {"text": "a\0b"}}, now=NOW)
    assert store.insert(connection, {"resourceType": "Basic", "id": "x", "code": {"text": "a\\u0000b"}}, now=NOW)
