"""The daemon as the cloud manages it, over a real broker: configurations on trial, bundles, updates, and forgetting."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import random
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from feldsher_cloud_api import gateway_keys
from feldsher_edge import daemon, management, update
from feldsher_edge.clock import Envelopes, SystemClock
from feldsher_edge.identity import ProvisionError
from feldsher_edge.outbox import Outbox
from feldsher_edge.provision import claim_identity
from feldsher_edge.simulate.cloud import Verdict, VirtualCloud
from feldsher_edge.slots import Slots
from feldsher_edge.store import Store
from feldsher_ehr_core import signed, wire
from feldsher_ehr_core.ids import made_ms, uuid7
from feldsher_tools.office import Office
from feldsher_tools.services import Broker as Server

_numbers = count(1)
CONFIGURATION = """
state = "{folder}/state"
[mqtt]
backoff_base_s = 0.05
receipt_timeout_s = 0.5
heartbeat_s = 0.5
[interpreter]
enabled = false
[update]
root = "{folder}/software"
trial_s = {trial_s}
steady_s = 0.2
"""


def keeps_gaps(held: list[bool]) -> Verdict:
    """Give no receipt for gaps as long as `held`: so they wait in the outbox."""

    def verdict(message: wire.UpMessage) -> wire.ReceiptState | None:
        return None if held[0] and isinstance(message, wire.Gap) else "stored"

    return verdict


class Case:
    """A claimed gateway with its configuration file, run inside this process, and the cloud's side of it."""

    def __init__(self, office: Office, folder: Path, there: VirtualCloud) -> None:
        self.office, self.folder, self.there = office, folder, there
        self.path = folder / "edge.toml"
        self.path.write_text(CONFIGURATION.format(folder=folder, trial_s=20))
        claim_identity(office.claim(), folder / "state")
        self.slots = Slots(folder / "software")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[asyncio.Task[management.Ending]]:
        rng = random.Random(1)  # noqa: S311
        task = asyncio.create_task(daemon.run(self.path, rng))
        try:
            await self.until(lambda: bool(self.of(wire.Birth)))
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, wanted: Callable[[], object]) -> None:
        await asyncio.to_thread(self.there.wait, lambda _: bool(wanted()), 40.0)

    def of(self, kind: type[wire.Up]) -> list[Any]:
        return [m for m in self.there.of(kind) if m.env.gateway == self.office.gateway]

    def send(self, message: wire.Down) -> None:
        self.there.send(self.office.gateway, message)

    def configure(self, version: int, toml: str) -> wire.Configuration:
        said = signed.configuration(self.office.gateway, version, toml)
        signature = gateway_keys.sign(self.office.word, said)
        made = wire.Configuration(**self.there.down(), version=version, toml=toml, signature=signature)
        self.send(made)
        return made

    def reports(self) -> list[wire.Reported]:
        return self.of(wire.Reported)

    async def reported(self, wanted: Callable[[wire.Reported], object]) -> wire.Reported:
        await self.until(lambda: [r for r in self.reports() if wanted(r)])
        return next(r for r in self.reports() if wanted(r))


@pytest.fixture
def case(mosquitto: Server, cloud: Callable[..., VirtualCloud], tmp_path: Path) -> Iterator[Case]:
    where = urlsplit(mosquitto.url)
    name = f"gw-{os.getpid()}-m{next(_numbers)}"
    office = Office(tmp_path / "office", mosquitto.authority, name, (where.hostname or "", where.port or 0))
    yield Case(office, tmp_path, cloud())
    office.close()


async def test_a_start_reports_how_the_gateway_stands(case: Case) -> None:
    async with case.running():
        first = await case.reported(lambda r: True)
    assert (first.config, first.update, first.slot) == (0, 0, "-")
    assert first.software.startswith("feldsher-edge ")
    assert first.certificate_until_us is not None


