"""A kit's firmware from the store to the kit: signed, rolled out, fetched by a gateway, run by the real MicroPython."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from feldsher_cloud_api import db
from feldsher_cloud_api.manage import release, rollout
from feldsher_cloud_api.manage.tasks import Asker
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.configured import Configured
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.kit_session import MODEL
from feldsher_edge.devices.serial_cardiograph import Patience
from feldsher_edge.firmware import Kits
from feldsher_edge.management import Management
from feldsher_edge.outbox import Outbox
from feldsher_edge.publish import Figures
from feldsher_edge.simulate.sink import Kept
from feldsher_edge.slots import Slots
from feldsher_edge.store import Store
from feldsher_edge.true_time import TrueTime
from feldsher_edge.update import Installer
from feldsher_edge.watchdog import Pulses
from feldsher_ehr_core import wire
from feldsher_ehr_core.rollout import Plan
from feldsher_tools.place import Place
from feldsher_tools.served import Site
from kit_process import KitProcess, running_kit
from releases import PUBLIC
from releases import release as firmware

RNG = random.Random(1)  # noqa: S311 - jitter


@dataclass
class Link:
    """A publisher that is connected."""

    figures: Figures


@dataclass
class Gateway:
    """The management of a gateway, its kit, and what it reports."""

    site: Site
    kit: KitProcess
    kept: Kept
    outbox: Outbox
    management: Management

    async def carry_out(self, task: UUID) -> wire.Reported:
        """Give it the command of a task, and bring its answer to the cloud."""
        await self.management(self.site.command(task))
        async with asyncio.timeout(60):
            while not (answers := [m for m in self._said() if m.task == task]):  # noqa: ASYNC110 - a database
                await asyncio.sleep(0.05)
        env = self.site.clinic.envelope(self.site.name)
        self.site.clinic.receive(msgspec.structs.replace(answers[-1], env=env))
        self.site.clinic.work()
        return answers[-1]

    def _said(self) -> list[wire.Reported]:
        rows = self.outbox.store.rows("SELECT body FROM message WHERE kind = 'reported'")
        return [m for m in (wire.decode_up(bytes(row[0])) for row in rows) if isinstance(m, wire.Reported)]


@asynccontextmanager
async def gateway(site: Site, place: Place, folder: Path) -> AsyncGenerator[Gateway]:
    """Run a kit that knows its release key, and a gateway's driver and management for it."""
    (folder / "flash").mkdir()
    (folder / "flash" / "key").write_bytes(PUBLIC)
    async with running_kit(place.program("micropython"), folder, pace=5) as (kit, cable):
        clock = SystemClock()
        patience = Patience(lead_off_s=20.0, silence_s=20.0, poll_s=0.1, reopen_s=(0.0, 0.02))
        driver, kept = KitCardiograph("kit-1", cable.port, clock, RNG, patience), Kept()
        outbox = Outbox(Store(site.state / "outbox.sqlite3"), Envelopes(site.name, clock))

        async def no_bundle() -> bytes:
            return b""

        management = Management(
            outbox, Link(Figures()), Pulses(clock.mono_ns), Configured(site.state, {}, "edge.toml"),
            Installer(Slots(folder / "software"), folder / "edge.toml"), TrueTime(clock, site.state), "test", no_bundle,
            kit_update=Kits([driver]),
        )  # fmt: skip
        running = asyncio.create_task(driver.run(kept))
        try:
            async with asyncio.timeout(60):
                while not (kept.states and kept.states[-1].state == "present"):  # noqa: ASYNC110 - another object
                    await asyncio.sleep(0.01)
            yield Gateway(site, kit, kept, outbox, management)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            outbox.close()


def offered(site: Site, worker: db.Connection, file: Path, key: Path) -> tuple[UUID, UUID]:
    """Sign a firmware, take it in and roll it out to the site's kit; return rollout and task."""
    release.sign(file, release.describe(file), release.load_key(key))
    env = site.clinic.envelope(site.name)
    site.clinic.receive(wire.DeviceStatus(env=env, device="kit-1", state="present", model=MODEL))
    site.clinic.work()
    now = site.clinic.time()
    with site.clinic.owner() as connection:
        artefact = release.add(connection, site.settings, file, "x")
        kits = [t for t in rollout.candidates(connection, artefact) if t[0] == site.name]
        assert kits == [(site.name, "kit-1")]
        plan = Plan((100,), least_applied=100, most_failed=0, observe_s=0)
        made = rollout.start(connection, artefact, kits, plan, Asker("Anna"), reason="sleep", now=now)
    assert rollout.step(worker, now) == 1
    [target] = rollout.targets(worker, made)
    assert target.task is not None
    return made, target.task


def stands(worker: db.Connection, made: UUID, now: Any) -> tuple[str, str | None]:
    rollout.step(worker, now)
    [found] = [r for r in rollout.rollouts(worker) if r.id == made]
    return found.state, found.why


async def test_a_firmware_reaches_the_kit_and_the_rollout_ends(
    site: Site, place: Place, worker: db.Connection, release_key: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kit-1.2.0.fkit"
    file.write_bytes(firmware("1.2.0", 7))
    made, task = offered(site, worker, file, release_key)
    async with gateway(site, place, tmp_path) as it:
        answer = await it.carry_out(task)
        assert (answer.task_state, answer.task_detail) == ("applied", "the kit runs 1.2.0, sequence 7")
        assert it.kit.said[-1] == "running 1.2.0 7 ota_1"
    assert site.task(task).state == "applied"
    assert stands(worker, made, site.clinic.time()) == ("done", "1 of 1 run it")


async def test_a_firmware_that_crashes_leaves_the_kit_as_it_was_and_halts_the_rollout(
    site: Site, place: Place, worker: db.Connection, release_key: Path, tmp_path: Path
) -> None:
    file = tmp_path / "kit-2.0.0.fkit"
    file.write_bytes(firmware("2.0.0", 9, behaves="CRASHES"))
    made, task = offered(site, worker, file, release_key)
    async with gateway(site, place, tmp_path) as it:
        answer = await it.carry_out(task)
        assert (answer.task_state, answer.task_detail) == ("failed", "the kit fell back and runs sequence 1, not 9")
        assert it.kit.said[-1].startswith("running 0.1.0-dev 1")
    assert stands(worker, made, site.clinic.time()) == ("halted", "1 of 1 failed, more than 0 %")
