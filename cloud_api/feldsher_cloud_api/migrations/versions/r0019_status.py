"""Status: who looks how the line stands sees the canary too, and ingest's own role is one of those.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Grant it."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0019_status.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take it back."""
    op.execute("REVOKE feldsher_status FROM feldsher_ingest")
    op.execute("REVOKE SELECT ON cloud.canary FROM feldsher_status")
