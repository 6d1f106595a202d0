"""Readings as rows: ingest's vital signs move into one row per reading (ingest's schema_readings.sql says why).

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of readings, move what is there, and put views in the old tables' place."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    ingest = resources.files("feldsher_ingest") / "schema_readings.sql"
    for script in (ingest, own / "0004_readings_after.sql"):
        driver = op.get_bind().connection.driver_connection
        assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
        driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: readings that came since have no place in the old tables."""
    raise NotImplementedError("0004 cannot be taken back: restore a backup")
