"""Who is who: pairs that may be one person's, merges that can be undone, attachment of residents, the deceased.

Revision ID: 0029
Revises: 0028
"""

from __future__ import annotations

from importlib import resources

from alembic import op
from feldsher_cloud_api.fhir import refill

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and the keys of patients that are there (fhir/index.py makes them of those to come)."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    own = resources.files("feldsher_cloud_api.migrations") / "sql"
    driver.execute((own / "0029_identity.sql").read_text(encoding="utf-8"))
    refill.refill(driver, "Patient")  # pyright: ignore[reportArgumentType]


def downgrade() -> None:
    """Refuse: what was brought together could no longer be taken apart."""
    raise NotImplementedError("0029 is not undone: merges keep what came from where")
