"""What became of an order: the gateway's word acknowledges the command and shows on the ServiceRequest."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog

from feldsher_cloud_api import db
from feldsher_cloud_api.care.order import STATE
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.project.common import Event

_ENDED = ("lapsed", "replaced", "refused", "failed")
_RANK = {"armed": 1, "recording": 2, "taken": 3, "reported": 4}
_queries = db.queries("project")
_log = structlog.get_logger()


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Note the state of an order, as told by the gateway that has it; another gateway's word is ignored."""
    order, state, detail = UUID(event.body["order"]), str(event.body["state"]), event.body.get("detail")
    command = _queries.command(connection, order=order)
    if command is None or command[0] != event.gateway:
        _log.warning("order_state_ignored", gateway=event.gateway, ordered=command[0] if command else None)
        return
    _queries.acknowledge(connection, order=order, state=state, detail=detail, now=event.at)
    show(connection, order, state, detail, now)


def show(connection: db.Connection, order: UUID, state: str, detail: str | None, now: datetime) -> None:
    """Show a state on the ServiceRequest of an order; a late word never takes back a later one."""
    stored = store.find(connection, "ServiceRequest", order)
    if stored is None:
        return
    content = stored.content()
    before = next((e["valueCode"] for e in content.get("extension", []) if e["url"] == STATE), None)
    if content["status"] != "active" or _RANK.get(state, 9) <= _RANK.get(before or "", 0):
        return
    others = [e for e in content.get("extension", []) if e["url"] != STATE]
    changed = content | {"extension": [*others, {"url": STATE, "valueCode": state}]}
    if state in _ENDED:
        changed["status"] = "revoked"
        changed["note"] = [*content.get("note", []), {"text": f"{state}: {detail}" if detail else state}]
    store.update(connection, changed, patient=stored.patient, now=now)
