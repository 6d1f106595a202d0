"""`feldsher-ingest status`: a table, JSON, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from feldsher_ingest import seats, status
from feldsher_ingest.cli import app
from feldsher_ingest.metrics import Metrics, MetricsServer
from feldsher_tools.place import free_port
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

_runner = CliRunner()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, store_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", store_url)
    monkeypatch.setenv("FELDSHER_STATE", str(tmp_path))
    monkeypatch.delenv("FELDSHER_INGEST_METRICS_PORT", raising=False)


@pytest.mark.usefixtures("environment")
def test_all_is_well_while_a_worker_is_there_and_a_backup_is_fresh(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        seats.beat(connection, uuid4(), "w", 1, held_s=3600)
        connection.execute("insert into database_backup values ('b', 'full', now(), now(), 5000, 'vault:/backup')")
    metrics = Metrics(CollectorRegistry())
    metrics.database_up.set(1)
    metrics.broker_up.set(1)
    metrics.shard_lag.labels(shard="3").set(0.012)
    metrics.outstanding.set(4)
    server = MetricsServer(0, metrics.registry, lambda: True, lambda: True)
    url = f"http://127.0.0.1:{server.port}"
    told = _runner.invoke(app, ["status", "--metrics", url])
    server.close()
    assert told.exit_code == status.HEALTHY, told.output
    words = " ".join(told.output.split())  # lines break where the terminal ends
    assert "all is well" in words
    assert "seats 0" in words
    assert "b (full)," in words
    assert "5 kB, vault:/backup" in words
    assert "4 receipts outstanding, shards' lag up to 12 ms" in words


@pytest.mark.usefixtures("environment")
def test_what_is_wrong_makes_the_exit_code_and_json_tells_it() -> None:
    told = _runner.invoke(app, ["status", "--json"])
    assert told.exit_code == status.SICK
    found = json.loads(told.stdout)
    assert {problem["code"] for problem in found["problems"]} == {"workers", "backup"}
    assert found["seen"]["revision"][0]["revision"]
    assert "--metrics" in found["unseen"]["receipts"]
    assert found["disks"][0]["free"] > 0


def test_a_database_that_is_away_is_told_in_a_line(tmp_path: Path) -> None:
    found = status.gather(f"postgresql://127.0.0.1:{free_port()}/x", tmp_path, ["http://127.0.0.1:1"])
    assert [problem.code for problem in found.problems] == ["database", "worker"]
    assert found.exit_code == status.SICK
    assert all("\n" not in problem.what for problem in found.problems)


def test_what_cannot_be_seen_is_not_called_well(tmp_path: Path) -> None:
    found = status.Status(unseen={"backups": "permission denied for table database_backup"})
    assert found.exit_code == status.BLIND
    assert status.Status().exit_code == status.HEALTHY
    found = status.gather("postgresql://127.0.0.1:1/x", tmp_path / "missing", ["ftp://x"])
    assert set(found.unseen) == {"disk", "ftp://x"}


def test_a_worker_without_its_broker_is_a_problem(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.database_up.set(1)
    server = MetricsServer(0, metrics.registry, lambda: True, lambda: True)
    found = status.gather("postgresql://127.0.0.1:1/x", tmp_path, [f"http://127.0.0.1:{server.port}/metrics"])
    server.close()
    assert [problem.code for problem in found.problems] == ["database", "broker"]
