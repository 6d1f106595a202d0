"""The schema: idempotent, described, and complete where TimescaleDB is missing."""

from __future__ import annotations

from importlib import resources

import psycopg
import pytest
from feldsher_ingest import sql
from psycopg.errors import InsufficientPrivilege

HYPERTABLES = "select hypertable_name from timescaledb_information.hypertables order by 1"
UNDESCRIBED = """
select c.relname, a.attname from pg_class c
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
  and (c.relkind = 'r' and col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)
"""


def test_it_can_be_applied_twice_and_describes_everything(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        for text in sql.schemas():
            connection.execute(text.encode())
            connection.execute(text.encode())
        assert connection.execute(HYPERTABLES).fetchall() == [("message",), ("vital_reading",)]
        assert connection.execute(UNDESCRIBED.encode()).fetchall() == []


def test_without_timescaledb_there_are_plain_tables_and_a_notice(empty_database: str) -> None:
    told: list[str] = []
    with psycopg.connect(empty_database) as connection:
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        connection.execute("drop extension if exists timescaledb")
        for text in sql.schemas():
            connection.execute(text.replace("where name = 'timescaledb'", "where name = 'not there'").encode())
        assert [n for n in told if "TimescaleDB is missing" in n] != []
        found = connection.execute("select count(*) from pg_class where relname = 'vital_reading' and relkind = 'r'")
        assert found.fetchone() == (1,)


@pytest.mark.parametrize("table", ["event", "message", "ingest_epoch"])
def test_ingest_may_not_rewrite_what_it_wrote(store_url: str, table: str) -> None:
    with psycopg.connect(store_url) as connection:
        connection.execute("set role feldsher_ingest")
        with pytest.raises(InsufficientPrivilege):
            connection.execute(f"delete from {table}".encode())  # noqa: S608 (our own words)


def test_every_query_is_described() -> None:
    for file in ("store.sql", "read.sql", "resend.sql", "deadletter.sql"):
        lines = (resources.files("feldsher_ingest") / file).read_text().splitlines()
        names = [i for i, line in enumerate(lines) if line.startswith("-- name: ")]
        assert names
        assert all(lines[i + 1].startswith("-- ") for i in names)
        assert len(names) == len(sql.load(file))
