"""Bulk export: what was asked for, and its files until they are fetched or over.

Revision ID: 0030
Revises: 0029
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of bulk exports."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    script = resources.files("feldsher_cloud_api.migrations") / "sql" / "0030_bulk.sql"
    driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: an installation goes forwards."""
    raise NotImplementedError("0030 is not undone: an installation goes forwards")
