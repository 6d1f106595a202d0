"""A virtual `org.bluez` on a D-Bus of its own: BlueZ's face, bumble's Bluetooth.

For machines without a Bluetooth kernel: the gateway's bleak uses its own BlueZ backend over a real D-Bus and cannot
tell. What drivers trip over in the real daemon is modelled too: no bond without a registered agent, `NotReady`,
`InProgress`, and above all that a client which stays on the bus after the device has hung up is subscribed again by the
daemon itself at the next connection (`bluez_device.py`).
"""

# No `from __future__ import annotations` here: dbus-fast reads the annotations and takes the text "None" for an error.
import asyncio
from typing import Annotated, Literal

from bumble.device import Advertisement, Device
from dbus_fast import DBusError, Message, MessageType, PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusBool, DBusDict, DBusObjectPath, DBusSignature, DBusStr
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from feldsher_edge.simulate.bluez_device import ADAPTER_PATH, RemoteDevice

Strings = Annotated[list[str], DBusSignature("as")]
_READ = PropertyAccess.READ
_ADDRESS = "00:1B:DC:06:00:01"


class VirtualBluez:
    """The daemon: owns the name, exports adapter and devices, remembers agents and who listens to what.

    `stuck`: a fault of its adapter until that is switched off: it refuses every scan as `busy`, or is `deaf`.
    """

    def __init__(self, host: Device, bus: MessageBus) -> None:
        self.host = host
        self.bus = bus
        self.devices: dict[str, RemoteDevice] = {}
        # The default pairing agent: its object path and, on the bus, its owner.
        self.agent: str | None = None
        self.agent_owner = ""
        # Who asked for which characteristic's notifications: D-Bus name by object path.
        self.listeners: dict[str, str] = {}
        # Who scans: D-Bus name.
        self.scanner = ""
        self.stuck: Literal["busy", "deaf"] | None = None
        # Every switching of the adapter: on or off.
        self.switched: list[bool] = []
        self._adapter = Adapter(self)

    async def start(self) -> None:
        """Take the name `org.bluez`."""
        self.bus.add_message_handler(self._watch)
        self.bus.export(ADAPTER_PATH, self._adapter)
        self.bus.export("/org/bluez", AgentManager(self))
        await self.bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
            )
        )
        await self.bus.request_name("org.bluez")
        self.host.on(Device.EVENT_ADVERTISEMENT, self._heard)

    async def stop(self) -> None:
        """Leave the bus, as a daemon that ends."""
        for device in list(self.devices.values()):
            await device.hang_up()
        self.bus.disconnect()
        await self.bus.wait_for_disconnect()

    def _watch(self, message: Message) -> None:
        """Note who subscribes, and forget who has left the bus, as the real daemon does."""
        if message.message_type == MessageType.METHOD_CALL and message.member == "StartNotify" and message.sender:
            self.listeners[message.path or ""] = message.sender
        elif message.member == "RequestDefaultAgent" and message.sender:
            self.agent_owner = message.sender
        elif message.member == "StartDiscovery" and message.sender and not self._adapter.Discovering:
            self.scanner = message.sender
        elif message.member == "StopNotify":
            self.listeners.pop(message.path or "", None)
        elif message.member == "NameOwnerChanged" and not message.body[2]:
            self.listeners = {path: name for path, name in self.listeners.items() if name != message.body[0]}
            if message.body[0] == self.agent_owner:
                self.agent = None
            if message.body[0] == self.scanner:
                self.scanner = ""
                self._adapter.abandon()

    async def switch(self, on: bool) -> None:
        """Note that the adapter is switched; off, it loses its connections and whatever it was stuck in."""
        self.switched.append(on)
        if not on:
            self.stuck = None
            for device in list(self.devices.values()):
                await device.hang_up()

    def _heard(self, advertisement: Advertisement) -> None:
        if self.stuck == "deaf":
            return
        address = advertisement.address.to_string(False)
        device = self.devices.get(address)
        if device is None:
            device = self.devices[address] = RemoteDevice(self, advertisement)
            self.bus.export(device.path, device)
        else:
            device.update(advertisement)

    async def remove(self, path: str) -> None:
        """Forget a device and its bond."""
        for address, device in list(self.devices.items()):
            if device.path == path:
                await device.forget()
                self.bus.unexport(path)
                del self.devices[address]
                return
        raise DBusError("org.bluez.Error.DoesNotExist", "Does Not Exist")