async def test_a_configuration_is_applied_while_the_store_stays_the_same_file(case: Case) -> None:
    """ThingsBoard's gateway #2124: a remote configuration made it destroy its store at each connection."""
    store = Store(case.folder / "state" / "outbox.sqlite3")
    outbox = Outbox(store, Envelopes(case.office.gateway, SystemClock()))
    case.there.verdict = keeps_gaps([True])  # what waits must go on waiting
    waiting = outbox.put(lambda env: wire.Gap(env=env, what="x", why="y", count=1, first_us=0, last_us=0))
    outbox.close()
    inode = (case.folder / "state" / "outbox.sqlite3").stat().st_ino
    async with case.running():
        sent = case.configure(4, '[mqtt]\nheartbeat_s = 0.3\n[[kit]]\ndevice = "kit-9"\nport = "/nowhere"\n')
        assert (await case.reported(lambda r: r.task == sent.id)).task_state == "working"
        found = await case.reported(lambda r: r.config == 4)
        assert (found.config_state, found.config_wanted) == ("applied", 4)
        await case.until(lambda: "kit-9" in case.of(wire.Birth)[-1].devices)
        again = wire.Configuration(**case.there.down(), version=4, toml="", signature=sent.signature)
        case.send(again)  # forged: never answered; the repeat is
        case.configure(4, sent.toml)
        await case.until(lambda: len([r for r in case.reports() if r.task_state == "applied"]) >= 1)
        old = case.configure(3, "")
        answer = await case.reported(lambda r: r.task == old.id)
        assert (answer.task_state, answer.config) == ("refused", 4)
        assert not [r for r in case.reports() if r.task == again.id and r.task_state == "working"]
    assert (case.folder / "state" / "outbox.sqlite3").stat().st_ino == inode
    store = Store(case.folder / "state" / "outbox.sqlite3")
    assert store.one("SELECT state FROM message WHERE id = ?", (waiting.bytes,)) == (0,)
    store.close()


async def test_a_configuration_that_names_a_wrong_field_is_refused_and_nothing_restarts(case: Case) -> None:
    async with case.running():
        sent = case.configure(1, '[mqtt]\nhost = "elsewhere"')
        answer = await case.reported(lambda r: r.task == sent.id)
        assert (answer.task_state, "$.mqtt.host" in (answer.task_detail or "")) == ("refused", True)
        assert len(case.of(wire.Birth)) == 1


async def test_a_configuration_with_which_the_gateway_does_not_get_well_is_rolled_back(case: Case) -> None:
    case.path.write_text(CONFIGURATION.format(folder=case.folder, trial_s=0.1))  # nothing is steady so soon
    async with case.running():
        case.configure(1, "[mqtt]\nheartbeat_s = 0.4")
        found = await case.reported(lambda r: r.config_state == "rolled-back")
        assert (found.config, found.config_wanted) == (0, 1)
        assert "not healthy within" in (found.config_detail or "")
        await case.until(lambda: len(case.of(wire.Birth)) >= 2)


