"""Who is watched, filled from the assignments; the canary: test alarms that cross the whole line.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what fills ingest's table, and the canary."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0014_watched.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: whoever is watched by it would be watched no more."""
    raise NotImplementedError("0014 is not undone: who is watched is told by it")
