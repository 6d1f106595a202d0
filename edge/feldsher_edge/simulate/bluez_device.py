"""The devices of the virtual `org.bluez`: Device1 with its GattService1 and GattCharacteristic1 objects."""

# No `from __future__ import annotations` here: dbus-fast reads the annotations and takes the text "None" for an error.
import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any, Protocol

from bumble.core import BaseBumbleError, ProtocolError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy, ServiceProxy
from bumble.pairing import PairingConfig, PairingDelegate
from dbus_fast import DBusError, PropertyAccess, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import (
    DBusBool,
    DBusBytes,
    DBusDict,
    DBusInt16,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
    DBusUInt16,
)
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from feldsher_edge.simulate import central

ADAPTER_PATH = "/org/bluez/hci0"
Strings = Annotated[list[str], DBusSignature("as")]
_READ = PropertyAccess.READ
_NOT_PERMITTED = (2, 3)


class Daemon(Protocol):
    """What a device needs of the daemon."""

    @property
    def host(self) -> Device:
        """The adapter."""
        ...

    @property
    def bus(self) -> MessageBus:
        """The bus its objects live on."""
        ...

    @property
    def agent(self) -> str | None:
        """The default pairing agent."""
        ...

    @property
    def listeners(self) -> dict[str, str]:
        """Who asked for which characteristic's notifications."""
        ...


