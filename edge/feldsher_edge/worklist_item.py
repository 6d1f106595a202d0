"""An order as it goes to a cart's worklist: what may be known of a patient, and no name."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

import msgspec
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_number

from feldsher_edge.orders import Order


class Item(msgspec.Struct, frozen=True, array_like=True):
    """An armed order: `study` is its UID; `ordered_at`: ISO 8601 local time of the clinic."""

    number: str
    study: str
    device: str
    subject: Subject
    ordered_at: str


def item(order: Order, zone: tzinfo) -> Item:
    """Return the worklist item of an order; it was placed at the time in its id (UUIDv7)."""
    at = datetime.fromtimestamp((order.id.int >> 80) / 1000, UTC).astimezone(zone)
    study = f"2.25.{order.id.int}"  # ISO/IEC 9834-8: a UUID as an object identifier
    return Item(order_number(order.id), study, order.device, order.subject, at.replace(tzinfo=None).isoformat())