async def test_a_configuration_that_makes_the_gateway_fail_is_rolled_back(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = daemon.cardiographs

    def broken(config: Any, *rest: Any) -> Any:
        if config.kit:
            raise RuntimeError("a driver that cannot even be made")
        return real(config, *rest)

    monkeypatch.setattr(daemon, "cardiographs", broken)
    async with case.running():
        case.configure(1, '[[kit]]\ndevice = "kit-9"\nport = "/nowhere"')
        found = await case.reported(lambda r: r.config_state == "rolled-back")
        assert "cannot even be made" in (found.config_detail or "")


async def test_a_bundle_is_sent_and_names_nobody(case: Case) -> None:
    async with case.running():
        asked = wire.Diagnose(**case.there.down())
        case.send(asked)
        answer = await case.reported(lambda r: r.task == asked.id)
        assert answer.task_state == "applied"
        case.send(asked)
        await case.until(lambda: len([r for r in case.reports() if r.task == asked.id]) == 2)
    [data] = case.office.uploads["/base/gateway/diagnostics"]
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        read = {name: json.loads(parts.read(name)) for name in parts.namelist()}
    assert read["status.json"]["gateway"] == case.office.gateway
    assert read["status.json"]["orders"] == []
    assert read["software.json"]["msgspec"]
    assert "PRIVATE KEY" not in json.dumps(read)


async def test_an_update_is_installed_and_the_program_ends_to_be_started_anew(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [True]

    def install(self: update.Installer, offer: update.Offer, api: object) -> signed.Manifest:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        manifest = update.believe(offer, self.slots.keys(api.identity.place.release_keys))  # type: ignore[attr-defined]
        self.slots.empty_spare()
        self.slots.try_out(manifest)
        return manifest

    monkeypatch.setattr(update.Installer, "install", install)
    values = {"kind": "gateway", "version": "2.0", "sequence": 5, "target": "any", "python": "3.11", "size": 1}
    raw = json.dumps(values | {"sha256": "0" * 64}).encode()
    async with case.running() as task:
        bad = wire.Update(**case.there.down(), manifest=raw, signature=bytes(64))
        case.send(bad)
        answer = await case.reported(lambda r: r.task == bad.id and r.task_state == "failed")
        assert "no release key" in (answer.task_detail or "")
        signature = gateway_keys.sign(case.office.release, signed.manifest(raw))
        refused = wire.Update(**case.there.down(), manifest=raw, signature=signature)
        case.send(refused)
        answer = await case.reported(lambda r: r.task == refused.id and r.task_state == "failed")
        assert "No space left" in (answer.task_detail or "")
        full[0] = False
        offered = wire.Update(**case.there.down(), manifest=raw, signature=signature)
        case.send(offered)
        assert await task == "program"
    async with case.running() as task:
        found = await case.reported(lambda r: r.update == 5 and r.update_state == "applied")
        assert found.slot == "a"
        case.send(offered)  # its answer may be lost: the update is not installed twice, nor called refused
        answer = await case.reported(lambda r: r.task == offered.id and r.task_state == "applied")
        assert (answer.update_state, task.done()) == ("applied", False)


async def test_an_update_does_not_fail_because_the_link_does(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def install(self: update.Installer, offer: update.Offer, api: object) -> signed.Manifest:
        attempts.append(1)
        if len(attempts) < 3:
            raise ProvisionError("the cloud cannot be reached: timed out")
        raise update.UpdateError("an artefact that came whole, and cannot be unpacked")

    monkeypatch.setattr(update.Installer, "install", install)
    monkeypatch.setattr(management, "RETRY_S", (0.05,) * 5)
    values = {"kind": "gateway", "version": "2.0", "sequence": 5, "target": "any", "python": "3.11", "size": 1}
    raw = json.dumps(values | {"sha256": "0" * 64}).encode()
    signature = gateway_keys.sign(case.office.release, signed.manifest(raw))
    async with case.running():
        offered = wire.Update(**case.there.down(), manifest=raw, signature=signature)
        case.send(offered)
        answer = await case.reported(lambda r: r.task == offered.id and r.task_state == "failed")
        assert (answer.task_detail, len(attempts)) == ("an artefact that came whole, and cannot be unpacked", 3)


async def test_a_gateway_is_wiped_only_by_its_cloud_and_only_when_all_is_sent(case: Case) -> None:
    held = [True]
    case.there.verdict = keeps_gaps(held)
    store = Store(case.folder / "state" / "outbox.sqlite3")
    outbox = Outbox(store, Envelopes(case.office.gateway, SystemClock()))
    outbox.put(lambda env: wire.Gap(env=env, what="x", why="y", count=1, first_us=0, last_us=0))
    outbox.close()
    async with case.running() as task:
        fields = case.there.down()
        case.send(wire.Wipe(**fields, signature=bytes(64)))
        said = signed.wipe(case.office.gateway, fields["id"].bytes)
        case.send(wire.Wipe(**fields, signature=gateway_keys.sign(case.office.word, said), force=True))
        case.send(wire.Wipe(**fields, signature=gateway_keys.sign(case.office.word, said)))
        answer = await case.reported(lambda r: r.task == fields["id"])
        assert (answer.task_state, "are sent first" in (answer.task_detail or "")) == ("working", True)
        assert not task.done()
        held[0] = False
        assert await task == "wiped"
        last = await case.reported(lambda r: r.task == fields["id"] and r.task_state == "applied")
        assert last.task_detail == "all was sent; it forgets"
    assert list((case.folder / "state").iterdir()) == []


async def test_a_wipe_from_before_the_claim_is_not_obeyed(case: Case) -> None:
    place = case.folder / "state" / "identity" / "gateway.json"
    fresh = case.there.down()
    claimed_ms = made_ms(fresh["id"]) - 1
    assert 0 < json.loads(place.read_text())["claimed_ms"] <= claimed_ms
    place.write_text(json.dumps(json.loads(place.read_text()) | {"claimed_ms": claimed_ms}))
    old: dict[str, Any] = fresh | {"id": uuid7(claimed_ms - 1, bytes(10))}
    async with case.running() as task:
        for fields in (old, fresh):
            said = signed.wipe(case.office.gateway, fields["id"].bytes)
            case.send(wire.Wipe(**fields, signature=gateway_keys.sign(case.office.word, said)))
        assert await task == "wiped"
    assert {r.task for r in case.reports()} == {None, fresh["id"]}
