"""Gauges of the database that a worker tells Prometheus."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from feldsher_ingest import looked as looked_module
from feldsher_ingest.looked import Looked
from prometheus_client import CollectorRegistry, generate_latest


def told(url: str, state: Path) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(Looked(url, state))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_what_stands_in_the_database_is_told(store_url: str, tmp_path: Path) -> None:
    with psycopg.connect(store_url) as connection:
        connection.execute("insert into database_backup values ('b', 'full', now(), now() - interval '1 h', 5, 'x')")
        connection.execute(
            "insert into dead_letter (digest, topic, payload, cause, reason) values ('d', 't', 'p', 'payload', 'r')"
        )
    values = told(store_url, tmp_path)
    assert values["feldsher_database_up"] == 1
    assert 3600 <= values["feldsher_database_backup_age_seconds"] < 4000
    assert values['feldsher_database_dead_letters{cause="payload"}'] == 1
    assert values["feldsher_database_seats_held"] == 0
    assert values["feldsher_ingest_disk_free_bytes"] > 0


def test_a_database_that_is_away_is_down_and_nothing_else_is_told_of_it(tmp_path: Path) -> None:
    values = told("postgresql://127.0.0.1:1/x", tmp_path)
    assert values["feldsher_database_up"] == 0
    assert [name for name in values if name.startswith("feldsher_database")] == ["feldsher_database_up"]


def test_several_askers_cost_the_database_one_look(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looked_module, "KEPT_S", 3600.0)
    looked = Looked(store_url, tmp_path)
    with psycopg.connect(store_url, autocommit=True) as connection:
        list(looked.collect())
        connection.execute("insert into vital_due (source, day) values (1, '2026-11-22')")
        due = [family for family in looked.collect() if family.name == "feldsher_database_rollups_due"]
    assert due[0].samples[0].value == 0
