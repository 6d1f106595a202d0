from __future__ import annotations

import psycopg
import pytest
from feldsher_tools.place import ServiceError
from feldsher_tools.postgres import DatabaseServer, Postgres, empty


def value(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def test_timescale_is_there_and_commits_are_durable(own_postgres: Postgres) -> None:
    url = own_postgres.create_database("series")
    with psycopg.connect(url) as connection:
        connection.execute("create extension if not exists timescaledb")
    assert value(url, "show timescaledb.license") == "apache"
    assert value(url, "show fsync") == "on"
    assert value(url, "show data_checksums") == "on"
    assert value(url, "show timezone") == "UTC"
    assert str(value(url, "show server_version")).startswith("17.")


def test_text_is_sorted_and_folded_the_same_everywhere(empty_database: str) -> None:
    assert value(empty_database, "select datlocprovider from pg_database where datname = current_database()") == "b"
    assert value(empty_database, "select lower('ИВАНОВА')") == "иванова"


def test_time_zones_are_known(empty_database: str) -> None:
    query = "select extract(hour from timestamptz '2026-01-01 00:00Z' at time zone 'Asia/Yakutsk')"
    assert value(empty_database, query) == 9


def test_emptied_are_the_tables_and_what_refers_to_them(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(
            "create table parent (id int generated always as identity primary key);"
            "create table child (parent int references parent, note text);"
            "create table other (id int);"
            "create function never() returns trigger language plpgsql as 'begin raise exception ''kept''; end';"
            "create trigger keep before delete on child for each row execute function never();"
            "insert into parent default values; insert into child values (1, 'x'); insert into other values (1)"
        )
        empty(connection, ["public.parent"])
        counts = "select (select count(*) from parent), (select count(*) from child), (select count(*) from other)"
        assert connection.execute(counts).fetchone() == (0, 0, 1)
        assert connection.execute("insert into parent default values returning id").fetchone() == (2,)
        empty(connection, ["parent"], restart=True)
        assert connection.execute("insert into parent default values returning id").fetchone() == (1,)


def test_the_log_keeps_no_values(own_postgres: Postgres) -> None:
    with psycopg.connect(own_postgres.url(), autocommit=True) as connection:
        connection.execute("create table person (name text primary key)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into person values (%s), (%s)", ["Ivanova", "Ivanova"])
    log = own_postgres.process.log.read_text()
    assert "duplicate key" in log
    assert "Ivanova" not in log


def test_committed_rows_survive_sigkill_on_the_same_port(own_postgres: Postgres) -> None:
    url = own_postgres.url()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("create table kept (n int)")
        session.execute("insert into kept values (42)")
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=1)
    own_postgres.start()
    assert value(url, "select n from kept") == 42


def test_a_failed_start_shows_the_end_of_the_log(own_postgres: Postgres) -> None:
    own_postgres.stop()
    with (own_postgres.data / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")
    with pytest.raises(ServiceError, match=r'(?s)ended with code 1 while starting.*"nonsense"'):
        own_postgres.start()


def test_databases_are_made_from_a_template_and_dropped(postgres: DatabaseServer, empty_database: str) -> None:
    name = "feldsher_test_copy"
    postgres.drop_database(name)
    url = postgres.create_database(name)
    assert value(url, "select current_database()") == name
    postgres.drop_database(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
