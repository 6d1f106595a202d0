"""Which devices are there? Serial ports are asked what they are; Bluetooth devices nearby are listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.uuids import normalize_uuid_16
from feldsher_signal import frame
from serial.tools import list_ports

from feldsher_edge.ble.session import Radio
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import DeviceError, EcgResult, Identity, LiveChunk, ReadingSet, Status
from feldsher_edge.devices.bitalino_session import BitalinoSession, Wiring
from feldsher_edge.devices.cyton_session import CytonSession
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.devices.serial_session import Opening

WORDS = {
    "kit": "12-lead ECG kit",
    "cyton": "OpenBCI Cyton",
    "bitalino": "BITalino",
    "cuff": "blood pressure cuff",
    "thermometer": "thermometer",
    "oximeter": "pulse oximeter",
    "scale": "scale",
    "glucometer": "glucose meter",
    "glucose_sensor": "glucose sensor",
    "belt": "heart rate belt",
}
"""Kinds of devices in a technician's words."""
_BY_ID = Path("/dev/serial/by-id")


class Found(msgspec.Struct, frozen=True):
    """A device that was found. `kind` None: it does not say what it is, or not to us; `why` tells.

    `port`: of a serial device; `address`, `name`, `signal` (dBm): of a Bluetooth device; `configured`: its name here.
    """

    kind: str | None
    port: str | None = None
    address: str | None = None
    name: str = ""
    model: str = ""
    serial: str | None = None
    signal: int | None = None
    configured: str | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """What it is, as a technician calls it."""
        return WORDS.get(self.kind or "", "unknown device")

    @property
    def where(self) -> str:
        """Its port or address."""
        return self.port or self.address or ""


@dataclass(frozen=True, slots=True)
class Asker:
    """How a serial device of one kind is asked what it is: DeviceError where nothing of that kind answers."""

    kind: str
    ask: Callable[[str], Awaitable[Identity]]


async def ask_kit(port: str) -> Identity:
    """Ask a port whether our ECG kit is there."""
    line = KitLine(port, lambda _kind, _payload: None, lambda _why: None)
    try:
        it = frame.parse_identity(await line.command(frame.CMD_ID))
    except frame.FrameError as error:
        raise DeviceError(f"{port}: {error}") from error
    finally:
        line.close()
    return Identity("feldsher kit", serial=it.serial or None, firmware=it.firmware or None)


async def ask_cyton(port: str) -> Identity:
    """Ask a port whether an OpenBCI Cyton is there; that resets the board."""
    session = CytonSession(Opening(port, "", SystemClock(), _Nowhere(), 1.0), CYTON_CHANNELS, 12)
    try:
        await session.open()
        return await session.identify()
    finally:
        session.close()


async def ask_bitalino(port: str) -> Identity:
    """Ask a port whether a BITalino is there."""
    session = BitalinoSession(Opening(port, "", SystemClock(), _Nowhere(), 1.0), Wiring(("I",)))
    try:
        await session.open()
        return await session.identify()
    finally:
        session.close()


class _Nowhere:
    """A sink for a device that is only asked what it is: it brings nothing."""

    def readings(self, readings: ReadingSet) -> None:
        """Take nothing."""

    def unreadable(self, device: str, raw: bytes, why: str) -> None:
        """Take nothing."""

    def recorded(self, result: EcgResult) -> None:
        """Take nothing."""

    def status(self, status: Status) -> None:
        """Take nothing."""

    def live(self, chunk: LiveChunk) -> None:
        """Take nothing."""


CYTON_CHANNELS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""How a Cyton is taken to be wired until its table in the configuration says otherwise."""
# The kit first: its question leaves other devices alone, while a Cyton's resets the board.
ASKERS = (Asker("kit", ask_kit), Asker("bitalino", ask_bitalino), Asker("cyton", ask_cyton))
BY_HAND = frozenset({"bitalino"})
"""Kinds whose wiring nobody can guess: their table is written by hand. ProtoCentral's boards say nothing at all."""


def ports() -> list[str]:
    """Return the serial ports of this machine, by the names that stay the same when another is plugged in."""
    stable = {str(link.resolve()): str(link) for link in _BY_ID.glob("*")} if _BY_ID.is_dir() else {}
    return sorted(stable.get(it.device, it.device) for it in list_ports.comports() if it.hwid != "n/a")


async def serial_devices(at: Iterable[str], configured: dict[str, str]) -> list[Found]:
    """Ask every port what is there; one after the other, so that no two share a hub's attention."""
    return [await _ask(port, configured.get(port)) for port in at]


async def _ask(port: str, configured: str | None) -> Found:
    why = ""
    for asker in ASKERS:
        try:
            it = await asker.ask(port)
        except DeviceError as error:
            why = str(error)
        else:
            return Found(asker.kind, port, model=it.model, serial=it.serial, configured=configured)
    if configured is not None:
        why = f"in use: it is {configured} of this gateway"
    return Found(None, port, configured=configured, why=why)


async def nearby(radio: Radio, seconds: float, configured: dict[str, str]) -> list[Found]:
    """Listen for Bluetooth health devices; the nearest first. Many speak only after a measurement, or a button."""
    kinds = {normalize_uuid_16(service): kind for kind, profile in PROFILES.items() for service in profile.services}
    heard: dict[str, Found] = {}

    def note(device: BLEDevice, advertisement: AdvertisementData) -> bool:
        kind = next((kinds[uuid] for uuid in advertisement.service_uuids if uuid in kinds), None)
        address, name = device.address.upper(), advertisement.local_name or device.name or ""
        heard[address] = Found(
            kind, address=address, name=name, signal=advertisement.rssi, configured=configured.get(address)
        )
        return False

    async with radio:
        try:
            async with asyncio.timeout(seconds):
                await radio.find(tuple(kinds), note)
        except TimeoutError:
            pass
    return sorted(heard.values(), key=lambda it: -(it.signal or -999))
