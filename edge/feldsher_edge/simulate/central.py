"""What both virtual Bluetooth hosts do with bumble: read advertisements, connect, bond, discover."""

from __future__ import annotations

import uuid

from bleak.assigned_numbers import CharacteristicPropertyName
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt import Characteristic
from bumble.hci import Address

CONNECT_S = 10.0
MTU = 247

_PROPERTIES: tuple[CharacteristicPropertyName, ...] = (
    "broadcast",
    "read",
    "write-without-response",
    "write",
    "notify",
    "indicate",
    "authenticated-signed-writes",
    "extended-properties",
)
_SERVICES = (
    AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)


def uuid128(it: UUID) -> str:
    """Return a UUID of any width as bleak and D-Bus write it."""
    return str(uuid.UUID(bytes=bytes(reversed(it.to_bytes(force_128=True)))))


def properties(bits: Characteristic.Properties) -> list[CharacteristicPropertyName]:
    """Return the names of a characteristic's properties as bleak and D-Bus write them."""
    return [name for i, name in enumerate(_PROPERTIES) if bits & 1 << i]


def advertised(it: Advertisement) -> tuple[str | None, list[str]]:
    """Return the name and the service UUIDs of an advertisement."""
    name = it.data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
    found: list[str] = []
    for kind in _SERVICES:
        for one in it.data.get_all(kind):
            found += [uuid128(u) for u in one]
    return (str(name) if name else None), found


async def connect(host: Device, address: Address) -> Connection:
    """Connect, and encrypt where a bond exists."""
    connection = await host.connect_le(address, timeout=CONNECT_S)
    await secure(host, connection)
    return connection


async def secure(host: Device, connection: Connection) -> None:
    """Encrypt where a bond exists; a device that has lost its bond is disconnected, as BlueZ does it."""
    if await is_bonded(host, connection.peer_address):
        try:
            await connection.encrypt()
        except BaseBumbleError:
            await connection.disconnect()
            raise


async def is_bonded(host: Device, address: Address) -> bool:
    """Say whether the host holds a key of that device."""
    return host.keystore is not None and await host.keystore.get(str(address)) is not None


async def forget(host: Device, address: Address) -> None:
    """Remove the host's key of a device, where it holds one."""
    if host.keystore is not None and await is_bonded(host, address):
        await host.keystore.delete(str(address))


async def discover(connection: Connection) -> Peer:
    """Return the device's services, characteristics and descriptors."""
    peer = Peer(connection)
    await peer.request_mtu(MTU)
    await peer.discover_services()
    for service in peer.services:
        for characteristic in await service.discover_characteristics():  # pyright: ignore[reportUnknownMemberType] - bumble
            await characteristic.discover_descriptors()
    return peer
