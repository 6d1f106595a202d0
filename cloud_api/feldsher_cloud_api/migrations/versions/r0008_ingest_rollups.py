"""Roll-ups of days on which a source measured often; every day stored so far is due.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and have what is stored rolled up."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_rollup.sql").read_text(encoding="utf-8"))
    op.execute(
        "INSERT INTO vital_due (source, day) SELECT DISTINCT source, (time AT TIME ZONE 'UTC')::date FROM vital_reading"
    )


def downgrade() -> None:
    """Drop the tables: they hold nothing that is not made of the readings."""
    op.execute("DROP TABLE vital_due, vital_dense, vital_rollup")
