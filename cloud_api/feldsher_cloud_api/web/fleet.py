"""Gateways and devices for the technician: what is connected, when it was last heard, what waits; nothing clinical."""

from __future__ import annotations

from feldsher_cloud_api import access, ca, db, provision
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.web.shapes import Cardiograph, Claim, DeviceRow, GatewayRow

_queries = db.queries("fleet")


def gateways(connection: db.Connection, who: Principal) -> tuple[GatewayRow, ...]:
    """Return every gateway with what it last said of itself; Forbidden for others than technicians."""
    access.permit_role(who, "technician")
    return tuple(GatewayRow(*row) for row in _queries.gateways(connection))


def devices(connection: db.Connection, who: Principal) -> tuple[DeviceRow, ...]:
    """Return every device with its newest status; Forbidden for others than technicians."""
    access.permit_role(who, "technician")
    return tuple(DeviceRow(*row) for row in _queries.devices(connection))


def cardiographs(connection: db.Connection, who: Principal) -> tuple[Cardiograph, ...]:
    """Return the cardiographs that an order can reach; Forbidden for who may not order."""
    access.permit(who, "ServiceRequest", "create")
    return tuple(Cardiograph(row[0], f"{row[1]} · {row[2]}") for row in _queries.cardiographs(connection))


def new_claim(of: Context, connection: db.Connection, who: Principal, name: str) -> Claim:
    """Register a gateway and return its claim, which is shown only now; ValueError where it cannot be its name."""
    access.permit_role(who, "technician")
    authority = ca.load(of.settings.ca_directory, of.settings.clock)
    claim = provision.add_gateway(connection, of.settings, authority, name, name)
    return Claim(claim.gateway, claim.text(), of.settings.clock() + of.settings.claim_life)
