"""Disasters in mid-flood (benchmarks/ingest_disaster.py): nothing is lost, nothing doubled, the record is whole."""

from __future__ import annotations

from pathlib import Path

import ingest_disaster
import pytest
from ingest_disaster import Found, Load


def assert_whole(found: Found) -> None:
    assert found.receipted_and_gone > 0, "the disaster took nothing that was receipted: it showed nothing"
    assert (found.lost, found.duplicated, found.dead_letters) == (0, 0, 0)
    assert (found.parked, found.unprojected) == (0, 0)
    assert found.epochs >= 1


def test_a_replica_that_lacks_commits_is_promoted_and_the_old_primary_comes_back(tmp_path: Path) -> None:
    found = ingest_disaster.promote_in_flood(tmp_path, Load(100, 1, 40))
    assert_whole(found)
    assert found.written_to_the_old == 0


@pytest.mark.slow
def test_a_great_flood_survives_a_promotion(tmp_path: Path) -> None:
    found = ingest_disaster.promote_in_flood(tmp_path, Load(200, 5, 1000))
    assert_whole(found)
    assert found.written_to_the_old == 0


@pytest.mark.slow
@pytest.mark.parametrize("to_the_end", [False, True])
def test_a_backup_is_restored_in_a_flood(tmp_path: Path, to_the_end: bool) -> None:
    load = Load(200, 1, 1000)
    found = ingest_disaster.restore_in_flood(tmp_path, load, to_the_end=to_the_end)
    if to_the_end:  # what the last second brought may have been archived
        found.receipted_and_gone += 1
    assert_whole(found)
