"""Making the bond with a Bluetooth device, for a technician who stands beside it."""

from __future__ import annotations

import asyncio

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.uuids import normalize_uuid_16

from feldsher_edge.ble.session import RADIO_ERRORS, Radio
from feldsher_edge.devices import DeviceError, Identity, ble_talk, quirks
from feldsher_edge.devices.profiles import PROFILES


async def pair(radio: Radio, kind: str, address: str, seconds: float) -> tuple[Identity, int | None]:
    """Bond with a device, and return who it says it is and its battery in percent.

    Measurements are not subscribed: what the device has stored stays in it, for the gateway to fetch. DeviceError says
    what to do where it is not heard or does not pair.
    """
    async with radio:
        found = await _heard(radio, kind, address, seconds)
        quirk = quirks.of(found.name, quirks.load())
        try:
            async with radio.session(found, pair=quirk.pair and PROFILES[kind].pair) as session:
                if not quirk.read_info:
                    return Identity(found.name or ""), None
                return await ble_talk.about(session.client, found)
        except RADIO_ERRORS as error:
            raise DeviceError(
                f"{address} does not pair ({error}); hold its Bluetooth button until it blinks, remove it from any "
                "telephone that knows it, then try again"
            ) from error


async def _heard(radio: Radio, kind: str, address: str, seconds: float) -> BLEDevice:
    def wanted(device: BLEDevice, _advertisement: AdvertisementData) -> bool:
        return device.address.upper() == address.upper()

    services = tuple(normalize_uuid_16(service) for service in PROFILES[kind].services)
    try:
        async with asyncio.timeout(seconds):
            return await radio.find(services, wanted)
    except TimeoutError:
        raise DeviceError(
            f"{address} was not heard in {seconds:.0f} s; take a measurement with it, or hold its Bluetooth button, "
            "within 5 m of the gateway"
        ) from None
