"""Disasters in mid-flood (benchmarks/ingest_disaster.py): nothing is lost, nothing doubled, the record is whole."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import ingest_disaster
import ingest_site
import pytest
from feldsher_cloud_api import db
from ingest_disaster import Found
from ingest_site import Load

SMALL = Load(100, 1, 40, ecg_every=1 << 30)  # no pictures, whose kernels may have to be compiled first
VERSIONS = Path(str(resources.files("feldsher_cloud_api.migrations"))) / "versions"


def assert_whole(found: Found) -> None:
    assert found.receipted_and_gone > 0, "the disaster took nothing that was receipted: it showed nothing"
    assert (found.lost, found.duplicated, found.dead_letters) == (0, 0, 0)
    assert (found.parked, found.unprojected) == (0, 0)
    assert found.epochs >= 1


def test_a_replica_that_lacks_commits_is_promoted_and_the_old_primary_comes_back(tmp_path: Path) -> None:
    found = ingest_disaster.promote_in_flood(tmp_path, SMALL)
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


FUTURE = '''
"""A revision as a later one may be."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", {head!r}, None, None


def upgrade() -> None:
    op.execute("alter table vital_reading add column note text")
    op.execute("alter table ingest_mark alter column batch type numeric")  # plans of ingest change their results
    op.execute("alter table event alter column attempts type bigint")  # plans of the cloud's worker do
    with op.get_context().autocommit_block():
        op.execute("create index concurrently ecg_recording_new on ecg_recording (gateway, received_at)")
'''


def test_a_flood_goes_on_while_the_schema_changes(tmp_path: Path) -> None:
    """The workers are of the present version from the beginning: what they cannot store yet waits."""
    load, found = SMALL, Found()
    with (
        ingest_site.site(tmp_path, revision="0010") as on,
        ingest_site.projecting(on),
        on.flood(load) as some,
    ):
        ingest_site.wait(lambda: sum(one.made for one in some) >= load.act, "messages before the migration")
        assert not any(one.receipted for one in some)
        db.migrate(on.url)
        ingest_disaster.act(some, load, "the flood after the revisions")
        head = max(path.name[1:5] for path in VERSIONS.glob("r*.py"))
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "r9999.py").write_text(FUTURE.format(head=head))
        db.migrate(on.url, also=tmp_path / "later")
        ingest_disaster.act(some, load, "the flood after a later revision")
        ingest_disaster.finish(some, on.url, found)
    assert (found.lost, found.duplicated, found.dead_letters) == (0, 0, 0)
    assert (found.parked, found.unprojected) == (0, 0)
