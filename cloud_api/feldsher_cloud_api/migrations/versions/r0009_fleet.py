"""Fleet: technicians and managers, assignments by user number, the life of devices and gateways, calibration.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and views."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0009_fleet.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: assignments and calibrations stay on record."""
    raise NotImplementedError("0009 is not undone: whose a shared device was is decided by its columns")
