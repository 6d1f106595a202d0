"""The record: every resource type of R4, the same search columns everywhere, one log of changes.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

from importlib import resources

from alembic import op
from feldsher_cloud_api.fhir import refill

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MOVED = (
    "Patient", "Practitioner", "Organization", "Device", "ServiceRequest", "Observation", "DiagnosticReport",
    "Provenance", "AuditEvent", "Binary", "Task", "Flag",
)  # fmt: skip
"""The types that had tables before."""


def upgrade() -> None:
    """Make the tables and fill the new columns of what is stored."""
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    driver.execute((own / "0022_record.sql").read_text(encoding="utf-8"))
    for kind in MOVED:
        refill.refill(driver, kind)  # pyright: ignore[reportArgumentType]


def downgrade() -> None:
    """Refuse: what is stored in the new tables would be lost."""
    raise NotImplementedError("0022 is not undone: the record would lose all types that it could not hold before")
