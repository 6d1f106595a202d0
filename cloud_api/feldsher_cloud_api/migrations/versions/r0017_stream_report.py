"""What the engine says of continuous ECGs that have ended.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0017_stream_report.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Drop the table: it is made of the samples again."""
    op.execute("DROP TABLE cloud.stream_report")
