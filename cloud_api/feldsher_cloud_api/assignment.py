"""Devices and whose they are: registering, and assigning for a period."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.project import common

_queries = db.queries("accounts")


def add_device(
    connection: db.Connection, *, gateway: str, address: str, kind: str, now: datetime, model: str | None = None
) -> UUID:
    """Register a device that a gateway reaches and return its Device id; repeating it is harmless.

    `address`: its Bluetooth address or system id, or the name under which the gateway's configuration knows it.
    """
    identity = common.device(connection, gateway, address, now, kind=kind, model=model)
    _queries.set_device_kind(connection, id=identity, kind=kind)
    resource = common.device_resource(identity, common.device_key(gateway, address), kind, model)
    store.put(connection, resource, patient=None, now=now)
    return identity


def assign(
    connection: db.Connection, device: UUID, patient: UUID, start: datetime, until: datetime | None = None
) -> bool:
    """Assign a device to a patient from `start` on, ending what held there; False where it is theirs already."""
    with connection.transaction():
        if _queries.is_assigned(connection, device=device, patient=patient, at=start):
            return False
        _queries.end_assignment(connection, device=device, at=start)
        _queries.assign(connection, id=store.new_id(start), device=device, patient=patient, start=start, until=until)
        return True
