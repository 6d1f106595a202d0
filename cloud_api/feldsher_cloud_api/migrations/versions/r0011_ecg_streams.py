"""Continuous ECGs: a hypertable for their pieces, which move there from among the recordings.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, move what is there, and let the record's readers see what they may."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    ingest = resources.files("feldsher_ingest") / "schema_streams.sql"
    for script in (ingest, own / "0011_streams_after.sql"):
        driver = op.get_bind().connection.driver_connection
        assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
        driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: pieces that came since have no place among the recordings."""
    raise NotImplementedError("0011 cannot be taken back: restore a backup")
