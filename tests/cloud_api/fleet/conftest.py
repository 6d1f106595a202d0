"""A fleet of the demo clinic: what gateways and devices say of themselves, sent as they would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from feldsher_cloud_api import access
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.fleet import life, limits, problems
from feldsher_ehr_core import wire
from feldsher_tools.clinic import HOME, Clinic

TECHNICIAN = Principal(demo_id("person/technician"), "technician", "DEMO Technician", None, (), "web")
MANAGER = Principal(demo_id("person/manager"), "manager", "DEMO Manager", None, (), "web")


@dataclass(slots=True)
class Fleet:
    """Devices and gateways of a clinic, and what is wrong with them."""

    clinic: Clinic

    def sign_in(self, name: str) -> dict[str, str]:
        """Be signed in; return what changes need."""
        return self.clinic.sign_in(name)

    def device(self, address: str, kind: str = "cuff", **more: Any) -> UUID:
        """Register a device at the home gateway."""
        with self.clinic.owner() as connection:
            return life.register(connection, gateway=HOME, address=address, kind=kind, now=self.clinic.time.now, **more)

    def beat(self, gateway: str = HOME, *, clock: wire.ClockQuality = "synced", waiting: float | None = None) -> None:
        """A heartbeat arrives; `waiting`: hours that the oldest message of its outbox has waited."""
        now = self.clinic.time.now
        oldest = None if waiting is None else int((now - timedelta(hours=waiting)).timestamp() * 1_000_000)
        self.tell(
            wire.Heartbeat(
                env=self.clinic.envelope(gateway, clock), outbox_rows=0 if waiting is None else 7, outbox_bytes=100,
                oldest_us=oldest, sources={"cuff": 12.5},
            )
        )  # fmt: skip

    def status(self, address: str, gateway: str = HOME, **more: Any) -> None:
        """A device's status arrives."""
        fields: dict[str, Any] = {"state": "present"} | more
        self.tell(wire.DeviceStatus(env=self.clinic.envelope(gateway), device=address, **fields))

    def tell(self, *messages: wire.UpMessage) -> None:
        """Messages arrive and are projected."""
        self.clinic.receive(*messages)
        self.clinic.work()
        with self.clinic.owner() as connection:  # the database's own clock stands for the clinic's
            connection.execute("UPDATE public.gateway_state SET seen_at = %s", (self.clinic.time.now,))

    def problems(self, principal: Principal = TECHNICIAN) -> set[tuple[str, str]]:
        """What needs a technician now: (name, code)."""
        with access.asking(self.clinic.context.pool, principal) as connection:
            found, _, total = problems.page(connection, limits.load(), self.clinic.time.now)
        assert total == len(found)
        return {(p.name, p.code) for p in found}

    def vitals(self, address: str, **more: Any) -> None:
        """A reading of a device arrives."""
        made = self.clinic.vitals(self.clinic.time.now, {150021: "131", 150022: "82"}, device=address)
        self.tell(msgspec.structs.replace(made, **more))


@pytest.fixture
def fleet(clinic: Clinic) -> Fleet:
    """The demo clinic's fleet, of which nothing was heard yet."""
    with clinic.owner() as connection:
        connection.execute(
            "UPDATE cloud.gateway SET certificate_expires = NULL, claimed_at = %s, life = 'ready', detail = '{}',"
            " claim_expires = NULL, revoked_at = NULL, replaced_by = NULL",
            (clinic.time.now,),
        )
        connection.execute("UPDATE cloud.gateway_device SET last_seen = NULL")
        keep = [clinic.made["cuff"], clinic.made["cardiograph"]]
        connection.execute("DELETE FROM cloud.gateway_device WHERE device <> ALL (%s::uuid[])", (keep,))
        connection.execute("DELETE FROM cloud.device WHERE id <> ALL (%s::uuid[])", (keep,))
        connection.execute("DELETE FROM cloud.gateway_device WHERE gateway NOT IN ('demo-clinic', 'demo-home')")
        connection.execute("DELETE FROM cloud.gateway WHERE id NOT IN ('demo-clinic', 'demo-home')")
    return Fleet(clinic)
