"""Watch: what a batch brings more of than it can judge becomes due for the chore.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen what may be due, and add the indexes of the chores."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_watch_due.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: what is due would be lost."""
    raise NotImplementedError("0021 is not undone: what is due to be judged would be lost")
