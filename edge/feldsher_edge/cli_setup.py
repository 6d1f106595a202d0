"""The command `setup`: the guided path at a terminal, or decided beforehand by options."""

from __future__ import annotations

import asyncio
import random
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from feldsher_edge import owner, pairing, search, self_test
from feldsher_edge.ble import bonds
from feldsher_edge.ble.session import Radio
from feldsher_edge.checks import Check
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out, table
from feldsher_edge.cli_network import checked
from feldsher_edge.devices import Identity
from feldsher_edge.guide import Done, Guide, GuideError, Hands, described
from feldsher_edge.identity import Identity as Claimed
from feldsher_edge.provision import claim_identity
from feldsher_edge.search import Found
from feldsher_edge.service_control import Control, ControlError, control

_STATE = Path("/var/lib/feldsher")
_PAIR_S = 30.0
_CONNECT_S, _FIRST_START_S = 30.0, 900.0
_WORDS = {
    "claim": "who this gateway is",
    "network": "the way to the cloud",
    "search": "looking for devices",
    "choose": "which of them belong here",
    "pair": "pairing",
    "name": "a name for it",
    "start": "starting the gateway",
    "test": "self-test",
    "ready": "done",
}


class Decided:
    """A person who is not there: what the options said. `take`: addresses and ports; kits are taken in any case."""

    def __init__(self, out: Out, claim: str | None, take: tuple[str, ...]) -> None:
        self._out = out
        self._claim = claim
        self._take = {one.upper() for one in take}

    def step(self, number: int, of: int, name: str) -> None:
        """Show a step."""
        self._out.console.print(f"[{number}/{of}] {_WORDS[name]}", markup=False)

    def tell(self, text: str) -> None:
        """Show something."""
        self._out.console.print(f"      {text}", markup=False, soft_wrap=True)

    def checks(self, checks: list[Check]) -> None:
        """Show what was looked at."""
        self._out.console.print(table(checks))

    def claim(self) -> str:
        """Return the claim of the command line."""
        if self._claim is None:
            raise GuideError("claim", "no claim was given", "feldsher-edge setup CLAIM")
        return self._claim

    def wants(self, found: Found) -> bool:
        """Take kits on a cable; of Bluetooth devices only those named: the next room has some too."""
        taken = found.port is not None or found.where.upper() in self._take
        self.tell(f"{'+' if taken else '-'} {described(found)}{'' if taken else f' (not taken: --take {found.where})'}")
        return taken

    def name(self, found: Found, proposed: str) -> str:
        """Take the name that is proposed."""
        self.tell(f"{found.where}: {proposed}")
        return proposed

    def again(self, words: str) -> bool:
        """Try nothing twice."""
        self.tell(words)
        return False


class AtTerminal(Decided):
    """A technician at a terminal."""

    def claim(self) -> str:
        """Return the claim of the command line, or ask for it."""
        return self._claim if self._claim is not None else typer.prompt("      the claim (feldsher1.…)")

    def wants(self, found: Found) -> bool:
        """Ask whether a device belongs here."""
        asked = found.where.upper() not in self._take
        return not asked or typer.confirm(f"      {described(found)}: use it here?", default=found.port is not None)

    def name(self, found: Found, proposed: str) -> str:
        """Ask for a name."""
        return typer.prompt(f"      name of the {found.words}", default=proposed)

    def again(self, words: str) -> bool:
        """Ask whether to try again."""
        self.tell(words)
        return typer.confirm("      try again?", default=True)


