"""Certificates of gateways: each issued one, so that renewal rotates keys and revocation reaches all of them.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and enter what has been issued so far."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0002_certificates.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: what was issued must stay revocable."""
    raise NotImplementedError("0002 is not undone: certificates that are not known cannot be revoked")
