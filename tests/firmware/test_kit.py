"""The firmware on the real MicroPython, seen by the gateway's own driver over a pty; the amplifier is a model."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.kit_line import KitLine
from feldsher_edge.devices.leads import twelve
from feldsher_edge.devices.serial_cardiograph import Patience
from feldsher_edge.simulate.sink import Kept
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import frame
from feldsher_signal.record import MISSING
from feldsher_tools.place import Place
from kit_process import Cable, KitProcess, running_kit
from numpy.typing import NDArray

PACE = 5
RNG = random.Random(1)  # noqa: S311 - jitter
V1 = 1 << frame.ELECTRODES.index("V1")
RL = 1 << frame.ELECTRODES.index("RL")


class Now:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


def counted(n: int) -> NDArray[np.int32]:
    """What firmware_py/tests/fakes/front_end.py plays: every value its own."""
    return twelve(1.0).of(np.arange(n, dtype=np.int32) * 10 + np.arange(8, dtype=np.int32)[:, None] - 30_000)


@dataclass
class Bench:
    kit: KitProcess
    cable: Cable
    driver: KitCardiograph
    kept: Kept

    def present(self) -> bool:
        return bool(self.kept.states) and self.kept.states[-1].state == "present"


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another object's state
            await asyncio.sleep(0.005)


async def after(cable: Cable, carried: int, what: Callable[[], None]) -> None:
    """Do something in the middle of a recording: once so many more bytes have come from the kit."""
    until_then = cable.carried + carried
    await until(lambda: cable.carried >= until_then)
    what()


@asynccontextmanager
async def bench(
    place: Place, folder: Path, pace: int = PACE, samples: Path | None = None, lead_off_s: float = 20.0
) -> AsyncGenerator[Bench]:
    async with running_kit(place.program("micropython"), folder, pace=pace, samples=samples) as (kit, cable):
        patience = Patience(lead_off_s=lead_off_s, silence_s=5.0, poll_s=0.1, reopen_s=(0.0, 0.02))
        driver = KitCardiograph("kit-1", cable.port, Now(), RNG, patience)
        it = Bench(kit, cable, driver, Kept())
        running = asyncio.create_task(driver.run(it.kept))
        try:
            await until(it.present)
            yield it
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@asynccontextmanager
async def line(place: Place, folder: Path, pace: int = PACE) -> AsyncGenerator[tuple[KitProcess, Cable, KitLine]]:
    """A kit and the bare conversation with it."""
    async with running_kit(place.program("micropython"), folder, pace=pace) as (kit, cable):
        it = KitLine(cable.port, lambda _kind, _payload: None, lambda _why: None)
        try:
            yield kit, cable, it
        finally:
            it.close()


async def health(it: KitLine) -> frame.Health:
    return frame.parse_health(await it.command(frame.CMD_HEALTH))


async def test_identify_configure_leads_ten_seconds_without_loss(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        result = await it.driver.record(10)
        np.testing.assert_array_equal(result.samples, counted(5000))
        assert (result.leads, result.fs, result.uv_per_bit) == (
            STANDARD_LEADS,
            500.0,
            twelve(2.4e6 / 6 / 8388607).scales,
        )
        assert (result.lost, result.crc_errors, result.partial, result.lead_off) == (0, 0, None, ())
        identity = it.kept.states[-1].identity
        assert identity is not None
        assert (identity.model, identity.firmware) == ("feldsher kit", "0.1.0-dev")
        assert it.kept.states[-1].battery == 71
        again = await it.driver.record(1)
        np.testing.assert_array_equal(again.samples, counted(500))


async def test_a_heart_arrives_sample_by_sample(place: Place, tmp_path: Path):
    heart = RNG_HEART.integers(-40_000, 40_000, (1500, 8), dtype=np.int32)
    (tmp_path / "heart").write_bytes(heart.astype(">i4").tobytes())
    async with bench(place, tmp_path, samples=tmp_path / "heart") as it:
        result = await it.driver.record(3)
        np.testing.assert_array_equal(result.samples, twelve(1.0).of(np.ascontiguousarray(heart.T)))


RNG_HEART = np.random.default_rng(4)


async def outcome(it: Bench) -> str | tuple[str, ...]:
    """The leads that are off in a recording, or why there is none."""
    try:
        return (await it.driver.record(1)).lead_off
    except DeviceError as error:
        return str(error)


async def test_electrodes_that_do_not_touch(place: Place, tmp_path: Path):
    async with bench(place, tmp_path, lead_off_s=0.1) as it, asyncio.timeout(60):
        it.kit.say(f"off {V1}")
        while await outcome(it) != ("V1",):  # it looks every half second
            pass
        it.kit.say(f"off {RL}")
        while "no lead can be measured, electrodes off: RL" not in await outcome(it):
            pass


async def test_noise_on_the_line_costs_only_itself(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        it.cable.flips = it.cable.losses = 0.05
        result = await it.driver.record(4)
        lost = (result.samples == MISSING).all(axis=0)
        assert 0 < result.lost == lost.sum() < 200
        np.testing.assert_array_equal(result.samples[:, ~lost], counted(2000)[:, ~lost])


async def test_a_corrupt_command_is_not_obeyed_and_is_counted(place: Place, tmp_path: Path):
    async with line(place, tmp_path) as (_, cable, it):
        broken = bytearray(frame.frame(frame.CMD_START, 9, frame.pack_start(0)))
        broken[6] ^= 1
        cable.noise(b"\xaa\x55\xaa" + bytes(broken))
        status = frame.parse_status(await it.command(frame.CMD_LEAD_OFF))
        assert (status.state, status.bad_crc) == (frame.STATE_IDLE, 1)


async def test_what_it_cannot_do(place: Place, tmp_path: Path):
    async with line(place, tmp_path) as (_, _, it):
        answers = [
            frame.parse_ack(await it.command(kind, payload)).result
            for kind, payload in [
                (frame.CMD_CONFIG, frame.Config(rate=777).pack()),
                (frame.CMD_CONFIG, b"\1\xf4\5\0"),
                (0x42, b""),
                (frame.CMD_START, frame.pack_start(0)),
                (frame.CMD_CONFIG, frame.Config().pack()),
                (frame.CMD_UPDATE_BEGIN, frame.pack_update(1000)),
                (frame.CMD_STOP, b""),
                (frame.CMD_STOP, b""),
            ]
        ]
        bad, busy = frame.RESULT_BAD_PAYLOAD, frame.RESULT_BUSY
        assert answers == [bad, bad, frame.RESULT_UNKNOWN, 0, busy, busy, 0, 0]


async def test_pulled_in_the_middle_and_back_again(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        later = asyncio.create_task(after(it.cable, 30_000, it.cable.unplug))
        result = await it.driver.record(10)
        await later
        assert result.partial is not None
        assert result.partial.startswith("the kit was unplugged after ")
        end = result.samples.shape[1]
        assert 500 < end < 5000
        np.testing.assert_array_equal(result.samples, counted(end))
        await until(lambda: not it.present())
        await asyncio.sleep(2.5)  # nobody takes its samples: the kit gives up
        it.cable.plug_in()
        await until(it.present)
        again = await it.driver.record(1)
        np.testing.assert_array_equal(again.samples, counted(500))


async def test_the_usb_side_without_power_ends_a_recording(place: Place, tmp_path: Path):
    async with line(place, tmp_path) as (kit, _, it):
        await it.acknowledged(frame.CMD_START, frame.pack_start(0))
        kit.say("host 0")
        state = frame.STATE_SAMPLING
        async with asyncio.timeout(60):
            while state == frame.STATE_SAMPLING:
                state = frame.parse_status(await it.command(frame.CMD_LEAD_OFF)).state


async def test_its_own_button(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        it.kit.say("hold 100")
        await until(lambda: it.kept.recordings)
        assert it.kept.recordings[0].partial is None
        np.testing.assert_array_equal(it.kept.recordings[0].samples, counted(5000))


async def test_late_interrupts_are_lost_at_their_place(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        later = asyncio.create_task(after(it.cable, 20_000, lambda: it.kit.say("late 40")))
        result = await it.driver.record(4)
        await later
        lost = (result.samples == MISSING).all(axis=0)
        # Forty conversions, of which the last interrupt came in time for the one after them.
        assert (result.lost, lost.sum(), np.diff(lost.astype(int)).clip(0).sum()) == (40, 40, 1)
        np.testing.assert_array_equal(result.samples[:, ~lost], counted(2000)[:, ~lost])


async def test_a_dead_amplifier_is_a_fault_and_recovers(place: Place, tmp_path: Path):
    async with bench(place, tmp_path) as it:
        it.kit.say("dead 1")
        await until(lambda: it.kept.states[-1].state == "fault")
        with pytest.raises(DeviceError, match="its amplifier does not answer"):
            await it.driver.record(1)
        it.kit.say("dead 0")
        await until(it.present)
        assert (await it.driver.record(1)).lost == 0


async def test_a_hung_task_restarts_the_kit_and_is_named(place: Place, tmp_path: Path):
    async with line(place, tmp_path) as (kit, _, it):
        assert (await health(it)).boots == 1
        kit.say("hang")
        await until(lambda: kit.starts == 2)
        now = await health(it)
        # The third task that is watched, and why it started: by its watchdog.
        assert (now.boots, now.reset, now.late) == (2, 3, 1 << 1)


async def test_its_serial_number_is_given_once_and_outlives_power(place: Place, tmp_path: Path):
    async with line(place, tmp_path) as (kit, _, it):
        await it.acknowledged(frame.CMD_PROVISION, b"FK-000123")
        assert frame.parse_identity(await it.command(frame.CMD_ID)).serial == "FK-000123"
        assert frame.parse_ack(await it.command(frame.CMD_PROVISION, b"FK-9")).result == frame.RESULT_REFUSED
        assert frame.parse_ack(await it.command(frame.CMD_PROVISION, b"a;b")).result == frame.RESULT_BAD_PAYLOAD
        await it.acknowledged(frame.CMD_WIPE)
        await it.acknowledged(frame.CMD_RESTART)
        await until(lambda: kit.starts == 2)
        assert frame.parse_identity(await it.command(frame.CMD_ID)).serial == "FK-000123"
