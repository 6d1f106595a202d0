"""Purposes only add denials, and audit events of a broken glass say so.

Revision ID: 0031
Revises: 0030
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the view of denials and add the trigger."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql" / "0031_purpose.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute(own.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: denials would be evaded by a word."""
    raise NotImplementedError("0031 is not undone: what patients deny would be evaded by saying another purpose")
