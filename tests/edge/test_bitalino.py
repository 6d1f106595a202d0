import random
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import DeviceError, bitalino_session, stream_session
from feldsher_edge.devices.bitalino import BitalinoCardiograph
from feldsher_edge.devices.bitalino_session import Wiring
from feldsher_edge.simulate.bitalino import VirtualBitalino
from feldsher_edge.simulate.serial_bench import SHORT, at_work, until
from feldsher_edge.simulate.serial_device import Direct, Faults
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

RNG = random.Random(1)  # noqa: S311 - jitter and faults
PACE = 4.0


class Saw:
    """Every sample of a row of 1,001 has its own value, as many as ten bits can tell, and every lead another."""

    off = 0

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        return (np.arange(n, dtype=np.int32)[None, :] + 100 * np.arange(8, dtype=np.int32)[:, None]) % 1001 - 500


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch):
    """The board is in this process, which may have to wait for the processor."""
    for name, seconds in (("ANSWER_S", 10.0), ("QUIET_S", 0.02)):
        monkeypatch.setattr(bitalino_session, name, seconds)


def made(
    folder: Path, wiring: Wiring | None = None, pace: float = PACE, silence_s: float = SHORT.silence_s, **options: Any
) -> tuple[VirtualBitalino, BitalinoCardiograph]:
    of = wiring or Wiring(("", "I", "II"))
    it = VirtualBitalino(Saw(), folder / "board", RNG, of.channels, pace=pace, **options)
    return it, BitalinoCardiograph("bit-1", it.port, SystemClock(UTC), RNG, of, replace(SHORT, silence_s=silence_s))


async def test_two_sensors_give_six_leads(tmp_path: Path):
    it, driver = made(tmp_path)
    async with at_work(driver, it) as kept:
        result = await driver.record(4)
        assert (result.leads, result.fs) == (("I", "II", "III", "aVR", "aVL", "aVF"), 1000.0)
        np.testing.assert_array_equal(result.samples[:2], Saw().units(4000, 1000.0, 1.0)[:2])
        assert result.uv_per_bit[0] == pytest.approx(2.93, abs=0.01)
        assert (result.lost, result.crc_errors, result.partial, result.lead_off) == (0, 0, None, ())
        identity = await driver.identify()
        assert (identity.model, identity.firmware) == ("BITalino", "v5.1")
        assert kept.states[-1].detail == "battery good, 3.9 V"
        assert b"\xc3" + bytes((0b00011001,)) in it.commands
        assert not it.sampling


@pytest.mark.parametrize("version", [(4, 2), (5, 2)])
async def test_the_state_of_older_and_newer_firmware(tmp_path: Path, version: tuple[int, int]):
    it, driver = made(tmp_path, version=version)
    it.battery = 530
    async with at_work(driver, it) as kept:
        assert kept.states[-1].detail == "battery good, 3.4 V"
        it.battery = 500
        await until(lambda: kept.states[-1].detail == "battery low, 3.2 V")


async def test_a_hundred_samples_a_second(tmp_path: Path):
    it, driver = made(tmp_path, Wiring(("V2",), rate=100), pace=20.0)
    async with at_work(driver, it):
        result = await driver.record(10)
        assert (result.leads, result.fs, result.lost) == (("V2",), 100.0, 0)
        np.testing.assert_array_equal(result.samples, Saw().units(1000, 100.0, 1.0)[3:4])


@pytest.mark.parametrize(
    "faults",
    [Faults(lost_bytes=0.01), Faults(bit_flips=0.01), Faults(lost_frames=0.01)],
    ids=["bytes", "bits", "frames"],
)
async def test_what_is_lost_is_missing_at_its_place(tmp_path: Path, faults: Faults):
    it, driver = made(tmp_path)
    async with at_work(driver, it):
        it.faults = faults
        result = await driver.record(4)
        there = result.samples[0] != MISSING
        assert result.samples.shape[1] == 4000
        assert 0 < result.lost == int((~there).sum()) < 400
        wrong = result.samples[0][there] != Saw().units(4000, 1000.0, 1.0)[0][there]
        # A CRC of four bits lets one ruin in sixteen pass; the count then holds back all but a few of these.
        assert int(wrong.sum()) <= 4
        assert result.crc_errors > 0 or faults.lost_frames


async def test_whole_rounds_that_were_lost_are_missing_where_nothing_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    it, _ = made(tmp_path, faults=Faults(cut_out=(1200, 160)))
    direct = Direct(it)  # no line between: the board's own time says what arrives when
    monkeypatch.setattr(stream_session, "SerialPort", direct.open)
    driver = BitalinoCardiograph("bit-1", it.port, direct, RNG, Wiring(("", "I", "II")), SHORT)
    async with at_work(driver, it):
        result = await driver.record(3)
        lost = np.zeros(3000, bool)
        lost[1200:1360] = True
        assert (result.samples[0, lost] == MISSING).all()
        np.testing.assert_array_equal(result.samples[0, ~lost], Saw().units(3000, 1000.0, 1.0)[0, ~lost])


async def test_a_sensor_at_its_limit_is_a_lead_that_is_off(tmp_path: Path):
    it, driver = made(tmp_path)
    it.source = Railed()
    async with at_work(driver, it):
        result = await driver.record(1)
        assert result.lead_off == ("II", "III", "aVR", "aVL", "aVF")


class Railed(Saw):
    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        found = super().units(n, fs, uv_per_bit)
        found[1] = 5000
        return found


async def test_an_unplugged_board_gives_what_came(tmp_path: Path):
    it, driver = made(tmp_path, faults=Faults(unplug_after=1500))
    async with at_work(driver, it) as kept:
        result = await driver.record(10)
        assert result.partial is not None
        assert result.partial.startswith("the board was unplugged after 1.")
        n = result.samples.shape[1]
        np.testing.assert_array_equal(result.samples[0], Saw().units(n, 1000.0, 1.0)[0])
        await until(lambda: kept.states[-1].state == "absent")
        with pytest.raises(DeviceError, match="not connected"):
            await driver.record(1)


async def test_a_board_that_falls_silent_gives_what_came(tmp_path: Path):
    it, driver = made(tmp_path, silence_s=1.0, faults=Faults(fall_silent_after=2000))
    async with at_work(driver, it):
        assert (await driver.record(10)).partial == "no data for 1.0 s after 2.0 s"


async def test_a_board_that_does_not_answer_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bitalino_session, "ANSWER_S", 0.2)
    it, driver = made(tmp_path, faults=Faults(mute=True))
    async with at_work(driver, it, "absent") as kept:
        assert "no answer to b'\\x07', sent 2 times" in str(kept.states[-1].detail)
