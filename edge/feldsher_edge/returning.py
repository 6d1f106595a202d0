"""What devices keep of a gateway that is given back: a kit its Bluetooth peers and settings, the radio its bonds."""

from __future__ import annotations

import structlog
from feldsher_signal import frame

from feldsher_edge.ble import bonds
from feldsher_edge.checks import Check
from feldsher_edge.config import Config
from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.kit_line import KitLine

_log = structlog.get_logger("returning")


async def clean(*configs: Config) -> list[Check]:
    """Have every kit that is plugged in forget, and remove the bonds of every Bluetooth device of some configurations.

    The technician's file is one, what the cloud has laid over it another: either may name devices alone. The serial
    ports must be free. What cannot be reached is told, and keeps nothing from going on.
    """
    kits = {it.port: it.device for config in configs for it in config.kit}
    found = [await _kit(device, port) for port, device in kits.items()]
    addresses = {it.address.upper(): it.device for config in configs for _, it in config.bluetooth() if it.address}
    if addresses:
        found += await _bonds(addresses)
    for check in found:
        _log.info("returned", device=check.name, ok=check.ok, detail=check.detail)
    return found


async def _kit(device: str, port: str) -> Check:
    try:
        line = KitLine(port, lambda _kind, _payload: None, lambda _why: None)
        try:
            await line.acknowledged(frame.CMD_WIPE)
        finally:
            line.close()
    except (DeviceError, frame.FrameError) as error:
        todo = "plug it in and return the gateway again, or wipe the kit at its next gateway"
        return Check(device, None, f"its memory was not cleaned: {error}", todo)
    return Check(device, True, "its Bluetooth peers and settings are forgotten")


async def _bonds(addresses: dict[str, str]) -> list[Check]:
    try:
        removed = await bonds.forget(addresses)
    except bonds.BondsError as error:
        return [Check("bonds", None, f"not removed: {error}", "bluetoothctl remove ADDRESS, for each of them")]
    return [
        Check(device, True, "its bond is removed" if address in removed else "there was no bond")
        for address, device in addresses.items()
    ]
