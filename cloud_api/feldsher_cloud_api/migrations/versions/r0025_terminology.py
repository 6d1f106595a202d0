"""Terminology: concepts as rows, value sets and concept maps by address; R4's own, and what follows the record's.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_ADD = """
    INSERT INTO fhir.terminology (kind, url, version, status, updated, content)
    SELECT r ->> 'resourceType', r ->> 'url', r ->> 'version', 'active', now(), r - 'concept'
    FROM jsonb_array_elements(%s) r
"""
_FILL = """
    SELECT fhir.fill_concepts(jsonb_object_agg(t.id, r -> 'concept')) FROM jsonb_array_elements(%s) r
    JOIN fhir.terminology t ON t.url = r ->> 'url' AND t.kind = 'CodeSystem' WHERE r ->> 'resourceType' = 'CodeSystem'
"""


def upgrade() -> None:
    """Add the tables and fill them with what R4 itself defines."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - offline mode has no connection, and env.py refuses it
    package = resources.files("feldsher_cloud_api")
    driver.execute((package / "migrations" / "sql" / "0025_terminology.sql").read_text(encoding="utf-8"))
    lines = (package / "fhir" / "terminology" / "r4.ndjson").read_text(encoding="utf-8").splitlines()
    own = "[" + ",".join(lines) + "]"
    driver.execute(_ADD, (own,))
    driver.execute(_FILL, (own,))


def downgrade() -> None:
    """Refuse: what refers to concepts would have none."""
    raise NotImplementedError("0025 is not undone: searches below a code would find nothing")
