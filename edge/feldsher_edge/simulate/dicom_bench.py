"""A DICOM port with everything around it in one process, and virtual carts before it: for tests of carts."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path
from random import Random
from uuid import UUID

from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject

from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Dicom
from feldsher_edge.config import Originals as Bounds
from feldsher_edge.dicom import DicomPort
from feldsher_edge.orders import Order, Orders
from feldsher_edge.originals import Originals, Trust
from feldsher_edge.outbox import Outbox
from feldsher_edge.recordings import Recordings
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.dicom_cart import DicomCart
from feldsher_edge.simulate.sink import Kept
from feldsher_edge.store import Store


class DicomBench:
    """A port with everything around it; nothing is interpreted. `certificate`: what originals are sealed to."""

    def __init__(self, root: Path, it: Dicom, certificate: str) -> None:
        self.it = it
        self.folder = root / "dicom"
        self.clock = VirtualClock()
        rng = Random(1)  # noqa: S311 - repeatable on purpose
        self.outbox = Outbox(Store(root / "o"), Envelopes("gw-1", self.clock, rng.randbytes))
        self.orders = Orders(self.outbox, [], 600, ["cart-1", "cart-2"])
        self.originals = Originals(self.outbox, self.orders, Recordings(self.outbox, self.orders, None))
        self.certificate = certificate
        self.sink = Kept()
        trust = Trust(UTC)
        ask = self.ask
        self.port = DicomPort(it, Bounds(), self.originals, ask, trust, self.folder, lambda: self.certificate)
        self.port.greeting_s = 1
        self.running: asyncio.Task[None] | None = None

    async def ask(self) -> list[Order]:
        """Return the open orders."""
        return await self.outbox.call(self.orders.open)

    def forget(self) -> None:
        """Empty outbox, orders and folders: the port itself remembers nothing."""
        for table in ("message", "orders", "original"):
            self.outbox.store.run(f"DELETE FROM {table}")  # noqa: S608 - constant text
        for path in [path for path in self.folder.rglob("*") if path.is_file()]:
            path.unlink()
        self.sink.states.clear()

    async def start(self) -> None:
        """Return when the port is open; DicomError where it cannot be."""
        self.running = asyncio.create_task(self.port.run(self.sink))
        for _ in range(1000):
            if self.port.port is not None or self.running.done():
                break
            await asyncio.sleep(0.02)
        if self.running.done():
            await self.running

    async def stop(self) -> None:
        """Close everything."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
        self.outbox.close()

    def cart(self, ae_title: str = "CART1") -> DicomCart:
        """Return a cart that speaks to this port."""
        return DicomCart(self.it.port, ae_title)

    def ordered(self, order: UUID, device: str = "cart-1") -> None:
        """Arm an order for a woman of 61."""
        who = Subject(age=61, sex="female")
        lapses = self.clock.wall_us() + 3_600_000_000
        self.orders.command(
            wire.OrderCommand(
                id=UUID(int=order.int + 1),
                sent_us=0,
                order=order,
                device=device,
                seconds=10,
                lapses_us=lapses,
                subject=who,
            )
        )

    async def sent(self) -> list[wire.EcgRecording]:
        """Return the recordings that wait for the publisher."""
        for _ in range(1000):  # released by tasks of their own
            if not self.outbox.held():
                break
            await asyncio.sleep(0.01)
        bodies = [self.outbox.body(row.seq) for row in self.outbox.waiting(100)]
        messages = [wire.decode_up(body) for body in bodies if body is not None]
        return [m for m in messages if isinstance(m, wire.EcgRecording)]
