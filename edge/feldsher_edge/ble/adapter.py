"""Care of the Bluetooth adapter: built-in ones are known to get stuck until they are switched off and on again.

A stuck adapter refuses every scan (`org.bluez.Error.InProgress`, `NotReady`), fails every connection, or hears nothing
at all. Errors are counted against what works in between; silence alone is normal where nobody measures, so it costs an
adapter its power rarely, and never while a device is connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError

FAILED_SCANS: Final = 3
"""So many scans in a row that could not run, and the adapter is switched off and on."""
FAILED_CONNECTS: Final = 5
"""So many connections in a row that could not be made, to whichever device, and the same is done."""
SILENCES: Final = 3
"""So many scans in a row that heard nothing at all, and the same is done."""
_PAUSE_S: Final = (60.0, 3600.0)
"""From one power cycle to the next at least, and at most while they do not help."""
_OFF_S: Final = 1.0
_ADAPTER: Final = "org.bluez.Adapter1"
_TIMEOUT_S: Final = 20.0
_ERRORS: Final = (OSError, EOFError, TimeoutError, DBusError)

_log = structlog.get_logger()


@dataclass(slots=True)
class Figures:
    """What has happened to an adapter since the daemon's start; `power_cycles` are those that succeeded."""

    scan_restarts: int = 0
    scan_failures: int = 0
    failed_connects: int = 0
    power_cycles: int = 0
    lost_bonds: int = 0


class Care:
    """Watches one adapter. `cycle` switches it off and on, None where there is none; `now`: monotonic seconds."""

    def __init__(self, cycle: Callable[[], Awaitable[None]] | None, now: Callable[[], float]) -> None:
        self.figures = Figures()
        self._cycle = cycle
        self._now = now
        self._failed_scans = 0
        self._failed_connects = 0
        self._silences = 0
        self._pause_s = _PAUSE_S[0]
        self._not_before = 0.0

    def heard(self) -> None:
        """Note an advertisement."""
        self._failed_scans = self._silences = 0

    def connected(self) -> None:
        """Note a connection: the adapter works."""
        self._failed_connects = 0
        self._pause_s = _PAUSE_S[0]

    def scan_failed(self) -> None:
        """Note a scan that could not run."""
        self.figures.scan_failures += 1
        self._failed_scans += 1

    def connect_failed(self) -> None:
        """Note a connection that could not be made."""
        self.figures.failed_connects += 1
        self._failed_connects += 1

    def silent(self) -> None:
        """Note a scan that is started anew because it heard nothing."""
        self.figures.scan_restarts += 1
        self._silences += 1

    async def recover(self) -> bool:
        """Switch the adapter off and on where that is due; True where it was done. Nothing may be connected."""
        due = (
            self._failed_scans >= FAILED_SCANS or self._failed_connects >= FAILED_CONNECTS or self._silences >= SILENCES
        )
        if not due or self._cycle is None or self._now() < self._not_before:
            return False
        self._not_before = self._now() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _PAUSE_S[1])
        try:
            await self._cycle()
        except _ERRORS as error:
            _log.warning("adapter_not_switched", why=str(error))
            return False
        _log.warning(
            "adapter_switched_off_and_on", failed_scans=self._failed_scans, failed_connects=self._failed_connects,
            silent_scans=self._silences,
        )  # fmt: skip
        self._failed_scans = self._failed_connects = self._silences = 0
        self.figures.power_cycles += 1
        return True


async def power_cycle(adapter: str | None) -> None:
    """Switch an adapter (such as `hci1`; None: the first one) off and on through BlueZ; DBusError where it refuses."""
    async with asyncio.timeout(_TIMEOUT_S):
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            path = f"/org/bluez/{adapter}" if adapter else await _first(bus)
            await _power(bus, path, on=False)
            await asyncio.sleep(_OFF_S)
            await _power(bus, path, on=True)
        finally:
            bus.disconnect()


async def switch_on(within_s: float) -> None:
    """Switch the first adapter on as soon as there is one; TimeoutError where there is none within that time."""
    async with asyncio.timeout(within_s):
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            while True:
                try:
                    await _power(bus, await _first(bus), on=True)
                except DBusError:
                    await asyncio.sleep(0.1)
                else:
                    return
        finally:
            bus.disconnect()


async def _first(bus: MessageBus) -> str:
    objects = await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    paths = sorted(path for path, interfaces in objects[0].items() if _ADAPTER in interfaces)
    if not paths:
        raise DBusError("org.bluez.Error.NotAvailable", "there is no Bluetooth adapter")
    return paths[0]


async def _power(bus: MessageBus, path: str, *, on: bool) -> None:
    body = [_ADAPTER, "Powered", Variant("b", on)]
    await _call(bus, path, "org.freedesktop.DBus.Properties", "Set", "ssv", body)


async def _call(
    bus: MessageBus, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
) -> list[Any]:
    message = Message(
        destination="org.bluez", path=path, interface=interface, member=member, signature=signature, body=body or []
    )
    reply = await bus.call(message)
    if reply.message_type == MessageType.ERROR:
        raise DBusError(reply.error_name or "org.freedesktop.DBus.Error.Failed", str(reply.body))
    return list(reply.body)
