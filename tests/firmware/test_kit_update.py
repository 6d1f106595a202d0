"""Updates of the kit, from the gateway to the bootloader: taken, refused, confirmed, fallen back, cut off."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.kit_update import confirm, install, status
from feldsher_edge.devices.serial_cardiograph import Patience
from feldsher_edge.simulate.sink import Kept
from feldsher_signal import frame
from feldsher_tools import kit_firmware
from feldsher_tools.place import Place
from kit_process import KitProcess, running_kit
from releases import KEY, OTHER, PUBLIC, image, release


class Now:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


@asynccontextmanager
async def kit_with_key(place: Place, folder: Path) -> AsyncGenerator[tuple[KitProcess, KitLine]]:
    (folder / "flash").mkdir(exist_ok=True)
    (folder / "flash" / "key").write_bytes(PUBLIC)
    async with running_kit(place.program("micropython"), folder) as (kit, cable):
        line = KitLine(cable.port, lambda _kind, _payload: None, lambda _why: None)
        try:
            yield kit, line
        finally:
            line.close()


async def restarted(kit: KitProcess, starts: int) -> str:
    async with asyncio.timeout(60):
        while kit.starts < starts:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    return [words for words in kit.said if words.startswith("running ")][-1]


async def test_taken_tried_and_kept(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (kit, line):
        heard: list[tuple[int, int]] = []
        data = release("1.2.0", 7)
        await install(line, data, lambda at, of: heard.append((at, of)))
        assert heard[-1] == (len(data), len(data))
        assert await restarted(kit, 2) == "running 1.2.0 7 ota_1"
        now = await status(line)
        assert (now.sequence, now.update) == (7, frame.UPDATE_ON_TRIAL)
        with pytest.raises(DeviceError, match="it must not do that now"):
            await install(line, release("1.3.0", 8))  # the way back would be overwritten
        await confirm(line, 7)
        await confirm(line, 7)  # its answer may be lost: harmless
        assert (await status(line)).update == frame.UPDATE_NONE
        kit.cut_power()
        assert await restarted(kit, 3) == "running 1.2.0 7 ota_1"
        assert (await status(line)).reset == 1  # by power
        written = (tmp_path / "flash" / "ota_1").read_bytes()
        assert written.startswith(image("1.2.0", 7))


async def test_what_is_kept_is_kept_and_nothing_older_comes_back(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (kit, line):
        await install(line, release("1.2.0", 7))
        await restarted(kit, 2)
        await confirm(line, 7)
        await line.acknowledged(frame.CMD_RESTART)
        assert await restarted(kit, 3) == "running 1.2.0 7 ota_1"
        for sequence in (6, 7):
            with pytest.raises(DeviceError, match="not newer than what it has"):
                await install(line, release("1.1.9", sequence))


@pytest.mark.parametrize(
    ("behaves", "restarts_itself"),
    [("CRASHES", True), ("", False)],
    ids=["one that crashes", "one that nobody confirms"],
)
async def test_what_is_not_confirmed_falls_back(place: Place, tmp_path: Path, behaves: str, restarts_itself: bool):
    async with kit_with_key(place, tmp_path) as (kit, line):
        await install(line, release("2.0.0", 9, behaves=behaves))
        if not restarts_itself:
            assert await restarted(kit, 2) == "running 2.0.0 9 ota_1"
            await line.acknowledged(frame.CMD_RESTART)  # as the kit does itself after five minutes
        assert await restarted(kit, 2 if restarts_itself else 3) == "running 0.1.0-dev 1 ota_0"
        now = await status(line)
        assert (now.sequence, now.update, now.failed) == (1, frame.UPDATE_ROLLED_BACK, 9)
        with pytest.raises(DeviceError, match="fell back and runs sequence 1, not 9"):
            await confirm(line, 9)


async def test_one_that_cannot_record_is_not_kept(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (kit, line):
        await install(line, release("2.0.0", 9, behaves="HAS NO AMPLIFIER"))
        await restarted(kit, 2)
        with pytest.raises(DeviceError, match="its amplifier does not answer"):
            await confirm(line, 9)
        assert (await status(line)).update == frame.UPDATE_ON_TRIAL


def _damaged() -> bytes:
    data = bytearray(release("1.2.0", 7))
    data[-1] ^= 1
    return bytes(data)


def _signed_by_another() -> bytes:
    data = release("1.2.0", 7)
    signature, manifest, _ = kit_firmware.unpack(data)
    return kit_firmware.sign(OTHER, manifest) + data[len(signature) :]


def _changed_manifest() -> bytes:
    return release("1.2.0", 7).replace(b'"sequence": 7', b'"sequence": 9')


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (_signed_by_another(), "not signed by its release key"),
        (_changed_manifest(), "not signed by its release key"),
        (release("1.2.0", 7, board="OTHER_KIT"), "for another device"),
        (release("1.2.0", 1), "not newer than what it has"),
        (_damaged(), "image is damaged"),
        (release("1.2.0", 7) + b"x", "malformed or too large"),
        (release("1.2.0", 7)[:-1], "malformed or too large"),
        (release("1.2.0", 7, size=200_000), "malformed or too large"),
        (bytes(400), "malformed or too large"),
        (b"short", "malformed or too large"),
    ],
    ids=["key", "manifest", "board", "old", "damaged", "longer", "shorter", "too large", "zeros", "short"],
)
async def test_refused(place: Place, tmp_path: Path, data: bytes, match: str):
    async with kit_with_key(place, tmp_path) as (_, line):
        with pytest.raises(DeviceError, match=match):
            await install(line, data)
        assert (await status(line)).update == frame.UPDATE_NONE
        if "damaged" not in match:  # refused by its head: not a byte of flash was written
            assert not (tmp_path / "flash" / "ota_1").exists()


async def test_a_kit_without_a_key_takes_nothing(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (kit, line):
        (tmp_path / "flash" / "key").unlink()
        await line.acknowledged(frame.CMD_RESTART)
        await restarted(kit, 2)
        with pytest.raises(DeviceError, match="not signed by its release key"):
            await install(line, release("1.2.0", 7))


async def test_cut_off_in_the_middle_it_begins_anew(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (kit, line):
        halfway = asyncio.Event()
        handing = asyncio.create_task(
            install(line, release("1.2.0", 7), lambda at, of: halfway.set() if at > of // 2 else None)
        )
        await halfway.wait()
        handing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await handing
        assert (await status(line)).update == frame.UPDATE_RECEIVING
        piece = frame.pack_piece(100_000, b"from nowhere")
        ack = frame.parse_ack(await line.command(frame.CMD_UPDATE_DATA, piece))
        assert ack.result == frame.RESULT_ORDER
        await install(line, release("1.2.0", 7))
        assert await restarted(kit, 2) == "running 1.2.0 7 ota_1"


async def test_pieces_of_no_update_are_refused(place: Place, tmp_path: Path):
    async with kit_with_key(place, tmp_path) as (_, line):
        with pytest.raises(DeviceError, match="no update is under way"):
            await line.acknowledged(frame.CMD_UPDATE_DATA, frame.pack_piece(0, b"x"))
        with pytest.raises(DeviceError, match="no update is under way"):
            await line.acknowledged(frame.CMD_UPDATE_END)


@asynccontextmanager
async def driven(place: Place, folder: Path) -> AsyncGenerator[tuple[KitProcess, KitCardiograph, Kept]]:
    """The kit with its key behind the gateway's own driver, which keeps the line."""
    (folder / "flash").mkdir()
    (folder / "flash" / "key").write_bytes(PUBLIC)
    async with running_kit(place.program("micropython"), folder, pace=5) as (kit, cable):
        patience = Patience(lead_off_s=20.0, silence_s=20.0, poll_s=0.1, reopen_s=(0.0, 0.02))
        driver, kept = KitCardiograph("kit-1", cable.port, Now(), random.Random(1), patience), Kept()  # noqa: S311
        running = asyncio.create_task(driver.run(kept))
        try:
            async with asyncio.timeout(60):
                while not (kept.states and kept.states[-1].state == "present"):  # noqa: ASYNC110 - another object
                    await asyncio.sleep(0.01)
            yield kit, driver, kept
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_the_driver_updates_a_kit_and_says_what_it_runs(place: Place, tmp_path: Path):
    async with driven(place, tmp_path) as (kit, driver, kept):
        assert await driver.update(release("1.2.0", 7)) == "the kit runs 1.2.0, sequence 7"
        assert kit.starts == 2
        assert await driver.update(release("1.2.0", 7)) == "the kit runs 1.2.0, sequence 7"  # a repeated command
        assert kit.starts == 2
        assert (await driver.record(1.0)).partial is None
        with pytest.raises(DeviceError, match="not newer than what it has"):
            await driver.update(release("1.1.0", 6))
        async with asyncio.timeout(60):
            while kept.states[-1].identity is None or kept.states[-1].identity.firmware != "1.2.0":  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_recording_goes_before_an_update(place: Place, tmp_path: Path):
    async with driven(place, tmp_path) as (kit, driver, _):
        updating = asyncio.create_task(driver.update(release("1.2.0", 7, size=60_000)))
        await asyncio.sleep(0.3)
        assert not updating.done()
        result = await driver.record(2.0)
        assert (result.partial, result.samples.shape[1]) == (None, 1000)
        assert (kit.starts, updating.done()) == (1, False)
        assert await updating == "the kit runs 1.2.0, sequence 7"


async def test_the_driver_says_that_a_kit_fell_back(place: Place, tmp_path: Path):
    async with driven(place, tmp_path) as (_, driver, _):
        with pytest.raises(DeviceError, match="fell back and runs sequence 1, not 9"):
            await driver.update(release("2.0.0", 9, behaves="CRASHES"))
        for nonsense in (b"", b"x" * 70, bytes(400)):
            with pytest.raises(DeviceError, match="no firmware of a kit"):
                await driver.update(nonsense)


def test_the_releases_key_is_the_kits():
    assert len(PUBLIC) == 64
    assert kit_firmware.public_bytes(KEY.public_key()) == PUBLIC
