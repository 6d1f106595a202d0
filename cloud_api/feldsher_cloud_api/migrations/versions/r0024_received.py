"""Retention by when something was received, in pieces; and which key seals the archive.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table, and replace the functions."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_received.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: readings received lately could be deleted again."""
    raise NotImplementedError("0024 is not undone: when readings were received, and with which key, would be lost")