async def start(host: Device, address: str) -> VirtualBluez:
    """Return the daemon of one adapter, running on the bus at `address`."""
    daemon = VirtualBluez(host, await MessageBus(bus_address=address).connect())
    await daemon.start()
    return daemon


class Adapter(ServiceInterface):
    """org.bluez.Adapter1."""

    def __init__(self, daemon: VirtualBluez) -> None:
        super().__init__("org.bluez.Adapter1")
        self._daemon = daemon
        self._powered = True
        self._discovering = False
        self._ending: asyncio.Future[None] | None = None
        self._switching: asyncio.Future[None] | None = None

    @dbus_property(access=_READ)
    def Address(self) -> DBusStr:  # noqa: N802 - D-Bus names, here and below
        """Return the adapter's own address."""
        return _ADDRESS

    @dbus_property()
    def Powered(self) -> DBusBool:  # noqa: N802
        """Say whether the adapter is on."""
        return self._powered

    @Powered.setter
    def Powered(self, value: DBusBool) -> None:  # noqa: N802
        """Switch the adapter; off, its scan ends."""
        self._powered = value
        if not value:
            self.abandon()
        self._switching = asyncio.ensure_future(self._daemon.switch(value))
        self.emit_properties_changed({"Powered": value})

    @dbus_property(access=_READ)
    def Discovering(self) -> DBusBool:  # noqa: N802
        """Say whether a scan is running."""
        return self._discovering

    @dbus_property(access=_READ)
    def Roles(self) -> Strings:  # noqa: N802
        """Return the roles it can take."""
        return ["central"]

    @dbus_method()
    def SetDiscoveryFilter(self, properties: DBusDict) -> None:  # noqa: N802
        """Accept a filter; bleak filters again by itself."""

    @dbus_method()
    async def StartDiscovery(self) -> None:  # noqa: N802
        """Scan; the real daemon's errors where it is off or scanning already."""
        if not self._powered:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        if self._discovering or self._daemon.stuck == "busy":
            raise DBusError("org.bluez.Error.InProgress", "Operation already in progress")
        if self._ending is not None:
            await self._ending
            self._ending = None
        await self._daemon.host.start_scanning(active=True, filter_duplicates=False)
        self._changed(True)

    @dbus_method()
    async def StopDiscovery(self) -> None:  # noqa: N802
        """End the scan."""
        if not self._discovering:
            raise DBusError("org.bluez.Error.Failed", "No discovery started")
        await self._daemon.host.stop_scanning()
        self._changed(False)

    @dbus_method()
    async def RemoveDevice(self, device: DBusObjectPath) -> None:  # noqa: N802
        """Forget a device and its bond."""
        await self._daemon.remove(device)

    def abandon(self) -> None:
        """End the scan of a client that has left the bus, as the real daemon does."""
        if self._discovering:
            self._changed(False)
            self._ending = asyncio.ensure_future(self._daemon.host.stop_scanning())

    def _changed(self, discovering: bool) -> None:
        self._discovering = discovering
        self.emit_properties_changed({"Discovering": discovering})


class AgentManager(ServiceInterface):
    """org.bluez.AgentManager1."""

    def __init__(self, daemon: VirtualBluez) -> None:
        super().__init__("org.bluez.AgentManager1")
        self._daemon = daemon
        self._registered: set[str] = set()

    @dbus_method()
    def RegisterAgent(self, agent: DBusObjectPath, capability: DBusStr) -> None:  # noqa: N802
        """Note an agent."""
        if capability not in ("", "DisplayOnly", "DisplayYesNo", "KeyboardOnly", "NoInputNoOutput", "KeyboardDisplay"):
            raise DBusError("org.bluez.Error.InvalidArguments", "Invalid arguments in method call")
        self._registered.add(agent)

    @dbus_method()
    def RequestDefaultAgent(self, agent: DBusObjectPath) -> None:  # noqa: N802
        """Ask this agent from now on."""
        if agent not in self._registered:
            raise DBusError("org.bluez.Error.DoesNotExist", "Does Not Exist")
        self._daemon.agent = agent

    @dbus_method()
    def UnregisterAgent(self, agent: DBusObjectPath) -> None:  # noqa: N802
        """Forget an agent."""
        self._registered.discard(agent)
        if self._daemon.agent == agent:
            self._daemon.agent = None
