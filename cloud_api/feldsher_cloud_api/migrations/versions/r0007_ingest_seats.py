"""Seats of ingest: which worker process is which of the broker's users just now.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_seats.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Drop the tables: they hold nothing but the present."""
    op.execute("DROP TABLE ingest_seat, ingest_member")
