"""Pages follow each other without gap or repetition in every order, and whoever follows changes misses none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Reach
from feldsher_cloud_api.fhir import search, store
from feldsher_tools.postgres import DatabaseServer

BASE = "https://record.example/fhir"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_DATES = ("2024-05-01", None, "2023", "2024-05-01T10:00:00Z", "2025-01", None, "2024-05-02")


@pytest.fixture(scope="module")
def shared(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here that commit nothing."""
    name = f"feldsher_page_{os.getpid()}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def connection(shared: str) -> Iterator[db.Connection]:
    with db.connect(shared, db.WORKER) as opened:
        yield opened
        opened.rollback()


def _observation(n: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{n:02}",
        "status": ("final", "amended", "preliminary")[n % 3],
        "code": {"coding": [{"system": "http://loinc.org", "code": str(n % 4)}]},
        "subject": {"reference": f"Patient/p{n % 5}"},
    }
    if (at := _DATES[n % len(_DATES)]) is not None:
        made["effectiveDateTime"] = at
    if n % 4:
        made["valueQuantity"] = {"value": n * 7 % 10, "unit": "mg"}
    return made


def _fill(connection: db.Connection, count: int = 23) -> None:
    for n in range(count):
        assert store.insert(connection, _observation(n), now=NOW + timedelta(minutes=n % 6))


def _walk(connection: db.Connection, kinds: str | tuple[str, ...], pairs: list[tuple[str, str]]) -> list[str]:
    """Return the ids of all pages after each other."""
    out: list[str] = []
    place: list[str] | None = None
    while True:
        asked = search.understand(kinds, pairs, BASE, now=NOW)
        result = search.answer(connection, asked, EVERYTHING, after=place)
        out += [f"{f.kind}/{f.stored.logical}" for f in result.page.found]
        place = result.page.place
        if place is None:
            return out
        assert len(result.page.found) == asked.count


@pytest.mark.parametrize(
    "sort",
    ["", "_id", "-_id", "-_lastUpdated", "date", "-date", "status", "-status,date", "code,-date", "value-quantity",
     "-value-quantity,_id", "subject,-_lastUpdated", "-date,-value-quantity"],
)  # fmt: skip
def test_pages_of_every_order_hold_each_row_once(connection: db.Connection, sort: str) -> None:
    _fill(connection)
    pairs = [("_sort", sort)] if sort else []
    whole = _walk(connection, "Observation", [*pairs, ("_count", "1000")])
    assert len(set(whole)) == 23
    for count in ("1", "4"):
        assert _walk(connection, "Observation", [*pairs, ("_count", count)]) == whole


def test_an_order_is_what_it_says_and_what_has_no_value_comes_last(connection: db.Connection) -> None:
    _fill(connection)

    def keys(sort: str, name: str) -> list[Any]:
        asked = search.understand("Observation", [("_sort", sort)], BASE, now=NOW)
        return [s.content().get(name) for s in search.run(connection, asked, EVERYTHING)[0]]

    dated = [d for d in keys("date", "effectiveDateTime") if d]
    assert keys("date", "effectiveDateTime")[len(dated) :] == [None] * (23 - len(dated))
    assert dated[0] == "2023"
    assert dated[-1] == "2025-01"
    assert keys("-date", "effectiveDateTime")[0] == "2025-01"
    assert keys("-date", "effectiveDateTime")[-1] is None
    assert keys("-status", "status") == sorted(keys("-status", "status"), reverse=True)
    sizes = keys("-value-quantity", "valueQuantity")
    values = [q["value"] for q in sizes if q]
    assert values == sorted(values, reverse=True)
    assert sizes[-1] is None


def test_several_types_are_merged_in_one_order(connection: db.Connection) -> None:
    _fill(connection, 9)
    for n in range(9):  # the same ids
        patient = {"resourceType": "Patient", "id": f"o{n:02}"}
        assert store.insert(connection, patient, now=NOW + timedelta(minutes=n % 4))
    kinds = ("Observation", "Patient")
    for sort in ("_id", "-_id", "-_lastUpdated"):
        whole = _walk(connection, kinds, [("_sort", sort), ("_count", "100")])
        assert len(set(whole)) == 18
        assert _walk(connection, kinds, [("_sort", sort), ("_count", "5")]) == whole


def test_who_follows_changes_misses_no_transaction_that_commits_late(database: str) -> None:
    with db.connect(database, db.WORKER) as reader, db.connect(database, db.WORKER) as late:
        for n in range(4):
            store.insert(reader, _observation(n), now=NOW + timedelta(seconds=n))
        reader.commit()
        # Begun early, with an early moment, and not committed yet.
        store.insert(late, _observation(10), now=NOW + timedelta(seconds=1, milliseconds=500))
        store.insert(reader, _observation(5), now=NOW + timedelta(seconds=20))
        reader.commit()
        pairs = [("_sort", "_lastUpdated"), ("_count", "3")]
        asked = search.understand("Observation", pairs, BASE, now=NOW)
        first = search.answer(reader, asked, EVERYTHING)
        reader.commit()
        assert [f.stored.logical for f in first.page.found] == ["o00", "o01", "o02"]
        late.commit()
        second = search.answer(reader, asked, EVERYTHING, after=first.page.place)
        assert [f.stored.logical for f in second.page.found] == ["o10", "o03", "o05"]


def test_what_has_not_settled_is_not_shown_to_who_follows_changes(database: str) -> None:
    with db.connect(database, db.WORKER) as reader, db.connect(database, db.WORKER) as late:
        store.insert(late, _observation(1), now=NOW)
        store.insert(reader, _observation(2), now=NOW + timedelta(seconds=5))
        reader.commit()

        def seen(sort: str) -> list[str]:
            asked = search.understand("Observation", [("_sort", sort)], BASE, now=NOW)
            found = [s.logical for s in search.run(reader, asked, EVERYTHING)[0]]
            reader.commit()
            return found

        assert seen("_lastUpdated") == []
        assert seen("-_lastUpdated") == ["o02"]
        late.rollback()
        assert seen("_lastUpdated") == ["o02"]


def test_totals_are_counted_or_estimated_and_never_told_of_rows_out_of_reach(connection: db.Connection) -> None:
    _fill(connection)

    def total(reach: Reach, **pairs: str) -> int | None:
        asked = search.understand("Observation", list(pairs.items()), BASE, now=NOW)
        return search.run(connection, asked, reach)[2]

    assert total(EVERYTHING, _total="accurate") == 23
    assert total(EVERYTHING, _total="accurate", status="final") == 8
    assert total(EVERYTHING) is None
    assert total(EVERYTHING, _summary="count", status="final") == 8
    assert total(EVERYTHING, _count="0", status="final") == 8
    estimated = total(EVERYTHING, _total="estimate")
    assert estimated is not None
    nobody = Reach(patients=())
    assert total(nobody, _total="estimate") == 0
    assert total(nobody, _total="accurate") == 0
