"""Editions of TimescaleDB: the columnstore is added where the Community edition is, and nothing elsewhere.

THE COMMUNITY EDITION ITSELF IS NOT RUN HERE: Debian has the Apache edition only, and no package registry in use has
the other. What is tested is our probe and what it calls: on a plain PostgreSQL the setting says `timescale` and a stub
stands for the policy, with the parameters that the real procedure has in the catalogue of the Apache edition (there it
is declared and refuses to run). The one statement that plain PostgreSQL cannot parse is tried on the Apache edition,
which reads it and refuses for its licence.
"""

from __future__ import annotations

import psycopg
import pytest
from feldsher_ingest import sql
from psycopg.rows import TupleRow

ARGUMENTS = "select pg_get_function_identity_arguments(oid) from pg_proc where proname = 'add_columnstore_policy'"
STUB = """
create table called (what text, a text, b text, c text);
create or replace procedure columnstore_enable(of_table text, segment_by text, order_by text) language sql as
$$ insert into called values ('enable', of_table, segment_by, order_by) $$;
create procedure add_columnstore_policy(hypertable regclass, after interval, if_not_exists boolean) language sql as
$$ insert into called values ('policy', hypertable::text, after::text, if_not_exists::text) $$;
"""
Connection = psycopg.Connection[TupleRow]


def installed(connection: Connection, *, extension: bool) -> None:
    if not extension:
        connection.execute("drop extension if exists timescaledb")
    for text in sql.schemas():
        given = text if extension else text.replace("where name = 'timescaledb'", "where name = 'not there'")
        connection.execute(given.encode())


def test_the_apache_edition_gets_no_columnstore_and_misses_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        installed(connection, extension=True)
        assert connection.execute("select columnstore_apply()").fetchone() == ("apache",)
        named = [row[0] for row in connection.execute(ARGUMENTS.encode()).fetchall()]
        assert len(named) == 1
        for parameter in ("hypertable regclass", 'after "any"', "if_not_exists boolean"):
            assert parameter in named[0], "the real procedure takes what we pass"
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="license"):
            connection.execute("call add_columnstore_policy('vital_reading'::regclass, after => interval '60 days')")


def test_without_the_extension_there_is_no_edition(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        installed(connection, extension=False)
        connection.execute("set timescaledb.license = ''")
        assert connection.execute("select columnstore_apply()").fetchone() == ("none",)


def test_where_the_setting_says_timescale_readings_get_it(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        installed(connection, extension=False)
        connection.execute(STUB.encode())
        connection.execute("set timescaledb.license = 'timescale'")
        assert connection.execute("select columnstore_apply()").fetchone() == ("timescale",)
        assert connection.execute("select * from called").fetchall() == [
            ("enable", "vital_reading", "source", "key_time desc, reading_id"),
            ("policy", "vital_reading", "60 days", "true"),
        ]


def test_the_statement_names_the_settings_of_the_documentation(empty_database: str) -> None:
    """https://www.tigerdata.com/docs/api/latest/hypercore/alter_table/ (enable_columnstore, segmentby, orderby)."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        installed(connection, extension=True)
        with pytest.raises(psycopg.Error, match="license"):
            connection.execute("call columnstore_enable('vital_reading', 'source', 'key_time desc, reading_id')")
        with pytest.raises(psycopg.Error, match="enable_colunstore"):
            connection.execute("alter table vital_reading set (timescaledb.enable_colunstore = true)")
