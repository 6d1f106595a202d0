"""A new password: its owner's signing key may be sealed anew.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let the API replace the sealed form of a signing key, never its public half."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    script = resources.files("feldsher_cloud_api.migrations") / "sql" / "0028_password.sql"
    driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: keys sealed under new passwords stay as they are."""
    raise NotImplementedError("0028 is not undone: passwords could not be changed any more")
