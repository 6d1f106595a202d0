"""Watch: who is under monitoring, the limits of each, and the alerts that came of it.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add ingest's tables."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_watch.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: limits and alerts stay on record."""
    raise NotImplementedError("0012 is not undone: alerts and the limits that raised them stay on record")
