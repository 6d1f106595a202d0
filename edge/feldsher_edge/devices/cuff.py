"""Cuffs with the Bluetooth Blood Pressure Service (0x1810): they store readings and bring them when they like.

Per session: connect, bond, read who it is and what its clock shows, subscribe the measurements last, commit every
indication inside its callback, wait until the cuff hangs up, disconnect. What is claimed is "nothing lost after
commit": the confirmation to the cuff is sent by the Bluetooth daemon, not by us, so between it and our commit is a
short window.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import partial

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_16
from feldsher_ehr_core.vitals import DIASTOLIC, MEAN, PULSE, SYSTOLIC

from feldsher_edge.ble import blood_pressure, date_time
from feldsher_edge.ble.blood_pressure import BloodPressure
from feldsher_edge.ble.session import RADIO_ERRORS, Radio, Session
from feldsher_edge.devices import DeviceClock, Identity, Reading, ReadingSet, Sink, Status, Value, quirks

SERVICE = normalize_uuid_16(0x1810)
MEASUREMENT = normalize_uuid_16(0x2A35)
DATE_TIME = normalize_uuid_16(0x2A08)
BATTERY = normalize_uuid_16(0x2A19)
MODEL, SERIAL, FIRMWARE, MAKER = (normalize_uuid_16(u) for u in (0x2A24, 0x2A25, 0x2A26, 0x2A29))

LINGER_S = 30.0
"""A cuff that neither sends nor hangs up for so long is disconnected."""
FAILURES_BEFORE_FORGETTING = 3
"""So many sessions that broke off in a row, and the bond counts as lost (the cuff's battery was changed)."""
RESEND_S = 20
"""No cuff measures twice within so many seconds: an equal frame without a time in it is one reading sent again."""
PAUSE_S = (0.2, 1.0)
"""The pause after a session, drawn anew each time."""
_FRUITLESS_PAUSE_S = (5.0, 60.0)

_log = structlog.get_logger()


class BleCuff:
    """A cuff of the standard profile, as the technician configured it.

    Found by `address`, else by the beginning of its advertised `name`, else any in reach, which suits a test bench and
    no clinic. `zone`: the local time that cuffs show. `clock_is_true`: whether the gateway's clock may be written into
    a cuff now.
    """

    def __init__(
        self,
        device: str,
        clock: DeviceClock,
        radio: Radio,
        zone: tzinfo,
        rng: random.Random,
        *,
        address: str | None = None,
        name: str = "",
        clock_is_true: Callable[[], bool] = lambda: False,
        linger_s: float = LINGER_S,
        pause_s: tuple[float, float] = PAUSE_S,
    ) -> None:
        self._device = device
        self._clock = clock
        self._radio = radio
        self._zone = zone
        self._rng = rng
        self._address = address.upper() if address else None
        self._name = name
        self._clock_is_true = clock_is_true
        self._linger_s = linger_s
        self._pause_s = pause_s
        self._quirks = quirks.load()
        self._cuffs: dict[str, _Cuff] = {}
        # What the cuff has already deleted and the disk has not yet taken.
        self._uncommitted: list[Callable[[], None]] = []

    @property
    def device(self) -> str:
        """The name the technician configured it under."""
        return self._device

    async def run(self, sink: Sink) -> None:
        """Wait for a cuff, receive, commit in the notification callback, disconnect; until cancelled."""
        async with self._radio:
            while True:
                found = await self._radio.find(SERVICE, self._wanted)
                cuff = self._cuffs.setdefault(found.address.upper(), _Cuff(found.address.upper()))
                await self._visit(found, cuff, sink)
                await asyncio.sleep(self._rng.uniform(*self._pause_s))
                while self._uncommitted:
                    await self._commit_again()

    def _wanted(self, found: BLEDevice, _advertisement: AdvertisementData) -> bool:
        address = found.address.upper()
        if self._address != address if self._address else not (found.name or "").startswith(self._name):
            return False
        cuff = self._cuffs.get(address)
        return cuff is None or cuff.not_before_ns <= self._clock.mono_ns()

    async def _visit(self, found: BLEDevice, cuff: _Cuff, sink: Sink) -> None:
        quirk = quirks.of(found.name, self._quirks)
        cuff.begin()
        why = None
        try:
            async with self._radio.session(found, pair=quirk.pair) as session:
                await self._receive(session, found, cuff, quirk, sink)
        except RADIO_ERRORS as error:
            why = f"{type(error).__name__}: {error}"
        cuff.failures = 0 if why is None or cuff.received else cuff.failures + 1
        cuff.fruitless = 0 if cuff.brought_something_new() else cuff.fruitless + 1
        pause = min(_FRUITLESS_PAUSE_S[1], _FRUITLESS_PAUSE_S[0] * 2**cuff.fruitless) if cuff.fruitless > 1 else 0.0
        cuff.not_before_ns = self._clock.mono_ns() + int(pause * 1e9)
        _log.info("cuff_session", device=cuff.address, readings=cuff.received, failures=cuff.failures, why=why)
        if why is not None and not cuff.received:
            sink.status(Status(cuff.address, "fault", detail=why))
        if cuff.failures >= FAILURES_BEFORE_FORGETTING:
            await self._forget(found, cuff)

    async def _forget(self, found: BLEDevice, cuff: _Cuff) -> None:
        _log.warning("cuff_bond_forgotten", device=cuff.address, failures=cuff.failures)
        cuff.failures = 0
        cuff.not_before_ns = self._clock.mono_ns()
        try:
            await self._radio.forget(found)
        except RADIO_ERRORS as error:
            _log.warning("cuff_forget_failed", device=cuff.address, why=str(error))

    async def _receive(self, session: Session, found: BLEDevice, cuff: _Cuff, quirk: quirks.Quirk, sink: Sink) -> None:
        client = session.client
        identity, battery = (await _about(client, found)) if quirk.read_info else (Identity(found.name or ""), None)
        device_now, gateway_now_us = await self._clock_pair(client)
        detail = await self._set_clock(client, device_now) if quirk.write_clock else None
        sink.status(Status(cuff.address, "present", detail=detail, battery=battery, identity=identity))
        heard = asyncio.Event()

        def indicated(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            received_us = self._clock.wall_us()
            raw = bytes(data)
            try:
                reading = reading_of(blood_pressure.parse(raw), raw, received_us, cuff.sequence(raw, received_us))
            except ValueError as error:
                self._commit(partial(sink.unreadable, cuff.address, raw, str(error)))
            else:
                readings = ReadingSet(cuff.address, identity.model, (reading,), device_now, gateway_now_us)
                self._commit(partial(sink.readings, readings))
            cuff.note(raw)
            heard.set()

        await client.start_notify(MEASUREMENT, indicated)
        while await _first(session.gone, heard, self._linger_s) and not self._uncommitted:
            heard.clear()

    def _commit(self, write: Callable[[], None]) -> None:
        """Commit before the callback returns; where the disk refuses, keep it and take no more from the cuff."""
        try:
            write()
        except OSError as error:
            _log.error("reading_not_committed", why=str(error))
            self._uncommitted.append(write)

    async def _commit_again(self) -> None:
        try:
            self._uncommitted[0]()
        except OSError as error:
            _log.error("reading_not_committed", why=str(error), waiting=len(self._uncommitted))
            await asyncio.sleep(self._rng.uniform(*self._pause_s))
        else:
            del self._uncommitted[0]

    async def _clock_pair(self, client: BleakClient) -> tuple[datetime | None, int | None]:
        """Read the cuff's clock, and ours at the middle of that reading."""
        before = self._clock.wall_us()
        data = await _read(client, DATE_TIME)
        if data is None:
            return None, None
        try:
            shown = date_time.decode(data).complete()
        except ValueError as error:
            _log.warning("cuff_clock_unreadable", why=str(error))
            return None, None
        return (shown, (before + self._clock.wall_us()) // 2) if shown else (None, None)

    async def _set_clock(self, client: BleakClient, shown: datetime | None) -> str | None:
        if not self._clock_is_true() or client.services.get_characteristic(DATE_TIME) is None:
            return None
        now = datetime.fromtimestamp(self._clock.wall_us() / 1e6, self._zone)
        await client.write_gatt_char(DATE_TIME, date_time.encode(date_time.of(now)), response=True)
        return f"clock set to {now:%Y-%m-%dT%H:%M:%S}, it showed {shown.isoformat() if shown else 'nothing readable'}"


class _Cuff:
    """What is remembered of one cuff between its sessions."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received = 0
        self.failures = 0
        self.fruitless = 0
        self.not_before_ns = 0
        self._last: tuple[bytes, int] | None = None
        self._frames: set[bytes] = set()
        self._frames_before: set[bytes] = set()

    def begin(self) -> None:
        """Begin a session."""
        self.received = 0
        self._frames_before, self._frames = self._frames or self._frames_before, set()

    def note(self, raw: bytes) -> None:
        """Note a frame of this session."""
        self.received += 1
        self._frames.add(raw)

    def brought_something_new(self) -> bool:
        """Say whether the session brought a frame that the last one with frames did not: some cuffs resend for ever."""
        return bool(self._frames - self._frames_before)

    def sequence(self, raw: bytes, received_us: int) -> int:
        """Return the receiving second of a frame; of a frame sent again, that of its first arrival."""
        second = received_us // 1_000_000
        if self._last and self._last[0] == raw and 0 <= second - self._last[1] < RESEND_S:
            return self._last[1]
        self._last = (raw, second)
        return second


def reading_of(it: BloodPressure, raw: bytes, received_us: int, second: int) -> Reading:
    """Return a measurement as the gateway keeps it.

    What tells readings apart is the cuff's time as sent; where it sent none, `second`; where a part of it is unknown or
    the day does not exist, its digits, so that the same frame always makes the same reading.
    """
    sent_at = it.time.complete() if it.time else None
    sequence = None
    if sent_at is None:
        sequence = int("".join(c for c in str(it.time) if c.isdigit())) if it.time else second
    values = [
        Value(SYSTOLIC.mdc, it.systolic, it.unit),
        Value(DIASTOLIC.mdc, it.diastolic, it.unit),
        Value(MEAN.mdc, it.mean, it.unit),
    ]
    if it.pulse is not None:
        values.append(Value(PULSE.mdc, it.pulse, PULSE.unit))
    return Reading(
        values=tuple(values),
        received_us=received_us,
        sent_at=sent_at,
        user=None if it.user == blood_pressure.UNKNOWN_USER else it.user,
        status=it.status,
        sequence=sequence,
        raw=raw,
    )


async def _about(client: BleakClient, found: BLEDevice) -> tuple[Identity, int | None]:
    model = await _text(client, MODEL) or found.name or await _text(client, MAKER) or ""
    identity = Identity(model, serial=await _text(client, SERIAL), firmware=await _text(client, FIRMWARE))
    battery = await _read(client, BATTERY)
    return identity, battery[0] if battery and battery[0] <= 100 else None


async def _text(client: BleakClient, uuid: str) -> str | None:
    data = await _read(client, uuid)
    return data.decode("utf-8", "replace").strip("\0 ") or None if data else None


async def _read(client: BleakClient, uuid: str) -> bytes | None:
    """Read what the device may have or not; None where it has it not or refuses it, as long as it is there."""
    if client.services.get_characteristic(uuid) is None:
        return None
    try:
        return bytes(await client.read_gatt_char(uuid))
    except BleakError:
        if not client.is_connected:
            raise
        return None


async def _first(gone: asyncio.Event, heard: asyncio.Event, seconds: float) -> bool:
    """Wait for either event; True where only `heard` came, False where the device has gone or nothing came in time."""
    tasks = [asyncio.create_task(gone.wait()), asyncio.create_task(heard.wait())]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return heard.is_set() and not gone.is_set()
