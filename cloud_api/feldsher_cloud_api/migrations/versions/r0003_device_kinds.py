"""Kinds of devices: oximeters, thermometers, scales, glucose meters and heart rate belts beside cuffs and cardiographs.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow the new kinds."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0003_device_kinds.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: devices of the new kinds may be registered."""
    raise NotImplementedError("0003 is not undone: devices of its kinds may be registered")
