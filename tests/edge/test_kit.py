import asyncio
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.devices.leads import twelve
from feldsher_edge.devices.serial_cardiograph import Patience
from feldsher_edge.simulate.cardiograph import VREF_UV, VirtualCardiograph
from feldsher_edge.simulate.serial_bench import Ramp, until
from feldsher_edge.simulate.serial_device import Faults
from feldsher_edge.simulate.sink import Kept
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import frame
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

PACE = 10.0
RNG = random.Random(1)  # noqa: S311 - jitter


class Now:
    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def mono_ns(self) -> int:
        return time.monotonic_ns()


def expected(n: int) -> NDArray[np.int32]:
    return twelve(1.0).of(Ramp().units(n, 500.0, 1.0))


class Bench:
    """A driver that runs, the kit on its line, and where it delivers."""

    def __init__(self, kit: VirtualCardiograph, driver: KitCardiograph, kept: Kept) -> None:
        self.kit = kit
        self.driver = driver
        self.kept = kept

    def state(self) -> str:
        return self.kept.states[-1].state if self.kept.states else ""


@asynccontextmanager
async def bench(
    folder: Path, faults: Faults | None = None, pace: float = PACE, *, plugged: bool = True, **options: Any
) -> AsyncGenerator[Bench]:
    rng = random.Random(7)  # noqa: S311 - faults
    kit = VirtualCardiograph(Ramp(), folder / "kit", rng, pace=pace, faults=faults)
    settings: dict[str, Any] = {"poll_s": 0.05, "reopen_s": (0.0, 0.02), "lead_off_s": 0.0, "silence_s": 20.0} | options
    driver = KitCardiograph("kit-1", kit.port, Now(), RNG, Patience(**settings))
    it = Bench(kit, driver, Kept())
    if plugged:
        kit.plug_in()
    running = asyncio.create_task(driver.run(it.kept))
    try:
        if plugged:
            await until(lambda: it.state() == "present")
        yield it
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        kit.unplug()


async def test_ten_seconds_of_twelve_leads(tmp_path: Path):
    async with bench(tmp_path) as it:
        before = time.time_ns() // 1000
        result = await it.driver.record(10)
        np.testing.assert_array_equal(result.samples, expected(5000))
        assert (result.device, result.leads, result.fs) == ("kit-1", STANDARD_LEADS, 500.0)
        assert result.uv_per_bit == twelve(VREF_UV / (6 * frame.FULL_SCALE)).scales
        assert (result.lost, result.crc_errors, result.partial, result.lead_off) == (0, 0, None, ())
        assert before <= result.started_us < result.ended_us <= time.time_ns() // 1000
        assert result.clock_ratio is not None
        assert it.kit.commands[-4:] == [frame.CMD_ID, frame.CMD_LEAD_OFF, frame.CMD_START, frame.CMD_STOP]
        assert frame.CMD_CONFIG in it.kit.commands


async def test_who_it_is(tmp_path: Path):
    async with bench(tmp_path) as it:
        assert await it.driver.identify() == it.kept.states[0].identity
        identity = it.kept.states[0].identity
        assert identity is not None
        assert (identity.model, identity.serial, identity.firmware) == ("feldsher kit", "SIM-0001", "virtual 1.0")
        assert it.kept.states[0].battery == 76


@pytest.mark.parametrize(
    ("faults", "corrupt"),
    [(Faults(lost_bytes=0.02), False), (Faults(bit_flips=0.02), True), (Faults(lost_frames=0.02), False)],
    ids=["lost bytes", "bit flips", "lost in the kit"],
)
async def test_what_is_lost_is_missing_at_its_place(tmp_path: Path, faults: Faults, corrupt: bool):
    async with bench(tmp_path, faults) as it:
        result = await it.driver.record(4)
        lost = (result.samples == MISSING).all(axis=0)
        assert result.samples.shape == (12, 2000)
        assert result.partial is None
        assert 0 < result.lost == int(lost.sum()) < 200
        np.testing.assert_array_equal(result.samples[:, ~lost], expected(2000)[:, ~lost])
        if corrupt:
            assert result.crc_errors > 0


async def test_an_unplugged_cable_gives_what_came(tmp_path: Path):
    async with bench(tmp_path, Faults(unplug_after=1200)) as it:
        result = await it.driver.record(10)
        assert result.partial is not None
        assert result.partial.startswith("the kit was unplugged after ")
        n = result.samples.shape[1]
        assert 0 < n <= 1200
        np.testing.assert_array_equal(result.samples, expected(n))
        await until(lambda: it.state() == "absent")
        it.kit.faults.unplug_after = None
        it.kit.plug_in()
        await until(lambda: it.state() == "present")
        assert (await it.driver.record(1)).partial is None


async def test_a_kit_that_falls_silent_gives_what_came(tmp_path: Path):
    async with bench(tmp_path, Faults(fall_silent_after=1000), silence_s=1.0) as it:
        result = await it.driver.record(60)  # six seconds of this machine: it falls silent long before its end
        assert result.partial == "no data for 1.0 s after 2.0 s"
        np.testing.assert_array_equal(result.samples, expected(1000))
        assert not it.kit.sampling


async def test_a_kit_that_is_stuck_gives_what_came(tmp_path: Path):
    async with bench(tmp_path, Faults(stuck_after=1000), silence_s=1.0) as it:
        result = await it.driver.record(60)  # six seconds of this machine: it falls silent long before its end
        assert result.partial == "the same samples again and again for 1.0 s after 2.0 s"
        np.testing.assert_array_equal(result.samples, expected(1000))
        assert not it.kit.sampling


