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
        assert connection.execute(HYPERTABLES).fetchall() == [("ecg_chunk",), ("message",), ("vital_reading",)]
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
    for file in ("store.sql", "read.sql", "resend.sql", "deadletter.sql", "replay.sql"):
        lines = (resources.files("feldsher_ingest") / file).read_text().splitlines()
        names = [i for i, line in enumerate(lines) if line.startswith("-- name: ")]
        assert names
        assert all(lines[i + 1].startswith("-- ") for i in names)
        assert len(names) == len(sql.load(file))


OLD_VALUES = """
insert into vital_sign (reading_id, code, time, corrected_time, received_at, device, user_no, value, absent, unit,
                        status, sent_at, device_behind_us, raw, message_id, gateway)
select ('00000000-0000-8000-8000-00000000000' || r)::uuid, 150020 + c,
       '2026-11-22 07:00+00'::timestamptz + r * '1 h'::interval, null, '2026-11-22 12:00+00', 'cuff', nullif(r, 3),
       case when r = 2 and c = 1 then null else (100 + c)::numeric end,
       case when r = 2 and c = 1 then 'nan' end, 'mm[Hg]', case when r = 2 then c else 0 end,
       case when r < 3 then '2026-11-22T12:00:00' end, 7, case when c = 1 then 'raw'::bytea end,
       '01999999-0000-7000-8000-000000000001', 'gw-a'
from generate_series(1, 3) r, generate_series(1, 2) c
"""
AS_ROWS = """
select reading_id, code, time, corrected_time, received_at, device, user_no, value, absent, unit, status, sent_at,
       device_behind_us, raw, message_id, gateway from vital_sign order by 1, 2
"""


def test_values_of_earlier_revisions_become_readings_and_look_the_same(empty_database: str) -> None:
    before, after, *_ = sql.schemas()
    with psycopg.connect(empty_database) as connection:
        connection.execute(before.encode())
        connection.execute(OLD_VALUES.encode())
        was = connection.execute(AS_ROWS.encode()).fetchall()
        connection.execute("insert into reading select distinct reading_id, message_id, gateway from vital_sign")
        connection.execute(after.encode())
        assert connection.execute(AS_ROWS.encode()).fetchall() == was
        assert len(was) == 6
        assert connection.execute("select count(*) from vital_reading").fetchone() == (3,)
        assert connection.execute("select count(*) from reading").fetchone() == (1,)  # the one without a clock
        latest = connection.execute("select user_no, value from latest_value where code = 150022 order by 1").fetchall()
        assert latest == [(1, 102), (2, 102), (None, 102)]