class RemoteDevice(ServiceInterface):
    """org.bluez.Device1."""

    def __init__(self, daemon: Daemon, advertisement: Advertisement) -> None:
        super().__init__("org.bluez.Device1")
        self._daemon = daemon
        self._target = advertisement.address
        self._address = advertisement.address.to_string(False)
        self.path = f"{ADAPTER_PATH}/dev_{self._address.replace(':', '_')}"
        self._name, self._uuids = central.advertised(advertisement)
        self._rssi = advertisement.rssi
        self._connection: Connection | None = None
        self._resolved = self._bonded = self._paired = self._trusted = False
        self._children: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, advertisement: Advertisement) -> None:
        """Take in a newer advertisement."""
        name, uuids = central.advertised(advertisement)
        self._name, self._uuids = name or self._name, uuids or self._uuids
        self._rssi = advertisement.rssi
        self.emit_properties_changed({"RSSI": self._rssi})

    @dbus_property(access=_READ)
    def Address(self) -> DBusStr:  # noqa: N802 - D-Bus names, here and below
        """Return the device's address."""
        return self._address

    @dbus_property(access=_READ)
    def AddressType(self) -> DBusStr:  # noqa: N802
        """Return the kind of address."""
        return "random"

    @dbus_property(access=_READ)
    def Name(self) -> DBusStr:  # noqa: N802
        """Return the advertised name."""
        return self._name or ""

    @dbus_property(access=_READ)
    def Alias(self) -> DBusStr:  # noqa: N802
        """Return the name to show."""
        return self._name or self._address

    @dbus_property(access=_READ)
    def Adapter(self) -> DBusObjectPath:  # noqa: N802
        """Return the adapter it was heard by."""
        return ADAPTER_PATH

    @dbus_property(access=_READ)
    def UUIDs(self) -> Strings:  # noqa: N802
        """Return the advertised services."""
        return self._uuids

    @dbus_property(access=_READ)
    def RSSI(self) -> DBusInt16:  # noqa: N802
        """Return the signal strength last heard, dBm."""
        return self._rssi

    @dbus_property(access=_READ)
    def Connected(self) -> DBusBool:  # noqa: N802
        """Say whether it is connected."""
        return self._connection is not None

    @dbus_property(access=_READ)
    def ServicesResolved(self) -> DBusBool:  # noqa: N802
        """Say whether its services are known."""
        return self._resolved

    @dbus_property(access=_READ)
    def Paired(self) -> DBusBool:  # noqa: N802
        """Say whether it is paired."""
        return self._paired

    @dbus_property(access=_READ)
    def Bonded(self) -> DBusBool:  # noqa: N802
        """Say whether the pairing outlives the connection."""
        return self._bonded

    @dbus_property()
    def Trusted(self) -> DBusBool:  # noqa: N802
        """Say whether it may connect unasked."""
        return self._trusted

    @Trusted.setter
    def Trusted(self, value: DBusBool) -> None:  # noqa: N802
        """Trust it or not."""
        self._trusted = value
        self.emit_properties_changed({"Trusted": value})

    @dbus_method()
    async def Connect(self) -> None:  # noqa: N802
        """Connect and begin to resolve services."""
        await self._connect()
        self._start(self._resolve())

    @dbus_method()
    async def Disconnect(self) -> None:  # noqa: N802
        """Disconnect."""
        await self.hang_up()

    @dbus_method()
    async def Pair(self) -> None:  # noqa: N802
        """Connect where needed, pair, and bond where an agent is registered; then resolve services."""
        if self._connection is None:
            await self._connect()
        connection = self._connection
        if connection is None:
            raise DBusError("org.bluez.Error.ConnectionAttemptFailed", "Page Timeout")
        bonding = self._daemon.agent is not None
        delegate = PairingDelegate(PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT)
        config = PairingConfig(sc=True, mitm=False, bonding=bonding, delegate=delegate)

        def asked(_connection: Connection) -> PairingConfig:
            return config

        self._daemon.host.pairing_config_factory = asked
        try:
            await connection.pair()
        except (BaseBumbleError, asyncio.CancelledError) as error:
            raise DBusError("org.bluez.Error.AuthenticationFailed", "Authentication Failed") from error
        self._paired, self._bonded = True, bonding
        self.emit_properties_changed({"Paired": True, "Bonded": bonding})
        self._start(self._resolve())

    async def hang_up(self) -> None:
        """Disconnect, where connected."""
        if self._connection is not None:
            with contextlib.suppress(BaseBumbleError):
                await self._connection.disconnect()

    async def forget(self) -> None:
        """Disconnect and drop the bond."""
        await self.hang_up()
        await central.forget(self._daemon.host, self._target)

    async def _connect(self) -> None:
        try:
            connection = await self._daemon.host.connect_le(self._target, timeout=central.CONNECT_S)
        except (BaseBumbleError, TimeoutError) as error:
            raise DBusError("org.bluez.Error.Failed", "le-connection-abort-by-local") from error
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._ended)
        self.emit_properties_changed({"Connected": True})
        try:
            await central.secure(self._daemon.host, connection)
        except BaseBumbleError as error:
            # So does bluetoothd 5.82 where the device has lost the bond (seen in the virtual machine).
            raise DBusError("org.bluez.Error.Failed", "br-connection-canceled") from error

    async def _resolve(self) -> None:
        # The device may hang up meanwhile: bleak then sees Connected go first, as with the real daemon.
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            if self._connection is None:
                return
            peer = await central.discover(self._connection)
            found: list[RemoteCharacteristic] = []
            for service in peer.services:
                path = f"{self.path}/service{service.handle:04x}"
                self._export(path, RemoteService(service, self.path))
                for characteristic in service.characteristics:
                    one = RemoteCharacteristic(characteristic, path, peer)
                    self._export(f"{path}/char{characteristic.handle:04x}", one)
                    found.append(one)
            await self._subscribe_again(found)
            self._resolved = True
            self.emit_properties_changed({"ServicesResolved": True})

    async def _subscribe_again(self, found: list["RemoteCharacteristic"]) -> None:
        """Do what bluetoothd does for a bonded device ("Re-register subscribed notification client").

        Whoever subscribed in an earlier connection and is still on the bus is subscribed again before services are
        resolved; what the device then brings is confirmed to it whether anyone listens or not.
        """
        for one in found:
            if self._bonded and one.path in self._daemon.listeners:
                await one.subscribe()

    def _export(self, path: str, it: ServiceInterface) -> None:
        self._children.append(path)
        self._daemon.bus.export(path, it)

    def _ended(self, _reason: int) -> None:
        for path in reversed(self._children):
            self._daemon.bus.unexport(path)
        self._children = []
        self._connection = None
        self._resolved = False
        if not self._bonded:
            self._paired = False
            self._start(central.forget(self._daemon.host, self._target))
        self.emit_properties_changed({"ServicesResolved": False, "Connected": False, "Paired": self._paired})

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class RemoteService(ServiceInterface):
    """org.bluez.GattService1."""

    def __init__(self, service: ServiceProxy, device: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._service = service
        self._device = device

    @dbus_property(access=_READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        """Return what kind of service it is."""
        return central.uuid128(self._service.uuid)

    @dbus_property(access=_READ)
    def Primary(self) -> DBusBool:  # noqa: N802
        """Say that it stands for itself."""
        return True

    @dbus_property(access=_READ)
    def Device(self) -> DBusObjectPath:  # noqa: N802
        """Return whose it is."""
        return self._device


class RemoteCharacteristic(ServiceInterface):
    """org.bluez.GattCharacteristic1."""

    def __init__(self, characteristic: CharacteristicProxy[bytes], service: str, peer: Peer) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._characteristic = characteristic
        self._service = service
        self._peer = peer
        self._value = b""
        self._notifying = False
        self.path = f"{service}/char{characteristic.handle:04x}"

    @dbus_property(access=_READ)
    def UUID(self) -> DBusStr:  # noqa: N802
        """Return what kind of characteristic it is."""
        return central.uuid128(self._characteristic.uuid)

    @dbus_property(access=_READ)
    def Service(self) -> DBusObjectPath:  # noqa: N802
        """Return its service."""
        return self._service

    @dbus_property(access=_READ)
    def Flags(self) -> Strings:  # noqa: N802
        """Return what can be done with it."""
        return [str(name) for name in central.properties(self._characteristic.properties)]

    @dbus_property(access=_READ)
    def Value(self) -> DBusBytes:  # noqa: N802
        """Return the value last heard."""
        return self._value

    @dbus_property(access=_READ)
    def Notifying(self) -> DBusBool:  # noqa: N802
        """Say whether it is subscribed."""
        return self._notifying

    @dbus_property(access=_READ)
    def MTU(self) -> DBusUInt16:  # noqa: N802
        """Return the largest packet of its connection."""
        return self._peer.gatt_client.mtu

    @dbus_method()
    async def ReadValue(self, options: DBusDict) -> DBusBytes:  # noqa: N802
        """Read."""
        try:
            return bytes(await self._characteristic.read_value())
        except (BaseBumbleError, TimeoutError) as error:
            raise _att_error(error) from error

    @dbus_method()
    async def WriteValue(self, value: DBusBytes, options: DBusDict) -> None:  # noqa: N802
        """Write, with response unless the options say otherwise."""
        kind = options.get("type", Variant("s", "request")).value
        try:
            await self._characteristic.write_value(bytes(value), with_response=kind == "request")
        except (BaseBumbleError, TimeoutError) as error:
            raise _att_error(error) from error

    @dbus_method()
    async def StartNotify(self) -> None:  # noqa: N802
        """Subscribe."""
        try:
            await self.subscribe()
        except (BaseBumbleError, TimeoutError) as error:
            raise _att_error(error) from error

    @dbus_method()
    async def StopNotify(self) -> None:  # noqa: N802
        """End the subscription."""
        self._notifying = False
        with contextlib.suppress(BaseBumbleError, TimeoutError):
            characteristic: Any = self._characteristic  # bumble leaves `unsubscribe` partly untyped
            await characteristic.unsubscribe(force=True)

    async def subscribe(self) -> None:
        """Write the client configuration, once per connection."""
        if self._notifying:
            return
        self._notifying = True
        await self._characteristic.subscribe(self._heard, prefer_notify="notify" in self.Flags)

    def _heard(self, value: bytes) -> None:
        self._value = bytes(value)
        self.emit_properties_changed({"Value": self._value})


def _att_error(error: BaseException) -> DBusError:
    """Return the error that BlueZ makes of an ATT error."""
    code = error.error_code if isinstance(error, ProtocolError) and error.error_code else 0x0E
    kind = "org.bluez.Error.NotPermitted" if code in _NOT_PERMITTED else "org.bluez.Error.Failed"
    return DBusError(kind, f"Operation failed with ATT error: 0x{code:02x}")
