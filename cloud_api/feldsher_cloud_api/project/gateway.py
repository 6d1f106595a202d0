"""The state of gateways and devices, for technicians."""

from __future__ import annotations

from datetime import datetime

from feldsher_cloud_api import db
from feldsher_cloud_api.manage import tasks
from feldsher_cloud_api.project import common
from feldsher_cloud_api.project.common import Event

_STATES = {"birth": "online", "heartbeat": "online", "death": "offline"}
_queries = db.queries("project")


def project(connection: db.Connection, event: Event, now: datetime) -> None:
    """Note that a gateway is online or offline; an older word changes nothing.

    Whether the end of a connection is that of the newest one, ingest knows, which sees every birth.
    """
    _queries.know_gateway(connection, gateway=event.gateway)
    state = _STATES.get(str(event.body.get("state")), "unknown")
    if state == "offline":
        state = _queries.line_state(connection, gateway=event.gateway) or state
    _queries.gateway_state(connection, gateway=event.gateway, state=state, at=event.at)
    if event.body.get("state") == "birth":
        tasks.is_there(connection, event.gateway)


def device(connection: db.Connection, event: Event, now: datetime) -> None:
    """Note that a device was seen, lost or reported a fault."""
    identity = common.device(connection, event.gateway, str(event.body["device"]), now, kind="unknown")
    _queries.device_state(connection, device=identity, state=str(event.body["state"]), at=event.at)


def reported(connection: db.Connection, event: Event, now: datetime) -> None:
    """Note how a gateway says that it stands to what the cloud wants of it, and what became of what it was asked.

    An older word changes nothing.
    """
    _queries.know_gateway(connection, gateway=event.gateway)
    report = db.dumps({"report": event.body | {"at": event.at.isoformat()}}).decode()
    _queries.gateway_report(connection, gateway=event.gateway, report=report, at=event.at.isoformat())
    tasks.reported(connection, event.gateway, event.body, event.at)
