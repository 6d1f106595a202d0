"""The guided path from a claim to a working gateway: nine steps, each counted, each told, each safe to repeat.

Nothing is remembered between runs: every step looks at how things stand, so a path that was broken off goes on where
it stopped. Whoever walks it is a `Person`: at a terminal, or a program that has decided beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from feldsher_edge import config_file
from feldsher_edge.checks import Check, good
from feldsher_edge.config import Config, ConfigError, load
from feldsher_edge.devices import DeviceError, Identity
from feldsher_edge.identity import Identity as Claimed
from feldsher_edge.identity import ProvisionError, load_identity
from feldsher_edge.search import BY_HAND, CYTON_CHANNELS, Found

STEPS = ("claim", "network", "search", "choose", "pair", "name", "start", "test", "ready")


class GuideError(Exception):
    """Why the path ends here. `todo`: the next thing to do; the path may then be walked again."""

    def __init__(self, step: str, words: str, todo: str) -> None:
        super().__init__(words)
        self.step, self.todo = step, todo


class Person(Protocol):
    """Whoever decides. `step` and `tell` show what happens; the others ask."""

    def step(self, number: int, of: int, name: str) -> None:
        """Show that a step begins."""
        ...

    def tell(self, text: str) -> None:
        """Show something."""
        ...

    def checks(self, checks: list[Check]) -> None:
        """Show what was looked at."""
        ...

    def claim(self) -> str:
        """Return the claim."""
        ...

    def wants(self, found: Found) -> bool:
        """Say whether a device belongs to this gateway."""
        ...

    def name(self, found: Found, proposed: str) -> str:
        """Return the name of a device."""
        ...

    def again(self, words: str) -> bool:
        """Say whether what failed is to be tried again."""
        ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What the path does in the world; tests and the command line give it these."""

    claim: Callable[[str, Path], Claimed]
    network: Callable[[Config, Claimed], list[Check]]
    serial: Callable[[dict[str, str]], Awaitable[list[Found]]]
    bluetooth: Callable[[dict[str, str]], Awaitable[list[Found]]]
    pair: Callable[[Found], Awaitable[tuple[Identity, int | None]]]
    start: Callable[[], Awaitable[None]]
    test: Callable[[list[str]], Awaitable[list[Check]]]


class Done(msgspec.Struct, frozen=True):
    """Where the path has led. `added`: names of new devices; `checks`: of network and self-test."""

    gateway: str
    added: tuple[str, ...]
    devices: tuple[str, ...]
    checks: tuple[Check, ...]
    ready: bool
    next: tuple[str, ...]


