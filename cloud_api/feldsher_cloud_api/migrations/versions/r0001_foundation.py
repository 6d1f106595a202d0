"""Foundation: ingest's tables (and the three roles), the cloud's tables, and what the roles may do.

Revision ID: 0001
Revises: (none)
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything of the first landing."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    ingest = resources.files("feldsher_ingest") / "schema.sql"
    for script in (ingest, own / "0001_cloud.sql", own / "0001_after.sql"):
        driver = op.get_bind().connection.driver_connection
        assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
        driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: medical records are not dropped by a migration."""
    raise NotImplementedError("0001 is the first revision; to begin anew, create another database")
