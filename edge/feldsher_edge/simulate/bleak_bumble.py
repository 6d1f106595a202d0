"""A bleak backend in user space: bleak's interface, bumble's Bluetooth, no D-Bus and no daemon. For fast tests.

Bleak's documentation names a third-party backend of this kind that is not on PyPI; this one has what drivers need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bumble.att import ATT_Error
from bumble.core import BaseBumbleError
from bumble.device import Advertisement, Connection, Device, Peer

from feldsher_edge.ble.session import Backend
from feldsher_edge.simulate import central

_T = TypeVar("_T")


def backend(host: Device) -> Backend:
    """Return bleak backend classes that use `host` as the machine's adapter."""
    return Backend(
        type("HostScanner", (_Scanner,), {"host": host}),
        type("HostClient", (_Client,), {"host": host}),
    )


class _Scanner(BaseBleakScanner):
    host: Device

    def __init__(self, detection_callback: Any, service_uuids: list[str] | None, *_: Any, **__: Any) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        self.host.on(Device.EVENT_ADVERTISEMENT, self._heard)
        await self.host.start_scanning(active=True, filter_duplicates=False)

    async def stop(self) -> None:
        host: Any = self.host  # pyee leaves `remove_listener` partly untyped
        host.remove_listener(Device.EVENT_ADVERTISEMENT, self._heard)
        await self.host.stop_scanning()

    def _heard(self, it: Advertisement) -> None:
        name, uuids = central.advertised(it)
        if not self.is_allowed_uuid(uuids):
            return
        address = it.address.to_string(False)
        data = AdvertisementData(name, {}, {}, uuids, None, it.rssi, (it,))
        self.call_detection_callbacks(self.create_or_update_device(address, address, name, it.address, data), data)


class _Client(BaseBleakClient):
    host: Device

    def __init__(self, address_or_ble_device: BLEDevice | str, **options: Any) -> None:
        if isinstance(address_or_ble_device, str):
            raise BleakDeviceNotFoundError(address_or_ble_device, "only devices that a scan has found")
        super().__init__(
            address_or_ble_device,
            disconnected_callback=options.get("disconnected_callback"),
            timeout=options.get("timeout", central.CONNECT_S),
        )
        self._device = address_or_ble_device
        self._connection: Connection | None = None
        self._peer: Peer | None = None

    @property
    def name(self) -> str:
        return self._device.name or self.address

    @property
    def mtu_size(self) -> int:
        return self._peer.gatt_client.mtu if self._peer else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_options: Any) -> None:
        with _errors():
            connection = await central.connect(self.host, self._device.details)
            self._connection = connection
            connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
            try:
                if pair and not await central.is_bonded(self.host, self._device.details):
                    await _while_connected(connection, connection.pair())
                self._peer = await _while_connected(connection, central.discover(connection))
            except BaseException:
                await self.disconnect()
                raise
        self.services = _collection(self._peer)

    def _on_disconnection(self, _reason: int) -> None:
        self._connection = None
        if self._disconnected_callback:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        if self._connection is not None:
            with _errors():
                await self._connection.disconnect()

    async def pair(self, *_args: Any, **_options: Any) -> None:
        connection = self._open()
        with _errors():
            await _while_connected(connection, connection.pair())

    async def unpair(self) -> None:
        await central.forget(self.host, self._device.details)

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **_options: Any
    ) -> bytearray:
        connection = self._open()
        with _errors():
            return bytearray(await _while_connected(connection, characteristic.obj.read_value()))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **_options: Any
    ) -> bytearray:
        connection = self._open()
        with _errors():
            return bytearray(await _while_connected(connection, descriptor.obj.read_value()))

    async def write_gatt_char(self, characteristic: BleakGATTCharacteristic, data: Any, response: bool) -> None:
        connection = self._open()
        with _errors():
            await _while_connected(connection, characteristic.obj.write_value(bytes(data), with_response=response))

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: Any) -> None:
        connection = self._open()
        with _errors():
            await _while_connected(connection, descriptor.obj.write_value(bytes(data), with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_options: Any
    ) -> None:
        connection = self._open()

        def heard(value: bytes) -> None:
            callback(bytearray(value))

        prefer_notify = "notify" in characteristic.properties
        with _errors():
            await _while_connected(connection, characteristic.obj.subscribe(heard, prefer_notify=prefer_notify))

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        connection = self._open()
        with _errors():
            await _while_connected(connection, characteristic.obj.unsubscribe(force=True))

    def _open(self) -> Connection:
        if self._connection is None:
            raise BleakError("Not connected")
        return self._connection


def _collection(peer: Peer) -> BleakGATTServiceCollection:
    found = BleakGATTServiceCollection()
    for service in peer.services:
        one = BleakGATTService(service, service.handle, central.uuid128(service.uuid))
        found.add_service(one)
        for characteristic in service.characteristics:
            it = BleakGATTCharacteristic(
                characteristic,
                characteristic.handle,
                central.uuid128(characteristic.uuid),
                central.properties(characteristic.properties),
                lambda: peer.gatt_client.mtu - 3,
                one,
            )
            found.add_characteristic(it)
            for descriptor in characteristic.descriptors:
                uuid = central.uuid128(descriptor.type)
                found.add_descriptor(BleakGATTDescriptor(descriptor, descriptor.handle, uuid, it))
    return found


async def _while_connected(connection: Connection, work: Awaitable[_T]) -> _T:
    """Wait for an answer, but not for the 30 seconds that bumble waits on a connection that has already ended."""
    ended = asyncio.get_running_loop().create_future()

    def on_disconnection(_reason: int) -> None:
        if not ended.done():
            ended.set_result(None)

    events: Any = connection  # pyee leaves `remove_listener` partly untyped
    events.on(Connection.EVENT_DISCONNECTION, on_disconnection)
    answer = asyncio.ensure_future(work)
    try:
        await asyncio.wait({answer, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise BleakError("disconnected")
        return answer.result()
    finally:
        events.remove_listener(Connection.EVENT_DISCONNECTION, on_disconnection)
        answer.cancel()
        ended.cancel()


@contextmanager
def _errors() -> Generator[None]:
    """Turn bumble's errors into bleak's; ATT codes stay."""
    try:
        yield
    except ATT_Error as error:
        raise BleakGATTProtocolError(int(error.error_code)) from error
    except BaseBumbleError as error:
        raise BleakError(str(error)) from error