@dataclass(slots=True)
class Guide:
    """One walk along the path. `path`: the configuration file; `state`, `timezone`: for a first one."""

    path: Path
    person: Person
    hands: Hands
    state: Path = Path("/var/lib/feldsher")
    timezone: str = "UTC"
    now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)
    _checks: list[Check] = field(default_factory=list[Check])

    async def walk(self) -> Done:
        """Walk the path; GuideError says where it ends and what to do."""
        gateway = await self._claim()
        await self._network()
        chosen = self._choose(await self._search())
        added = await self._take(chosen)
        names = config_file.testable(self.path)
        self._step("start")
        await self.hands.start()
        self._step("test")
        found = await self.hands.test(names)
        self.person.checks(found)
        self._checks += found
        self._step("ready")
        ready = good(self._checks)
        return Done(gateway, tuple(added), tuple(names), tuple(self._checks), ready, self._next(names, ready=ready))

    def _step(self, name: str) -> None:
        self.person.step(STEPS.index(name) + 1, len(STEPS), name)

    def _config(self) -> Config:
        try:
            return load(self.path)
        except ConfigError as error:
            raise GuideError("claim", str(error), f"correct {self.path}") from error

    async def _claim(self) -> str:
        self._step("claim")
        try:
            if not self.path.exists():
                config_file.create(self.path, self.state, self.timezone)
            config = self._config()
            there = load_identity(config.state)
            if there is None:
                text = self.person.claim()
                there = await asyncio.to_thread(self.hands.claim, text, config.state)
            else:
                self.person.tell(f"claimed already: {there.place.gateway}")
        except ProvisionError as error:
            todo = "get a new claim: feldsher-cloud gateway add NAME, or the page of gateways"
            raise GuideError("claim", str(error), todo) from error
        except PermissionError as error:
            raise GuideError("claim", f"{error.filename}: not allowed", "use sudo") from error
        self.person.tell(f"this gateway is {there.place.gateway}")
        return there.place.gateway

    async def _network(self) -> None:
        self._step("network")
        config = self._config()
        identity = load_identity(config.state)
        if identity is None:
            raise GuideError("network", "the identity vanished", "walk the path again")
        while True:
            found = await asyncio.to_thread(self.hands.network, config, identity)
            self.person.checks(found)
            if good(found):
                self._checks += found
                return
            first = next(check for check in found if check.ok is False)
            if not self.person.again(f"{first.name}: {first.detail}"):
                raise GuideError("network", f"{first.name}: {first.detail}", first.next)
            config = self._config()

    async def _search(self) -> list[Found]:
        self._step("search")
        known = config_file.devices(self.path)
        by_port = {str(fields["port"]): str(fields["device"]) for _, fields in known if "port" in fields}
        by_address = {str(f["address"]).upper(): str(f["device"]) for _, f in known if "address" in f}
        return [*await self.hands.serial(by_port), *await self.hands.bluetooth(by_address)]

    def _choose(self, found: list[Found]) -> list[Found]:
        self._step("choose")
        chosen: list[Found] = []
        for it in found:
            if it.configured is not None:
                self.person.tell(f"{it.where}: {it.configured}, known already")
            elif it.kind is None:
                self.person.tell(f"{it.where}: {it.words}: {it.why}")
            elif it.kind in BY_HAND:
                self.person.tell(f"{it.where}: {it.words}: write its table by hand (docs/devices.md): how is it wired?")
            elif self.person.wants(it):
                chosen.append(it)
        return chosen

    async def _take(self, chosen: list[Found]) -> list[str]:
        added: list[str] = []
        for it in chosen:
            if it.address is not None and not await self._pair(it):
                continue
            self._step("name")
            taken = {str(fields["device"]) for _, fields in config_file.devices(self.path)}
            name = self.person.name(it, proposed(it.kind or "", taken))
            try:
                config_file.add(self.path, it.kind or "", {"device": name, **self._fields(it)})
            except (ConfigError, OSError) as error:
                raise GuideError("name", str(error), f"choose another name, or correct {self.path}") from error
            added.append(name)
        return added

    def _fields(self, it: Found) -> dict[str, config_file.Field]:
        """Return what is written of a device beside its name."""
        if it.port is None:
            return {"address": it.address or "", "since": self.now()}
        if it.kind != "cyton":
            return {"port": it.port}
        self.person.tell(f"taken to be wired {', '.join(CYTON_CHANNELS)}; else change `channels` in {self.path}")
        return {"port": it.port, "channels": list(CYTON_CHANNELS)}

    async def _pair(self, it: Found) -> bool:
        """Bond with a device; False where it does not and is left out for now."""
        self._step("pair")
        while True:
            try:
                identity, battery = await self.hands.pair(it)
            except DeviceError as error:
                if not self.person.again(str(error)):
                    self._checks.append(Check(f"pair {it.where}", False, str(error), f"feldsher-edge pair {it.where}"))
                    return False
            else:
                charge = f", battery {battery} %" if battery is not None else ""
                self.person.tell(f"{it.where}: paired: {identity.model}{charge}")
                return True

    def _next(self, names: list[str], *, ready: bool) -> tuple[str, ...]:
        """Return what to do now."""
        if not ready:
            todo = (f"{check.name}: {check.next}" for check in self._checks if check.ok is False and check.next)
            return (*todo, "then walk the path again: feldsher-edge setup")
        if not names:
            return ("no device yet: plug one in, or take a measurement beside the gateway; feldsher-edge setup",)
        return (
            "give each device to a patient or a room, in the workstation under Devices",
            "take one real measurement with each device and see it in the record",
        )


def proposed(kind: str, taken: set[str]) -> str:
    """Return a free name for a device: cuff-1, cuff-2."""
    stem = "ecg" if kind in ("kit", "cyton") else kind.replace("_", "-")
    return next(name for n in range(1, 1000) if (name := f"{stem}-{n}") not in taken)


def described(it: Found) -> str:
    """Return one line about a device that was found."""
    parts = [it.words, it.model or it.name, f"no. {it.serial}" if it.serial else "", it.where]
    if it.signal is not None:
        parts.append(f"signal {it.signal} dBm")
    return ", ".join(part for part in parts if part)
