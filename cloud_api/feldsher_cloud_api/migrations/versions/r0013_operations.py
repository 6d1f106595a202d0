"""Operation of the database: which servers ingest has written to, its backups, and a role that may look.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the role."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_operations.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Drop the tables: what they say of backups is in the backups' own folder."""
    op.execute("DROP TABLE ingest_timeline, database_backup")
