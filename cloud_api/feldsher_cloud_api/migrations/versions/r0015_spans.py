"""Where the readings of a message lie, for corrections of clocks.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and their index."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_spans.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: ingest writes them."""
    raise NotImplementedError("0015 is not undone: ingest writes its columns")
