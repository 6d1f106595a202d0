"""What of the fleet needs a technician: one list over gateways and devices, the urgent first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.fleet.limits import Limits

GATEWAY_CODES = (
    "silent", "certificate_over", "certificate", "clock", "queue", "losses", "claim", "return", "configuration_failed",
    "configuration", "update_failed",
)  # fmt: skip
DEVICE_CODES = (
    "silent", "calibration_over", "calibration", "calibration_missing", "battery", "fault", "to_clean", "unassigned",
)  # fmt: skip
LINE_CODES = ("canary",)
"""Of the line that all gateways share."""
CODES = tuple(dict.fromkeys(LINE_CODES + GATEWAY_CODES + DEVICE_CODES))
EVERY = 1_000_000
"""More problems than any fleet has: a list without a page."""
_queries = db.queries("fleet_problems")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that needs a technician.

    `device` None: the gateway itself; neither: the line that all share. `since`: when it began, or will (the end of a
    certificate, the day a check is due). `figure`: what the sentence needs beside: a count, a percentage, a day, the
    gateway's own words, a leg of the line.
    """

    gateway: str | None
    device: UUID | None
    name: str
    code: str
    urgent: bool
    since: datetime | None
    figure: str | None

    @property
    def of(self) -> str:
        """What it is a problem of: `device`, `gateway` or `line`."""
        return "device" if self.device else "gateway" if self.gateway else "line"


def page(
    connection: db.Connection,
    limits: Limits,
    now: datetime,
    *,
    code: str | None = None,
    gateways: Iterable[str] | None = None,
    devices: Iterable[UUID] | None = None,
    after: str | None = None,
    most: int = EVERY,
) -> tuple[list[Problem], str | None, int]:
    """Return up to `most` problems after a place, the place of the next page (None: no more), and how many there are.

    `code`: of one kind only; `gateways`: of these themselves only; `devices`: of these only.
    """
    # Compiling so long a statement costs seconds, running it a fraction: 2.6 s for 1,000 gateways with 4,000 devices.
    connection.execute("SELECT set_config('jit', 'off', true)")
    rows = list(
        _queries.problems(
            connection, now=now, code=code, after=after, most=most + 1, checked_kinds=sorted(limits.calibration_months),
            gateways=None if gateways is None else list(gateways), devices=None if devices is None else list(devices),
            **_numbers(limits),
        )
    )  # fmt: skip
    found = [Problem(*row[:7]) for row in rows[:most]]
    return found, str(rows[most - 1][7]) if len(rows) > most else None, int(rows[0][8]) if rows else 0


def _numbers(limits: Limits) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in limits.__slots__ if name != "calibration_months"}


def counts(connection: db.Connection, limits: Limits, now: datetime) -> dict[str, int]:
    """Return how many problems of each code there are: `gateway.code`, `device.code`, `line.code`."""
    found, _, _ = page(connection, limits, now)
    return dict(sorted(Counter(f"{p.of}.{p.code}" for p in found).items()))
