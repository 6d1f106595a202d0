"""Sign-in: clients with keys, their registration, launches, second factors, sessions to list and lock, other providers.

Revision ID: 0023
Revises: 0022
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen clients, grants and sessions, and add what sign-in newly keeps."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    script = resources.files("feldsher_cloud_api.migrations") / "sql" / "0023_signin.sql"
    driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: second factors and registrations would be lost."""
    raise NotImplementedError("0023 is not undone: second factors and registrations of programs would be lost")