async def test_a_kit_that_sends_nothing_gives_no_recording(tmp_path: Path):
    async with bench(tmp_path, Faults(fall_silent_after=0), silence_s=1.0) as it:
        with pytest.raises(DeviceError, match=r"no data for 1.0 s after 0.0 s"):
            await it.driver.record(60)  # six seconds of this machine, as above
        it.kit.faults.fall_silent_after = None
        assert (await it.driver.record(1)).partial is None


async def test_a_kit_that_ends_by_itself_gives_what_came(tmp_path: Path):
    async with bench(tmp_path, Faults(stop_after=700)) as it:
        result = await it.driver.record(10)
        assert result.partial == "the kit stopped by itself after 1.4 s"
        np.testing.assert_array_equal(result.samples, expected(700))


async def test_a_lead_that_is_off_is_named(tmp_path: Path):
    async with bench(tmp_path) as it:
        it.kit.off = 1 << frame.ELECTRODES.index("V3")
        result = await it.driver.record(1)
        assert (result.lead_off, result.partial) == (("V3",), None)


async def test_recording_waits_for_the_electrodes(tmp_path: Path):
    async with bench(tmp_path, lead_off_s=10.0) as it:
        it.kit.off = 1 << frame.ELECTRODES.index("V3")
        waiting = asyncio.create_task(it.driver.record(1))
        await until(lambda: it.kit.commands.count(frame.CMD_LEAD_OFF) >= 4)
        assert frame.CMD_START not in it.kit.commands
        it.kit.off = 0
        assert (await waiting).lead_off == ()


async def test_without_any_lead_nothing_starts(tmp_path: Path):
    async with bench(tmp_path) as it:
        it.kit.off = 1 << frame.ELECTRODES.index("RL")
        with pytest.raises(DeviceError, match="no lead can be measured, electrodes off: RL"):
            await it.driver.record(10)
        assert frame.CMD_START not in it.kit.commands


async def test_the_kits_own_button_needs_no_order(tmp_path: Path):
    async with bench(tmp_path) as it:
        it.kit.press_start(2)
        await until(lambda: it.kept.recordings)
        (result,) = it.kept.recordings
        assert result.partial is None
        np.testing.assert_array_equal(result.samples, expected(1000))
        assert (await it.driver.record(1)).partial is None


async def test_a_recording_by_the_button_keeps_an_order_waiting(tmp_path: Path):
    async with bench(tmp_path, pace=1.0) as it:
        it.kit.press_start(2)
        await until(lambda: it.kit.sent > 10)
        with pytest.raises(DeviceError, match="it is recording"):
            await it.driver.record(10)
        await until(lambda: it.kept.recordings)


async def test_what_the_disk_refuses_is_committed_later(tmp_path: Path):
    async with bench(tmp_path) as it:
        it.kept.disk_full = True
        it.kit.press_start(2)
        await until(lambda: it.kit.sent == 1000 and not it.kit.sampling)
        await asyncio.sleep(0.05)
        assert it.kept.recordings == []
        it.kept.disk_full = False
        await until(lambda: it.kept.recordings)


async def test_a_gateway_that_starts_in_mid_recording_says_so(tmp_path: Path):
    async with bench(tmp_path, plugged=False) as it:
        it.kit.plug_in()
        it.kit.press_start(6)
        await until(lambda: it.kept.recordings)
        (result,) = it.kept.recordings
        lost = (result.samples == MISSING).all(axis=0)
        np.testing.assert_array_equal(result.samples[:, ~lost], expected(result.samples.shape[1])[:, ~lost])
        assert result.lost == int(lost.sum())
        assert (result.partial == "its beginning was not received") is bool(lost[:250].all())


async def test_cancelling_stops_the_kit(tmp_path: Path):
    async with bench(tmp_path, pace=1.0) as it:
        recording = asyncio.create_task(it.driver.record(10))
        await until(lambda: it.kit.sent > 50)
        recording.cancel()
        with pytest.raises(asyncio.CancelledError):
            await recording
        assert not it.kit.sampling
        assert it.kept.recordings == []


async def test_the_live_strip_shows_the_recording(tmp_path: Path):
    async with bench(tmp_path) as it:
        result = await it.driver.record(2)
        pieces = it.kept.pieces
        assert [piece.first for piece in pieces] == list(np.cumsum([0, *(p.samples.shape[1] for p in pieces[:-1])]))
        shown = np.concatenate([piece.samples for piece in pieces], axis=1)
        np.testing.assert_array_equal(shown, result.samples[:, : shown.shape[1]])
        assert shown.shape[1] > 900


async def test_a_kit_that_does_not_answer_is_absent(tmp_path: Path):
    async with bench(tmp_path, Faults(mute=True), plugged=False) as it:
        it.kit.plug_in()
        await until(lambda: it.state() == "absent" and "no answer" in str(it.kept.states[-1].detail))
        it.kit.faults.mute = False
        await until(lambda: it.state() == "present")


async def test_no_kit_no_recording(tmp_path: Path):
    async with bench(tmp_path, plugged=False) as it:
        await until(lambda: it.state() == "absent")
        assert it.kept.states[-1].detail == f"{it.kit.port}: No such file or directory"
        with pytest.raises(DeviceError, match="not connected"):
            await it.driver.record(10)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 60.1])
async def test_a_length_that_is_no_recording_is_refused(tmp_path: Path, seconds: float):
    async with bench(tmp_path) as it:
        with pytest.raises(DeviceError, match="more than 0 and at most 60"):
            await it.driver.record(seconds)
