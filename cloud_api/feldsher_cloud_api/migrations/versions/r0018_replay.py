"""Re-interpretation of stored cardiograms by newer engines: the runs and what they came to.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add ingest's tables, and who may see what of them."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_replay.sql").read_text(encoding="utf-8"))
    own = resources.files("feldsher_cloud_api.migrations") / "sql" / "0018_replay_after.sql"
    driver.execute(own.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: what a doctor was asked to review is not forgotten."""
    raise NotImplementedError("0018 is not undone: reviews and reports rest on it")
