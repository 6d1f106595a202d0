"""The pairing agent: without one BlueZ pairs but does not bond, and every session would pair anew.

A gateway has neither screen nor keys, so it is `NoInputNoOutput` and answers every question of the "Just Works" kind
with yes; it never sees a passkey. Which devices are paired at all is decided by the drivers, who only ever connect to
what the technician configured.
"""

# No `from __future__ import annotations` here: dbus-fast reads the annotations and takes the text "None" for an error.
import asyncio
import random

import structlog
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusStr, DBusUInt32
from dbus_fast.errors import DBusError
from dbus_fast.service import ServiceInterface, dbus_method

PATH = "/org/feldsher/agent"
_MANAGER = "org.bluez.AgentManager1"
_CAPABILITY = "NoInputNoOutput"
_RETRY_S = 10.0

_log = structlog.get_logger()


class _Agent(ServiceInterface):
    """org.bluez.Agent1 (BlueZ, doc/org.bluez.Agent.rst): the questions that Just Works pairing can ask."""

    def __init__(self) -> None:
        super().__init__("org.bluez.Agent1")

    @dbus_method()
    def Release(self) -> None:  # noqa: N802 - D-Bus names
        """Nothing is held for the daemon."""

    @dbus_method()
    def Cancel(self) -> None:  # noqa: N802
        """No question is ever open."""

    @dbus_method()
    def RequestAuthorization(self, device: DBusObjectPath) -> None:  # noqa: N802
        """Allow: drivers pair only what is configured."""

    @dbus_method()
    def AuthorizeService(self, device: DBusObjectPath, uuid: DBusStr) -> None:  # noqa: N802
        """Allow: the gateway offers no service of its own."""

    @dbus_method()
    def RequestConfirmation(self, device: DBusObjectPath, passkey: DBusUInt32) -> None:  # noqa: N802
        """Allow: there is no screen on which anyone could compare the number."""


async def keep_registered(rng: random.Random, held: asyncio.Event | None = None) -> None:
    """Hold the default pairing agent until cancelled; again after each restart of bus or Bluetooth daemon.

    `held` is set while it is registered.
    """
    held = held or asyncio.Event()
    while True:
        try:
            await _registered_until_lost(held)
            _log.info("pairing_agent_lost")
        except (OSError, EOFError, DBusError) as error:
            _log.warning("pairing_agent_unavailable", why=str(error))
        finally:
            held.clear()
        await asyncio.sleep(rng.uniform(0, _RETRY_S))


async def _registered_until_lost(held: asyncio.Event) -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        changed = asyncio.Event()

        def heard(message: Message) -> None:
            if message.member == "NameOwnerChanged" and message.body[0] == "org.bluez":
                changed.set()

        bus.add_message_handler(heard)
        rule = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'"
        await _call(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.AddMatch", "s", rule)
        bus.export(PATH, _Agent())
        await _call(bus, "org.bluez", "/org/bluez", f"{_MANAGER}.RegisterAgent", "os", PATH, _CAPABILITY)
        await _call(bus, "org.bluez", "/org/bluez", f"{_MANAGER}.RequestDefaultAgent", "o", PATH)
        _log.info("pairing_agent_registered")
        held.set()
        lost = asyncio.ensure_future(bus.wait_for_disconnect())
        waiting = asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait({lost, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            lost.cancel()
            await asyncio.gather(waiting, lost, return_exceptions=True)
    finally:
        bus.disconnect()


async def _call(bus: MessageBus, destination: str, path: str, member: str, signature: str, *body: str) -> None:
    interface, _, name = member.rpartition(".")
    reply = await bus.call(
        Message(
            destination=destination,
            path=path,
            interface=interface,
            member=name,
            signature=signature,
            body=list(body),
        )
    )
    if reply.message_type == MessageType.ERROR:
        raise DBusError(reply.error_name or "org.freedesktop.DBus.Error.Failed", str(reply.body))
