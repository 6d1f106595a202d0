"""Alerts as ingest's watch writes them, each with its event: for tests of what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_ehr_core import wire
from feldsher_ehr_core.monitoring import alert_id

Numbers = Sequence[dict[str, Any]]
SYSTOLIC: Numbers = (
    {"code": 150021, "side": "above", "unit": "mm[Hg]", "bound": "150", "value": "165", "measured": "165 mm[Hg]"},
)
"""A systolic pressure of 165, above 150."""


def limit(url: str, identity: UUID, patient: str | UUID, person: UUID, rule: dict[str, Any] | None = None) -> UUID:
    """Set a limit of a patient that always held: a systolic pressure above 150, or `rule`; return its id."""
    text = json.dumps(rule or {"rule": "range", "codes": [150021], "above": "150"})
    with db.connect(url) as connection, connection.transaction():
        connection.execute(
            "SELECT watch_set_limit(%s, %s, %s, 'warning', 'UTC', tstzrange(NULL, NULL), NULL, %s)",
            (identity, patient, text, person),
        )
    return identity


def raise_alert(
    url: str, of: UUID, message: wire.VitalsBatch | wire.EcgRecording | None, at: datetime, *,
    numbers: Numbers = SYSTOLIC, doubt: Sequence[str] = (), **changes: Any,
) -> UUID:  # fmt: skip
    """Raise an alert of a limit about a message's reading or cardiogram, measured at a time; return its id.

    `changes`: other columns of watch_alert.
    """
    reading = message.reading[0] if isinstance(message, wire.VitalsBatch) else message.env.id if message else None
    fields: dict[str, Any] = {
        "limit_id": of,
        "version": 1,
        "kind": "range",
        "about": str(reading),
        "severity": "warning",
        "reading_id": reading,
        "gateway": message.env.gateway if message else None,
        "message_id": message.env.id if message else None,
        "measured_at": at,
        "arrived_at": at,
        "late": False,
        "cause": "arrival",
        "doubt": list(doubt),
        "numbers": json.dumps(list(numbers)),
    } | changes
    identity = alert_id(fields["limit_id"], fields["about"])
    columns = ["id", *fields]
    marks = ", ".join(["%s"] * len(columns))
    statement = f"INSERT INTO watch_alert ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - a test's own names
    with db.connect(url) as connection, connection.transaction():
        # ingest's own watch may have raised it when the message came: here it is raised as the test wants it
        connection.execute("DELETE FROM watch_alert WHERE id = %s", (identity,))
        connection.execute("DELETE FROM event WHERE kind = 'alert' AND body ->> 'alert' = %s", (str(identity),))
        connection.execute(statement.encode(), [identity, *fields.values()])
        connection.execute(
            "INSERT INTO event (kind, gateway, message_id, body)"
            " VALUES ('alert', %s, %s, jsonb_build_object('alert', %s::uuid))",
            (fields["gateway"] or "", fields["message_id"] or identity, identity),
        )
    return identity
