"""Alarms: Task and Flag, what gathers alerts on them, and who may see and set limits.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and rules."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0016_alarms.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: alarms stay on record."""
    raise NotImplementedError("0016 is not undone: alarms and what became of them stay on record")
