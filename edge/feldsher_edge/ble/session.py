"""The gateway's Bluetooth adapter, shared by its drivers: one scan for all of them, and sessions that always end.

No other module may open a `BleakClient` (a test looks): after a device has hung up, bleak keeps its D-Bus connection
and BlueZ the subscription made through it. At the next connection BlueZ would subscribe by itself and confirm the
stored readings to the device, which deletes them, while nobody listens (measured: bleak 3.1.0, BlueZ 5.66).
`session` therefore calls `disconnect()` whatever happened.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final

import structlog
from bleak import BleakClient, BleakScanner
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakError
from bleak_retry_connector import (
    BleakClientWithServiceCache,
    BleakNotFoundError,
    BleakOutOfConnectionSlotsError,
    establish_connection,
)

from feldsher_edge.ble.adapter import Care, Figures, power_cycle
from feldsher_edge.ble.agent import keep_registered

RADIO_ERRORS: Final = (BleakError, OSError, EOFError, TimeoutError)
"""What a radio, an adapter or a D-Bus can throw at a driver; all of it passes, and the driver tries again."""

_RETRY_S = 10.0
SILENCE_S = 90.0
"""A scan that hears nothing for so long is started anew."""
_AGENT_S = 15.0

_log = structlog.get_logger()


class NotReachedError(BleakError):
    """No connection was made, which says nothing of the bond: out of reach, gone meanwhile, or the adapter is busy."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Bleak's own backend (both None), or another one, as in tests without a D-Bus."""

    scanner: type[BaseBleakScanner] | None = None
    client: type[BaseBleakClient] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One connection: `client` to talk through; `gone` is set when the device has hung up."""

    client: BleakClient
    gone: asyncio.Event


@dataclass(frozen=True, slots=True)
class _Waiter:
    services: tuple[str, ...]
    wanted: Callable[[BLEDevice, AdvertisementData], bool]
    found: asyncio.Future[BLEDevice]


class Radio:
    """One Bluetooth adapter. Use as an async context manager, as often as there are drivers; the last one stops it.

    `adapter`: such as `hci1`, None for the default one. `silence_s`: a scan that hears nothing for so long is started
    anew; what more is done for a stuck adapter, see `adapter.py`.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        adapter: str | None = None,
        backend: Backend | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._rng = rng
        self._backend = backend
        self._adapter = adapter
        self._silence_s = silence_s
        self._waiters: list[_Waiter] = []
        self._users = 0
        self._connecting = 0
        self._sessions = 0
        self._heard = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._care = Care(partial(power_cycle, adapter) if backend is None else None, time.monotonic)
        # Set while our pairing agent is registered: without it BlueZ would pair and not bond.
        self._may_bond = asyncio.Event()
        # Scanning and connecting at the same time fails on many adapters.
        self._air = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def adapter(self) -> str:
        """Its adapter's name."""
        return self._adapter or "default"

    @property
    def figures(self) -> Figures:
        """What has happened to the adapter so far."""
        return self._care.figures

    async def __aenter__(self) -> Radio:
        self._users += 1
        if self._users == 1:
            self._tasks = [asyncio.create_task(self._scan_for_all())]
            if self._backend is None:
                self._tasks.append(asyncio.create_task(keep_registered(self._rng, self._may_bond)))
            else:
                self._may_bond.set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            tasks, self._tasks = self._tasks, []
            self._changed.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def find(
        self, services: tuple[str, ...], wanted: Callable[[BLEDevice, AdvertisementData], bool]
    ) -> BLEDevice:
        """Return the first device heard that advertises one of `services` (128-bit UUIDs) and is `wanted`."""
        waiter = _Waiter(services, wanted, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._changed.set()
        try:
            return await waiter.found
        finally:
            self._waiters.remove(waiter)
            self._changed.set()

    @asynccontextmanager
    async def session(self, device: BLEDevice, *, pair: bool) -> AsyncGenerator[Session]:
        """Connect (with `pair`: bond before services are discovered), and disconnect at the end whatever happened."""
        gone = asyncio.Event()
        if pair:
            await self._wait_for_agent()
        client = await self._connect(device, gone, pair=pair)
        self._sessions += 1
        try:
            yield Session(client, gone)
        finally:
            self._sessions -= 1
            try:
                await client.disconnect()
            except RADIO_ERRORS as error:
                _log.warning("bluetooth_disconnect_failed", device=device.address, why=str(error))

    async def _wait_for_agent(self) -> None:
        try:
            async with asyncio.timeout(_AGENT_S):
                await self._may_bond.wait()
        except TimeoutError as error:
            raise NotReachedError("no pairing agent is registered: does the Bluetooth daemon run?") from error

    async def forget(self, device: BLEDevice) -> None:
        """Remove a bond that was lost on the device's side, so that the next session pairs anew."""
        self.figures.lost_bonds += 1
        await BleakClient(device, **self._options(self._backend and self._backend.client)).unpair()

    async def _connect(self, device: BLEDevice, gone: asyncio.Event, *, pair: bool) -> BleakClient:
        def hung_up(_client: BleakClient) -> None:
            gone.set()

        self._connecting += 1
        self._changed.set()
        try:
            async with self._air:
                client = await establish_connection(
                    BleakClientWithServiceCache,
                    device,
                    device.name or device.address,
                    disconnected_callback=hung_up,
                    max_attempts=2,
                    use_services_cache=False,
                    pair=pair,
                    **self._options(self._backend and self._backend.client),
                )
        except RADIO_ERRORS as error:
            self._care.connect_failed()
            if isinstance(error, BleakNotFoundError | BleakOutOfConnectionSlotsError):
                raise NotReachedError(str(error)) from error
            raise
        else:
            self._care.connected()
            return client
        finally:
            self._connecting -= 1
            self._changed.set()

    def _options(self, backend: type[BaseBleakClient] | type[BaseBleakScanner] | None) -> dict[str, Any]:
        return {"backend": backend, "bluez": {"adapter": self._adapter} if self._adapter else {}}

    async def _scan_for_all(self) -> None:
        # Asked each time: below Python 3.12 a cancellation may be swallowed on its way through a library's `wait_for`.
        while self._users:
            self._changed.clear()
            if not self._waiters or self._connecting:
                await self._changed.wait()
                continue
            try:
                async with self._air:
                    await self._listen()
            except RADIO_ERRORS as error:
                _log.warning("bluetooth_scan_failed", why=str(error))
                self._care.scan_failed()
                await asyncio.sleep(self._rng.uniform(0, _RETRY_S))
            async with self._air:
                if not self._sessions:
                    await self._care.recover()

    async def _listen(self) -> None:
        services = sorted({service for waiter in self._waiters for service in waiter.services})
        options = self._options(self._backend and self._backend.scanner)
        async with BleakScanner(self._advertised, service_uuids=services, **options):
            while not self._changed.is_set():
                before = self._heard
                try:
                    # Not wait_for: before Python 3.12 it swallows a cancellation that meets the event.
                    async with asyncio.timeout(self._silence_s):
                        await self._changed.wait()
                except TimeoutError:
                    if self._heard == before:
                        self._care.silent()
                        _log.info("bluetooth_scan_restarted", silent_s=self._silence_s)
                        return

    def _advertised(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self._heard += 1
        self._care.heard()
        for waiter in self._waiters:
            offers = not set(waiter.services).isdisjoint(advertisement.service_uuids)
            matches = offers and waiter.wanted(device, advertisement)
            if matches and not waiter.found.done():
                waiter.found.set_result(device)
                return
