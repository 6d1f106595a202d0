import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import DeviceError, cyton_session, stream_session
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.cyton_packet import uv_per_bit
from feldsher_edge.devices.leads import CHANNELS, Leads
from feldsher_edge.simulate.cyton import VirtualCyton
from feldsher_edge.simulate.serial_bench import SHORT, Ramp, at_work, until
from feldsher_edge.simulate.serial_device import Direct, Faults
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

PACE = 20.0
GAIN = 12
RNG = random.Random(1)  # noqa: S311 - jitter and faults


def expected(n: int, channels: Sequence[str] = CHANNELS) -> NDArray[np.int32]:
    rows = Ramp().units(n, 250.0, 1.0)[[CHANNELS.index(name) for name in channels]]
    return Leads(channels, [1.0] * len(channels)).of(rows)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch):
    """The board is in this process, which may have to wait for the processor."""
    for name, seconds in (("RESET_S", 10.0), ("ANSWER_S", 10.0), ("QUIET_S", 0.02)):
        monkeypatch.setattr(cyton_session, name, seconds)


def made(
    folder: Path, faults: Faults | None = None, pace: float = PACE, wired: Sequence[str] = CHANNELS
) -> tuple[VirtualCyton, CytonCardiograph]:
    board = VirtualCyton(Ramp(), folder / "cyton", RNG, wired, pace=pace, faults=faults)
    return board, cardiograph(board, wired)


def cardiograph(board: VirtualCyton, wired: Sequence[str] = CHANNELS, **patience: float) -> CytonCardiograph:
    return CytonCardiograph("cyton-1", board.port, SystemClock(UTC), RNG, wired, GAIN, replace(SHORT, **patience))


def directly(board: VirtualCyton, patch: pytest.MonkeyPatch) -> CytonCardiograph:
    """The driver without a line between: the board's own time says what arrives when."""
    it = Direct(board)
    patch.setattr(stream_session, "SerialPort", it.open)
    return CytonCardiograph("cyton-1", board.port, it, RNG, CHANNELS, GAIN, SHORT)


async def test_ten_seconds_of_twelve_leads(tmp_path: Path):
    board, driver = made(tmp_path)
    async with at_work(driver, board) as kept:
        result = await driver.record(10)
        np.testing.assert_array_equal(result.samples, expected(2500))
        assert (result.device, result.leads, result.fs) == ("cyton-1", STANDARD_LEADS, 250.0)
        assert result.uv_per_bit == Leads(CHANNELS, [uv_per_bit(GAIN)] * 8).scales
        assert (result.lost, result.crc_errors, result.partial, result.lead_off) == (0, 0, None, ())
        assert result.clock_ratio is not None
        assert board.gains == (GAIN,) * 8
        assert not board.sampling
        identity = await driver.identify()
        assert (identity.model, identity.firmware) == ("OpenBCI Cyton", "v3.1.2")
        assert kept.states[-1].identity == identity


async def test_a_wiring_of_three_channels_gives_their_leads(tmp_path: Path):
    wired = ("I", "", "II", "V5")
    board, driver = made(tmp_path, wired=wired)
    async with at_work(driver, board):
        result = await driver.record(1)
        assert result.leads == ("I", "II", "III", "aVR", "aVL", "aVF", "V5")
        np.testing.assert_array_equal(result.samples, expected(250, ("I", "II", "V5")))
        assert board.gains == (GAIN, None, GAIN, GAIN, None, None, None, None)


async def test_a_board_that_was_switched_off_meanwhile_is_given_its_gain_again(tmp_path: Path):
    board, driver = made(tmp_path)
    async with at_work(driver, board):
        await driver.record(1)
        board.reset()
        assert board.gains == (24,) * 8
        result = await driver.record(1)
        assert (board.gains, result.uv_per_bit[0]) == ((GAIN,) * 8, uv_per_bit(GAIN))


@pytest.mark.parametrize("faults", [Faults(lost_bytes=0.02), Faults(lost_frames=0.02)], ids=["bytes", "packets"])
async def test_what_is_lost_is_missing_at_its_place(tmp_path: Path, faults: Faults):
    board, driver = made(tmp_path)
    async with at_work(driver, board):
        board.faults = faults
        result = await driver.record(10)
        lost = (result.samples == MISSING).all(axis=0)
        assert (result.samples.shape, result.partial) == ((12, 2500), None)
        assert 0 < result.lost == int(lost.sum()) < 250
        np.testing.assert_array_equal(result.samples[:, ~lost], expected(2500)[:, ~lost])
        assert (result.crc_errors > 0) is (faults.lost_bytes > 0)


