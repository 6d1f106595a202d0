"""Ingestion on trial (benchmarks/ingest_trial.py): whatever is killed, everything is there once."""

from __future__ import annotations

from pathlib import Path

import ingest_trial
import pytest


@pytest.mark.slow
def test_fifty_kills_in_half_a_million_messages_cost_nothing(tmp_path: Path) -> None:
    with ingest_trial.line(tmp_path) as on:
        found = ingest_trial.kill_at_random(on, 50, 500_000)
    assert (found.kills, found.lost, found.duplicated, found.dead_letters) == (50, 0, 0, 0)
    assert set(found.killed) == {"worker", "broker", "database"}


@pytest.mark.slow
def test_a_database_that_is_away_costs_a_bounded_memory(tmp_path: Path) -> None:
    with ingest_trial.line(tmp_path) as on:
        found = ingest_trial.database_away(on, 60)
    assert (found.lost, found.duplicated, found.dead_letters) == (0, 0, 0)
    assert found.worker_rss_mb <= 250
