"""ECGs of other cardiographs: where a recording came from.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_origin.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: which device made a recording is not forgotten."""
    raise NotImplementedError("0010 is not undone: it says where recordings came from")
