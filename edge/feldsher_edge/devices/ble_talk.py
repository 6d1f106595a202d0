"""What a Bluetooth device is asked before it is listened to: who it is, what its clock shows, for which user."""

from __future__ import annotations

import asyncio
from datetime import datetime, tzinfo

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16

from feldsher_edge.ble import current_time, date_time, information, user_data
from feldsher_edge.ble.user_data import Consent, Response, Result
from feldsher_edge.devices import DeviceClock, Identity

BATTERY = normalize_uuid_16(0x2A19)
MODEL, SERIAL, FIRMWARE, MAKER = (normalize_uuid_16(u) for u in (0x2A24, 0x2A25, 0x2A26, 0x2A29))
DATE_TIME, CURRENT_TIME = normalize_uuid_16(0x2A08), normalize_uuid_16(0x2A2B)
USER_CONTROL = normalize_uuid_16(0x2A9F)
CONSENT_S = 10.0

_log = structlog.get_logger()


class ConsentError(BleakError):
    """The device did not accept the user's code; the text says what the technician may do."""


async def about(client: BleakClient, found: BLEDevice) -> tuple[Identity, int | None]:
    """Return who a device is and its battery in percent, as far as it says so."""
    model = await _text(client, MODEL) or found.name or await _text(client, MAKER) or ""
    identity = Identity(model, serial=await _text(client, SERIAL), firmware=await _text(client, FIRMWARE))
    battery = await read(client, BATTERY)
    try:
        return identity, None if battery is None else information.parse_battery(battery)
    except ValueError as error:
        _log.warning("battery_unreadable", device=found.address, why=str(error))
        return identity, None


async def _text(client: BleakClient, uuid: str) -> str | None:
    data = await read(client, uuid)
    return (information.parse_text(data) or None) if data else None


async def read(client: BleakClient, uuid: str) -> bytes | None:
    """Read what a device may have or not; None where it has it not or refuses it, as long as it is there."""
    if client.services.get_characteristic(uuid) is None:
        return None
    try:
        return bytes(await client.read_gatt_char(uuid))
    except BleakError:
        if not client.is_connected:
            raise
        return None


async def clock_pair(client: BleakClient, clock: DeviceClock) -> tuple[datetime | None, int | None]:
    """Return the device's clock as read, and the gateway's wall time at the middle of that reading."""
    uuid = _clock_of(client)
    before = clock.wall_us()
    data = await read(client, uuid) if uuid else None
    if data is None:
        return None, None
    try:
        shown = _shown(data, whole=uuid == CURRENT_TIME)
    except ValueError as error:
        _log.warning("device_clock_unreadable", why=str(error))
        return None, None
    return (shown, (before + clock.wall_us()) // 2) if shown else (None, None)


def _clock_of(client: BleakClient) -> str | None:
    return next((u for u in (DATE_TIME, CURRENT_TIME) if client.services.get_characteristic(u) is not None), None)


def _shown(data: bytes, *, whole: bool) -> datetime | None:
    if not whole:
        return date_time.decode(data).complete()
    it = current_time.parse(data)
    shown = it.time.complete()
    return shown.replace(microsecond=it.fraction * 1_000_000 // 256) if shown else None


async def set_clock(client: BleakClient, clock: DeviceClock, zone: tzinfo, shown: datetime | None) -> str | None:
    """Set the device's clock to the gateway's; return what was done, for the technician, None where it has no clock."""
    uuid = _clock_of(client)
    if uuid is None:
        return None
    now = datetime.fromtimestamp(clock.wall_us() / 1e6, zone)
    value = date_time.encode(date_time.of(now)) if uuid == DATE_TIME else current_time.encode(current_time.of(now))
    await client.write_gatt_char(uuid, value, response=True)
    return f"clock set to {now:%Y-%m-%dT%H:%M:%S}, it showed {shown.isoformat() if shown else 'nothing readable'}"


async def consent(client: BleakClient, of: Consent) -> None:
    """Name the user whose readings are wanted, with the code the device showed. ConsentError where it refuses."""
    if client.services.get_characteristic(USER_CONTROL) is None:
        raise ConsentError("it has no User Data Service: leave `user` and `consent` out of its configuration")
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def indicated(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        try:
            it = user_data.parse(bytes(data))
        except ValueError as error:
            _log.warning("user_control_unreadable", why=str(error))
            return
        if isinstance(it, Response) and not answer.done():
            answer.set_result(it)

    await client.start_notify(USER_CONTROL, indicated)
    async with asyncio.timeout(CONSENT_S):
        await client.write_gatt_char(USER_CONTROL, user_data.encode(of), response=True)
        result = (await answer).result
    if result == Result.NOT_AUTHORIZED:
        raise ConsentError(f"user {of.user}: the code is not the one that the device shows for this user")
    if result != Result.SUCCESS:
        raise ConsentError(f"user {of.user}: the device refuses (0x{result:02x}); is this user set up on it?")
