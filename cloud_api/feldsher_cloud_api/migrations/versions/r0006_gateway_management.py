"""Management of gateways: tasks, configurations, artefacts, rollouts, diagnostics bundles; wanted beside reported.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and views."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0006_gateway_management.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: what was signed and asked of gateways stays on record."""
    raise NotImplementedError("0006 is not undone: versions of configurations must never be given twice")