def setup(
    claim: Annotated[str | None, typer.Argument(help="The line that `feldsher-cloud gateway add` printed.")] = None,
    config: ConfigFile = DEFAULT,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; use kits on a cable and what --take names.")
    ] = False,
    take: Annotated[
        list[str] | None, typer.Option(help="A Bluetooth address or serial port that belongs here; repeatable.")
    ] = None,
    port: Annotated[list[str] | None, typer.Option(help="Ask these serial ports only; repeatable.")] = None,
    listen: Annotated[float, typer.Option(min=0, help="Seconds to listen for Bluetooth devices.")] = 8.0,
    wait: Annotated[float | None, typer.Option(min=0, help="Seconds to wait for each first reading.")] = None,
    state: Annotated[Path, typer.Option(help="Where a new gateway keeps its data.")] = _STATE,
    timezone: Annotated[str | None, typer.Option(help="The clinic's or home's, e.g. Asia/Yekaterinburg.")] = None,
    json: Json = False,
) -> None:
    """Set this gateway up, step by step: claim, network, devices, pairing, names, self-test.

    It may be broken off and started again at any time: what is done stays done.
    """
    out = Out(json=json)
    asks = not yes and not json and sys.stdin.isatty()
    person = (AtTerminal if asks else Decided)(out, claim, tuple(take or ()))
    seconds = wait if wait is not None else (120.0 if asks else 0.0)
    guide = partial(Guide, config, person, state=state, timezone=timezone or machine_zone())
    try:
        done = asyncio.run(_walk(guide, config, state, tuple(port) if port else None, listen, seconds, person))
    except GuideError as error:
        out.fail(f"{error.step}: {error}", error.todo, code=1)
    except (ControlError, TimeoutError) as error:
        out.fail(f"start: {error}", "feldsher-edge status, then: feldsher-edge setup", code=1)
    out.result(done, *_told(done))
    if not done.ready:
        raise typer.Exit(1)


async def _walk(
    guide: partial[Guide],
    config: Path,
    state: Path,
    ports: tuple[str, ...] | None,
    listen_s: float,
    wait_s: float,
    person: Decided,
) -> Done:
    if await asyncio.to_thread(config.exists):
        state = Out().load(config).state
    async with control(config, state) as started:
        hands = _hands(started, state, ports, listen_s, wait_s, person)
        done = await guide(hands=hands).walk()
        if started.borrowed:
            person.tell("the gateway ran for this test only; start it: feldsher-edge run, or systemctl start")
        return done


def _hands(
    started: Control, state: Path, ports: tuple[str, ...] | None, listen_s: float, wait_s: float, person: Decided
) -> Hands:
    rng = random.SystemRandom()

    def claim(text: str, to: Path) -> Claimed:
        made = claim_identity(text, to)
        owner.hand_over(to)
        return made

    async def serial(configured: dict[str, str]) -> list[Found]:
        return await search.serial_devices(ports if ports is not None else search.ports(), configured)

    async def bluetooth(configured: dict[str, str]) -> list[Found]:
        if not listen_s:
            return []
        try:
            await bonds.known()
        except bonds.BondsError as error:
            person.tell(f"Bluetooth is left out: {error}")
            return []
        person.tell(f"listening for Bluetooth devices, {listen_s:.0f} s; take a measurement, or press their button")
        return await search.nearby(Radio(rng), listen_s, configured)

    async def pair(found: Found) -> tuple[Identity, int | None]:
        return await pairing.pair(Radio(rng), found.kind or "", found.address or "", _PAIR_S)

    async def start() -> None:
        owner.hand_over(state)
        await started.start()

    async def test(names: list[str]) -> list[Check]:
        seconds = _FIRST_START_S if started.by_systemd else _CONNECT_S
        if started.by_systemd:
            person.tell("the service starts; where its ECG engine is not compiled yet, that takes minutes on a Pi")
        return await self_test.run(state, names, connect_s=seconds, wait_s=wait_s, tell=person.tell)

    return Hands(claim, checked, serial, bluetooth, pair, start, test)


def _told(done: Done) -> list[str]:
    head = f"{done.gateway} is ready" if done.ready else f"{done.gateway} is NOT ready"
    return [f"{head}: {', '.join(done.devices) or 'no devices yet'}", *(f"  next: {todo}" for todo in done.next)]


def machine_zone(link: Path = Path("/etc/localtime")) -> str:
    """Return this machine's time zone by its IANA name, UTC where it has none."""
    try:
        _, found, name = str(link.readlink()).partition("zoneinfo/")
    except OSError:
        return "UTC"
    return name if found else "UTC"
