"""Devices with a Bluetooth health profile: they bring what they have measured when they like.

Per session: connect, bond, read who it is and what its clock shows, subscribe the measurements last, commit every
notification inside its callback, wait until the device hangs up, disconnect. What is claimed is "nothing lost after
commit": the confirmation to the device is sent by the Bluetooth daemon, not by us, so between it and our commit is a
short window (docs/devices.md).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from uuid import UUID

import structlog
from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.uuids import normalize_uuid_16

from feldsher_edge.ble.session import RADIO_ERRORS, NotReachedError, Radio, Session
from feldsher_edge.ble.user_data import Consent
from feldsher_edge.devices import DeviceClock, Identity, Reading, ReadingSet, Sink, Status, ble_talk, quirks
from feldsher_edge.devices.belonging import Belonging
from feldsher_edge.devices.belt_ecg import BeltEcg, EcgError
from feldsher_edge.devices.ecg_pieces import Pieces
from feldsher_edge.devices.intake import BATCH_US, Intake, Known
from feldsher_edge.devices.profiles import Channel, Profile
from feldsher_edge.devices.records import Marks, Records, RecordsError

RECORD_ACCESS = normalize_uuid_16(0x2A52)
FAILURES_BEFORE_FORGETTING = 3
"""So many sessions that broke off in a row, and the bond counts as lost (the device's battery was changed)."""
LOST_BOND = "the bond is lost (battery changed, or paired with something else?); it is removed and made anew"
PAUSE_S = (0.2, 1.0)
"""The pause after a session, drawn anew each time."""
_FRUITLESS_PAUSE_S = (5.0, 60.0)

_log = structlog.get_logger()


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Which:
    """Which device: by `address`, else by the beginning of its advertised `name`, else any in reach (a test bench).

    `consent`: the user whose readings are wanted, for devices that give none without.
    """

    address: str | None = None
    name: str = ""
    consent: Consent | None = None


class BleDevice:
    """A device of one profile, as the technician configured it.

    `zone`: the local time that devices show. `marks`: up to which record meters have been read. `clock_is_true`:
    whether the gateway's clock may be written into a device now. `belonging`: whether what it has stored may be of an
    earlier user. `linger_s`: overrides the profile's. `ecg`: take a belt's continuous ECG too.
    """

    def __init__(
        self,
        device: str,
        profile: Profile,
        clock: DeviceClock,
        radio: Radio,
        zone: tzinfo,
        rng: random.Random,
        *,
        which: Which | None = None,
        marks: Marks | None = None,
        clock_is_true: Callable[[], bool] = _never,
        belonging: Belonging | None = None,
        linger_s: float | None = None,
        pause_s: tuple[float, float] = PAUSE_S,
        ecg: bool = False,
    ) -> None:
        self._device = device
        self._profile = profile
        self._clock = clock
        self._radio = radio
        self._zone = zone
        self._rng = rng
        self._which = which or Which()
        self._marks: Marks = {} if marks is None else marks
        self._clock_is_true = clock_is_true
        self._belonging = belonging
        self._linger_s = profile.linger_s if linger_s is None else linger_s
        self._pause_s = pause_s
        self._quirks = quirks.load()
        self._known: dict[str, Known] = {}
        self._ecg = ecg
        self._pieces: dict[str, Pieces] = {}
        # What a device has already deleted and the disk has not yet taken.
        self._uncommitted: list[Callable[[], None]] = []

    @property
    def device(self) -> str:
        """The name the technician configured it under."""
        return self._device

    @property
    def radio(self) -> Radio:
        """The radio it is reached by, which it may share."""
        return self._radio

    async def run(self, sink: Sink) -> None:
        """Wait for the device, receive, commit in the notification callback, disconnect; until cancelled."""
        services = tuple(normalize_uuid_16(service) for service in self._profile.services)
        async with self._radio:
            while True:
                found = await self._radio.find(services, self._wanted)
                known = self._known.setdefault(found.address.upper(), Known(found.address.upper()))
                await self._visit(found, known, sink)
                await asyncio.sleep(self._rng.uniform(*self._pause_s))
                while self._uncommitted:
                    await self._commit_again()

    def _wanted(self, found: BLEDevice, _advertisement: AdvertisementData) -> bool:
        address, which = found.address.upper(), self._which
        if which.address.upper() != address if which.address else not (found.name or "").startswith(which.name):
            return False
        known = self._known.get(address)
        return known is None or known.not_before_ns <= self._clock.mono_ns()

    async def _visit(self, found: BLEDevice, known: Known, sink: Sink) -> None:
        quirk = quirks.of(found.name, self._quirks)
        known.begin()
        why, broke_off = None, True
        try:
            async with self._radio.session(found, pair=quirk.pair and self._profile.pair) as session:
                await self._receive(session, found, known, quirk, sink)
        except RADIO_ERRORS as error:
            why = f"{type(error).__name__}: {error}"
            broke_off = not isinstance(error, NotReachedError | ble_talk.ConsentError | RecordsError | EcgError)
        known.failures = 0 if why is None or known.received or not broke_off else known.failures + 1
        known.fruitless = 0 if known.brought_something_new() else known.fruitless + 1
        pause = min(_FRUITLESS_PAUSE_S[1], _FRUITLESS_PAUSE_S[0] * 2**known.fruitless) if known.fruitless > 1 else 0.0
        known.not_before_ns = self._clock.mono_ns() + int(pause * 1e9)
        _log.info(
            "ble_session", kind=self._profile.kind, device=known.address, frames=known.received,
            failures=known.failures, why=why,
        )  # fmt: skip
        if why is not None and not known.received:
            sink.status(Status(known.address, "fault", detail=why))
        if known.failures >= FAILURES_BEFORE_FORGETTING:
            await self._forget(found, known, sink)

    async def _forget(self, found: BLEDevice, known: Known, sink: Sink) -> None:
        _log.warning("bond_forgotten", device=known.address, failures=known.failures)
        sink.status(Status(known.address, "fault", detail=LOST_BOND))
        known.failures = 0
        known.not_before_ns = self._clock.mono_ns()
        try:
            await self._radio.forget(found)
        except RADIO_ERRORS as error:
            _log.warning("bond_not_forgotten", device=known.address, why=str(error))

    async def _receive(self, session: Session, found: BLEDevice, known: Known, quirk: quirks.Quirk, sink: Sink) -> None:
        client = session.client
        identity, battery = Identity(found.name or ""), None
        if quirk.read_info:
            identity, battery = await ble_talk.about(client, found)
        now, gateway_now_us = await ble_talk.clock_pair(client, self._clock)
        detail = None
        if quirk.write_clock and self._clock_is_true():
            detail = await ble_talk.set_clock(client, self._clock, self._zone, now)
        if self._which.consent is not None:
            await ble_talk.consent(client, self._which.consent)
        sink.status(Status(known.address, "present", detail=detail, battery=battery, identity=identity))
        records = None
        if self._profile.records and client.services.get_characteristic(RECORD_ACCESS) is not None:
            records = Records(self._marks.get(known.address))
        of = ReadingSet(known.address, identity.model, (), now, gateway_now_us)
        intake = Intake(sink, self._clock, known, of, self._uncommitted, records, self._doubts(known))
        ecg = self._belt_ecg(known.address, sink) if self._ecg else None
        try:
            await self._listen(session, intake, records, ecg)
        finally:
            intake.flush()
            self._remember(known)
            self._keep_mark(known, records)
            if ecg is not None:
                await ecg.stop(client)

    def _belt_ecg(self, address: str, sink: Sink) -> BeltEcg:
        if address not in self._pieces:
            self._pieces[address] = Pieces(address, lambda: UUID(int=self._rng.getrandbits(128), version=4))
        return BeltEcg(address, self._clock, sink, self._pieces[address], self._uncommitted)

    async def _listen(self, session: Session, intake: Intake, records: Records | None, ecg: BeltEcg | None) -> None:
        client, listening = session.client, self._profile.listen()
        for uuid, take in listening.before.items():
            data = await ble_talk.read(client, normalize_uuid_16(uuid))
            if data is not None:
                take(data)
        heard = asyncio.Event()
        for uuid, channel in listening.channels.items():
            if client.services.get_characteristic(normalize_uuid_16(uuid)) is not None:
                await client.start_notify(normalize_uuid_16(uuid), _to(intake, channel, heard))
        if records is not None:
            await _fetch(client, session.gone, records)
            if not self._profile.stays:
                return
        if ecg is not None:
            await ecg.start(client, heard)
        await self._stay(session, intake, heard, ecg)

    async def _stay(self, session: Session, intake: Intake, heard: asyncio.Event, ecg: BeltEcg | None) -> None:
        """Take what comes until the device hangs up, is silent for too long, or the disk refuses."""
        silent_s = 0.0
        while silent_s < self._linger_s and not session.gone.is_set() and not self._uncommitted:
            wait_s = min(self._linger_s - silent_s, BATCH_US / 1e6)
            silent_s = 0.0 if await _first(session.gone, heard, wait_s) else silent_s + wait_s
            heard.clear()
            if silent_s:
                intake.flush()  # what is held waits for no further packet
            elif ecg is not None:
                ecg.check()

    def _doubts(self, known: Known) -> Callable[[Reading, ReadingSet], bool] | None:
        if self._belonging is None:
            return None
        return partial(self._belonging.unowned, first=self._belonging.first(known.address))

    def _remember(self, known: Known) -> None:
        if self._belonging is None or not known.received:
            return
        try:
            self._belonging.brought(known.address)
        except OSError as error:  # then the next session is doubted too
            _log.warning("pairing_not_kept", device=known.address, why=str(error))

    def _keep_mark(self, known: Known, records: Records | None) -> None:
        if records is None or records.mark is None or records.mark == self._marks.get(known.address):
            return
        try:
            self._marks[known.address] = records.mark
        except OSError as error:  # it is read again next time
            _log.warning("mark_not_kept", device=known.address, why=str(error))

    async def _commit_again(self) -> None:
        try:
            self._uncommitted[0]()
        except OSError as error:
            _log.error("reading_not_committed", why=str(error), waiting=len(self._uncommitted))
            await asyncio.sleep(self._rng.uniform(*self._pause_s))
        else:
            del self._uncommitted[0]


def _to(intake: Intake, channel: Channel, heard: asyncio.Event) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
    def notified(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        intake.take(channel, bytes(data))
        heard.set()

    return notified


async def _fetch(client: BleakClient, gone: asyncio.Event, records: Records) -> None:
    """Have the records reported, as long as the device is there."""

    def indicated(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
        records.answer(bytes(data))

    async def write(data: bytes) -> None:
        await client.write_gatt_char(RECORD_ACCESS, data, response=True)

    await client.start_notify(RECORD_ACCESS, indicated)
    fetching, leaving = asyncio.create_task(records.fetch(write)), asyncio.create_task(gone.wait())
    try:
        await asyncio.wait({fetching, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if fetching.done():
            fetching.result()
    finally:
        fetching.cancel()
        leaving.cancel()
        await asyncio.gather(fetching, leaving, return_exceptions=True)


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