async def test_flipped_bits_move_nothing_and_hurt_one_sample_each(tmp_path: Path):
    """The line has no checksum: a flipped bit in a sample stays in it, one in the count or a mark must not spread."""
    board, driver = made(tmp_path)
    async with at_work(driver, board):
        board.faults = Faults(bit_flips=0.02)
        result = await driver.record(10)
        wrong = (result.samples != expected(2500)).any(axis=0)
        assert 0 < int(wrong.sum()) < 150
        assert result.lost < 100


async def test_a_second_without_a_sound_is_missing_although_the_count_hides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    board, _ = made(tmp_path)
    driver = directly(board, monkeypatch)
    async with at_work(driver, board):
        board.faults = Faults(cut_out=(300, 256))
        result = await driver.record(3)
        lost = np.zeros(750, bool)
        lost[300:556] = True
        assert (result.samples[:, lost] == MISSING).all()
        np.testing.assert_array_equal(result.samples[:, ~lost], expected(750)[:, ~lost])


async def test_an_unplugged_dongle_gives_what_came(tmp_path: Path):
    board, driver = made(tmp_path)
    async with at_work(driver, board) as kept:
        board.faults = Faults(unplug_after=600)
        result = await driver.record(10)
        assert result.partial is not None
        assert result.partial.startswith("the board was unplugged after ")
        n = result.samples.shape[1]
        assert 500 < n <= 600
        np.testing.assert_array_equal(result.samples, expected(n))
        await until(lambda: kept.states[-1].state == "absent")
        board.faults = Faults()
        board.plug_in()
        await until(lambda: kept.states[-1].state == "present")
        assert (await driver.record(1)).partial is None


async def test_a_stream_that_is_stuck_gives_what_came(tmp_path: Path):
    board, _ = made(tmp_path)
    driver = cardiograph(board, silence_s=1.0)
    async with at_work(driver, board):
        board.faults = Faults(fall_silent_after=1000)
        result = await driver.record(10)
        assert result.partial == "no data for 1.0 s after 4.0 s"
        np.testing.assert_array_equal(result.samples, expected(1000))
        assert not board.sampling


async def test_an_open_electrode_is_found_by_its_impedance(tmp_path: Path):
    board, driver = made(tmp_path)
    async with at_work(driver, board):
        board.ohms[1] = 50e6
        board.ohms[4] = 1e6  # poor, but it touches
        result = await driver.record(1)
        assert result.lead_off == ("II", "III", "aVR", "aVL", "aVF")
        assert not board.testing
        np.testing.assert_array_equal(result.samples, expected(250))


async def test_recording_waits_for_the_electrodes(tmp_path: Path):
    board, _ = made(tmp_path)
    driver = cardiograph(board, lead_off_s=10.0)
    async with at_work(driver, board):
        board.ohms[7] = 50e6
        tests = board.heard.count("z111Z")

        def attach() -> bool:
            if board.heard.count("z111Z") - tests >= 2:
                board.ohms[7] = 20e3
            return board.ohms[7] < 1e6

        recording = asyncio.create_task(driver.record(1))
        await until(attach)
        assert (await recording).lead_off == ()


async def test_without_any_electrode_nothing_is_recorded(tmp_path: Path):
    board, driver = made(tmp_path)
    async with at_work(driver, board):
        board.ohms = [50e6] * 8
        with pytest.raises(DeviceError, match="no lead can be measured, every electrode is off"):
            await driver.record(10)


async def test_a_daisy_is_left_aside(tmp_path: Path):
    board, driver = made(tmp_path)
    board.daisy = True
    async with at_work(driver, board):
        assert not board.daisy
        np.testing.assert_array_equal((await driver.record(1)).samples, expected(250))


async def test_a_dead_amplifier_is_a_fault(tmp_path: Path):
    board, driver = made(tmp_path)
    board.amplifier = 0
    async with at_work(driver, board, "fault") as kept:
        assert kept.states[-1].detail == "its amplifier does not answer"


@pytest.mark.parametrize(
    ("on", "firmware", "mute", "why"),
    [
        (False, b"3.1.2", False, "is it switched on"),
        (True, b"", False, "firmware before 2.0"),
        (True, b"3.1.2", True, "no answer to b'v', sent 2 times"),
    ],
)
async def test_a_board_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool, firmware: bytes, mute: bool, why: str
):
    board, driver = made(tmp_path)
    async with at_work(driver, board) as kept:
        board.on, board.firmware, board.faults.mute = on, firmware, mute
        if mute:
            monkeypatch.setattr(cyton_session, "RESET_S", 0.2)
            monkeypatch.setattr(cyton_session, "ANSWER_S", 0.2)
        board.unplug()
        await until(lambda: kept.states[-1].state == "absent")
        board.plug_in()
        await until(lambda: why in str(kept.states[-1].detail))
        with pytest.raises(DeviceError, match="not connected"):
            await driver.record(10)
