"""Access: rights as rows, whose rows a person reaches (care, grants, consents), and the policies of all tables.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make tables, functions and the procedure; `db.migrate` loads the rights and makes the policies afterwards."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql" / "0027_access.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute(own.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: grants and the denials of patients would be lost."""
    raise NotImplementedError("0027 is not undone: grants and the denials of patients would be lost")
