"""Retention: policies, the functions that delete by them, the archive's column, and the columnstore where there is one.

Revision ID: 0020
Revises: 0019
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, the functions and the column."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_retention.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: samples that lie in the archive would be forgotten."""
    raise NotImplementedError("0020 is not undone: it says which samples the archive has")
