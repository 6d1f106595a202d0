"""Keeps the certificate fresh: renewed at two thirds of its life, also after its end, with a new key each time.

The old key is kept until the new certificate has connected to the broker and the cloud has heard so. A gateway that
wakes without a clock first asks the cloud for the time (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

from feldsher_edge import identity
from feldsher_edge.api import Api, RefusedError
from feldsher_edge.clock import Clock
from feldsher_edge.identity import Identity, Place, ProvisionError, load_identity
from feldsher_edge.provision import check_granted, read_granted
from feldsher_edge.publish import Backoff, Figures
from feldsher_edge.true_time import TrueTime

_log = structlog.get_logger("renewal")
_LOOK_S = 3600.0
_TRIAL_S = 180.0
_RETRY_S, _LONGEST_RETRY_S = 20.0, 3600.0
_POLL_S = 0.2
_NOTABLE_US = 500_000
FINAL = frozenset({"revoked", "superseded", "unknown", "foreign"})
"""Refusals that only a new claim ends; asked again all the same, rarely, because a person may change their mind."""


class Publishing(Protocol):
    """What is needed of the publisher: whether the broker lets us in with the present certificate."""

    figures: Figures

    def reconnect(self) -> None:
        """Connect anew, with the certificate that is now in use."""
        ...


class TellClock(Protocol):
    """Is told by how many µs the wall clock was found to be behind the true time."""

    async def __call__(self, behind_us: int) -> None:
        """Put it on record."""
        ...


def renew(api: Api, state: Path) -> None:
    """Obtain the next certificate, for a new key, and store both beside the present ones; repeatable.

    ProvisionError where the cloud cannot be reached, RefusedError where it says no.
    """
    now = api.identity.place
    key = identity.next_key(state)
    granted = read_granted(api.post("/provision/renew", {"csr": identity.request_pem(key, now.gateway)}))
    ca_pem = api.identity.ca.read_text()
    check_granted(granted, now.gateway, ca_pem, key)
    # The authority and the release keys stay as they were pinned: no renewal changes whom we believe.
    place = Place(
        now.gateway,
        granted.mqtt_host,
        granted.mqtt_port,
        granted.api_url,
        granted.word_keys,
        now.release_keys,
        granted.originals or now.originals,
        now.claimed_ms,
    )
    identity.write_next(state, granted.certificate_pem, ca_pem, place)


@dataclass(slots=True)
class Renewal:
    """The task that keeps one gateway's certificate fresh; `until`: its end; `refused`: why it is not renewed."""

    state: Path
    time: TrueTime
    clock: Clock
    publisher: Publishing
    tell_clock: TellClock
    rng: random.Random
    trial_s: float = _TRIAL_S
    refused: str | None = None
    until: datetime | None = None
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = Backoff(_RETRY_S, _LONGEST_RETRY_S, self.rng)

    async def run(self) -> None:
        """Look after the certificate until cancelled."""
        while True:
            try:
                pause_s = await self.step()
            except RefusedError as error:
                self.refused = str(error)
                pause_s = _LONGEST_RETRY_S if error.code in FINAL else self._backoff.next_s(0.0)
                _log.error("the cloud does not renew the certificate", error=str(error), code=error.code)
            except (ProvisionError, OSError) as error:
                pause_s = self._backoff.next_s(0.0)
                _log.warning("certificate not renewed yet", error=str(error), again_s=round(pause_s))
            await asyncio.sleep(pause_s)

    async def step(self) -> float:
        """Do what is due and return in how many seconds to look again; ProvisionError where it could not be done."""
        mine = await asyncio.to_thread(load_identity, self.state)
        if mine is None:
            return _LOOK_S
        self.until = mine.shown().not_valid_after_utc
        if not self.time.signed and self.clock.quality() != "synced":
            await self._ask_time(mine)
        if await asyncio.to_thread(identity.settle, self.state) == "trial":
            await self._prove(0)
            return _POLL_S
        wait = mine.due() - self.time.now()
        if wait > timedelta(0):
            return min(_LOOK_S, wait.total_seconds() * self.rng.uniform(1.0, 1.02) + _POLL_S)
        if not await asyncio.to_thread(identity.is_next_complete, self.state):
            await self._obtain(mine)
        before = self.publisher.figures.connections
        await asyncio.to_thread(identity.switch, self.state)
        self.publisher.reconnect()
        await self._prove(before)
        return _POLL_S

    async def _ask_time(self, mine: Identity) -> None:
        behind_us = await asyncio.to_thread(Api(mine, self.time).ask_time)
        _log.info("the cloud has told the time", behind_s=round(behind_us / 1e6, 1))
        if abs(behind_us) > _NOTABLE_US:
            await self.tell_clock(behind_us)
        if not self.publisher.figures.connected and self.publisher.figures.last_error is not None:
            self.publisher.reconnect()  # it may have failed for the time, and need not wait now

    async def _obtain(self, mine: Identity) -> None:
        """Renew; where the cloud finds our time wrong, ask for it and try once more."""
        api = Api(mine, self.time)
        try:
            await asyncio.to_thread(renew, api, self.state)
        except RefusedError as error:
            if error.code != "clock":
                raise
            await self._ask_time(mine)
            await asyncio.to_thread(renew, api, self.state)
        self.refused = None
        _log.info("certificate renewed", gateway=mine.place.gateway)

    async def _prove(self, before: int) -> None:
        """Wait until the new certificate has connected, then forget the old one; else go back to it."""
        if not await self._connected(before):
            former = await asyncio.to_thread(identity.load_previous, self.state)
            if former is None or former.left(self.time.now()) <= timedelta(0):
                raise ProvisionError("no connection yet with the renewed certificate")
            await asyncio.to_thread(identity.back, self.state)
            self.publisher.reconnect()
            raise ProvisionError("the renewed certificate did not connect; the former one is in use again")
        fresh = await asyncio.to_thread(load_identity, self.state)
        if fresh is not None:
            self.until = fresh.shown().not_valid_after_utc
            await asyncio.to_thread(Api(fresh, self.time).post, "/provision/confirm", {})
        await asyncio.to_thread(identity.keep, self.state)
        _log.info("the renewed certificate is in use")

    async def _connected(self, before: int) -> bool:
        """Return whether a connection came about after the first `before` ones, waiting for it."""
        for _ in range(math.ceil(self.trial_s / _POLL_S)):
            figures = self.publisher.figures
            if figures.connected and figures.connections > before:
                return True
            await asyncio.sleep(_POLL_S)
        return False
