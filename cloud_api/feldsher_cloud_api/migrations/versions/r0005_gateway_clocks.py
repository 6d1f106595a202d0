"""Gateways: true time by the monotonic clock of a boot, and whose readings a recorded loss held.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    script = resources.files("feldsher_ingest") / "schema_gateway.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: corrections of clocks are not forgotten."""
    raise NotImplementedError("0005 is not undone: medical times are corrected by its columns")
