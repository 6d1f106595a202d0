"""The bonds that the Bluetooth daemon keeps: which devices it knows, and forgetting them (org.bluez over D-Bus)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusError


class BondsError(Exception):
    """The Bluetooth daemon cannot be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Bond:
    """A device that the Bluetooth daemon knows, at `path` on D-Bus; `paired`: with a bond."""

    address: str
    name: str
    paired: bool
    path: str


async def known() -> list[Bond]:
    """Return the devices that the Bluetooth daemon knows; BondsError where there is no daemon."""
    async with _bus() as bus:
        return await _known(bus)


async def forget(addresses: Iterable[str]) -> list[str]:
    """Remove what the Bluetooth daemon knows of devices, on every adapter; return the addresses that it knew."""
    wanted = {address.upper() for address in addresses}
    async with _bus() as bus:
        gone = [bond for bond in await _known(bus) if bond.address in wanted]
        for bond in gone:
            await _call(bus, bond.path.rpartition("/")[0], "org.bluez.Adapter1", "RemoveDevice", "o", bond.path)
    return [bond.address for bond in gone]


@asynccontextmanager
async def _bus() -> AsyncGenerator[MessageBus]:
    try:
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        try:
            yield bus
        finally:
            bus.disconnect()
    except (OSError, EOFError, DBusError) as error:
        raise BondsError(f"the Bluetooth daemon does not answer: {error}; systemctl status bluetooth") from error


async def _known(bus: MessageBus) -> list[Bond]:
    (objects,) = await _call(bus, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
    found: list[Bond] = []
    for path, interfaces in objects.items():
        device: dict[str, Any] = {name: it.value for name, it in interfaces.get("org.bluez.Device1", {}).items()}
        if "Address" in device:
            name = str(device.get("Name", ""))
            found.append(Bond(str(device["Address"]).upper(), name, bool(device.get("Paired")), str(path)))
    return found


async def _call(bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
    message = Message(
        destination="org.bluez", path=path, interface=interface, member=member, signature=signature, body=list(body)
    )
    reply = await bus.call(message)
    if reply.message_type == MessageType.ERROR:
        raise DBusError(reply.error_name or "org.freedesktop.DBus.Error.Failed", str(reply.body))
    return reply.body
