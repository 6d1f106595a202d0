"""What messages told of themselves, which connection of a gateway has ended, and indexes.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add ingest's columns and the indexes."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((resources.files("feldsher_ingest") / "schema_told.sql").read_text(encoding="utf-8"))
    own = resources.files("feldsher_cloud_api.migrations") / "sql" / "0026_after.sql"
    driver.execute(own.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: a gateway's old word would put it offline again."""
    raise NotImplementedError("0026 is not undone: old words of gateways would be taken for new ones")
