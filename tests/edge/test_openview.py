import random
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import DeviceError, openview_session, stream_session
from feldsher_edge.devices.openview import OpenViewCardiograph
from feldsher_edge.devices.openview_packet import KINDS, Board, Vitals
from feldsher_edge.simulate.openview import LOOP_S, VirtualOpenView
from feldsher_edge.simulate.serial_bench import SHORT, Ramp, at_work, until
from feldsher_edge.simulate.serial_device import Direct, Faults
from feldsher_ehr_core.vitals import HEART_RATE, RESPIRATION, SATURATION, SKIN_TEMPERATURE
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

RNG = random.Random(1)  # noqa: S311 - jitter and faults
PACE = 20.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch):
    """The board is in this process, which may have to wait for the processor."""
    monkeypatch.setattr(openview_session, "FIRST_S", 20.0)


def made(
    folder: Path,
    board: Board = "healthypi4",
    uv: float | None = None,
    pace: float = PACE,
    silence_s: float = SHORT.silence_s,
    **options: Any,
) -> tuple[VirtualOpenView, OpenViewCardiograph]:
    patience = replace(SHORT, silence_s=silence_s)
    it = VirtualOpenView(Ramp(), folder / "board", RNG, board, "II", uv_per_bit=uv or 0.1, pace=pace, **options)
    return it, OpenViewCardiograph("hp-1", it.port, SystemClock(UTC), RNG, board, "II", uv, patience)


def directly(board: VirtualOpenView, patch: pytest.MonkeyPatch) -> OpenViewCardiograph:
    """The driver without a line between: the board's own time says what arrives when."""
    it = Direct(board)
    patch.setattr(stream_session, "SerialPort", it.open)
    return OpenViewCardiograph("hp-1", board.port, it, RNG, "healthypi4", "II", None, SHORT)


def places(samples: NDArray[np.int32], fs: float) -> NDArray[np.int64]:
    """Return where in the board's loop each sample is from, less that of the first."""
    at = (samples.astype(np.int64) - Ramp().units(1, fs, 1.0)[1, 0]) // 10
    return (at - at[0]) % (LOOP_S * int(fs))


@pytest.mark.parametrize(
    ("board", "uv", "batches"),
    [("healthypi4", None, False), ("healthypi5", 0.38, False), ("healthypi5", 0.38, True), ("ads1292r", 12.3, False)],
)
async def test_one_lead_whole(tmp_path: Path, board: Board, uv: float | None, batches: bool):
    it, driver = made(tmp_path, board, uv, batches=batches)
    async with at_work(driver, it):
        result = await driver.record(10)
        n = round(10 * KINDS[board].fs)
        assert (result.leads, result.samples.shape, result.fs) == (("II",), (1, n), KINDS[board].fs)
        assert result.uv_per_bit == (uv or KINDS[board].uv_per_bit,)
        np.testing.assert_array_equal(places(result.samples[0], result.fs), np.arange(n))
        assert (result.lost, result.crc_errors, result.partial, result.lead_off) == (0, 0, None, ())
        assert (await driver.identify()).model == KINDS[board].model


@pytest.mark.parametrize(("board", "batches"), [("healthypi4", False), ("healthypi5", True)])
async def test_packets_that_lose_a_byte_are_missing_at_their_place(tmp_path: Path, board: Board, batches: bool):
    it, driver = made(tmp_path, board, 0.4, batches=batches)
    async with at_work(driver, it):
        it.faults = Faults(lost_bytes=0.02)
        result = await driver.record(10)
        there = result.samples[0] != MISSING
        assert 0 < result.lost == int((~there).sum()) < 0.3 * there.size
        assert result.crc_errors > 0
        found = places(result.samples[0][there], result.fs)
        np.testing.assert_array_equal(found, np.flatnonzero(there) - np.flatnonzero(there)[0])


async def test_a_silence_without_ruins_is_missing_where_time_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    it, _ = made(tmp_path)
    driver = directly(it, monkeypatch)
    async with at_work(driver, it):
        it.faults = Faults(cut_out=(it.sent + 400, 25))
        result = await driver.record(10)
        there = result.samples[0] != MISSING
        gap = np.flatnonzero(~there)
        assert (gap.size, gap[-1] - gap[0]) == (25, 24)
        found = places(result.samples[0][there], result.fs)
        np.testing.assert_array_equal(found, np.flatnonzero(there))


async def test_vital_signs_are_delivered_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    it, _ = made(tmp_path)
    driver = directly(it, monkeypatch)
    async with at_work(driver, it) as kept:
        await until(lambda: kept.sets)
        begun = it.sent
        (reading,) = kept.sets[0].readings
        assert (kept.sets[0].device, kept.sets[0].model, kept.sets[0].continuous) == ("hp-1", "HealthyPi 4", False)
        assert [(value.code, value.value) for value in reading.values] == [
            (SATURATION.mdc, 97), (HEART_RATE.mdc, 72), (RESPIRATION.mdc, 16), (SKIN_TEMPERATURE.mdc, Decimal("33.40")),
        ]  # fmt: skip
        await until(lambda: it.sent > begun + 400)
    assert all(of.continuous for of in kept.sets[1:])
    # One a second of the board's, the first at once.
    assert 1 + 400 // 125 <= sum(len(of.readings) for of in kept.sets) <= 1 + it.sent // 125


async def test_what_is_not_measured_is_no_reading(tmp_path: Path):
    it, driver = made(tmp_path, pace=1.0)
    it.vitals = Vitals(heart_rate=72)
    async with at_work(driver, it) as kept:
        await until(lambda: kept.sets)
        assert [value.code for value in kept.sets[0].readings[0].values] == [HEART_RATE.mdc]


async def test_vital_signs_that_the_disk_refuses_are_committed_later(tmp_path: Path):
    it, driver = made(tmp_path, pace=1.0)
    it.vitals = Vitals()
    async with at_work(driver, it) as kept:
        kept.disk_full = True
        it.vitals = Vitals(heart_rate=72)
        sent = it.sent
        await until(lambda: it.sent > sent + 150)
        assert kept.sets == []
        kept.disk_full = False
        await until(lambda: kept.sets)


async def test_an_electrode_that_is_off_keeps_it_from_recording(tmp_path: Path):
    it, driver = made(tmp_path)
    async with at_work(driver, it):
        it.off = True
        sent = it.sent
        await until(lambda: it.sent > sent + 200)
        with pytest.raises(DeviceError, match="no lead can be measured, an electrode is off"):
            await driver.record(10)


async def test_an_unplugged_board_gives_what_came(tmp_path: Path):
    it, driver = made(tmp_path, pace=1.0)
    async with at_work(driver, it) as kept:
        it.faults = Faults(unplug_after=it.sent + 150)
        result = await driver.record(10)
        assert result.partial is not None
        assert result.partial.startswith("the board was unplugged after 1.")
        np.testing.assert_array_equal(places(result.samples[0], result.fs), np.arange(result.integrity.expected))
        await until(lambda: kept.states[-1].state == "absent")


async def test_a_board_that_falls_silent_gives_what_came(tmp_path: Path):
    it, driver = made(tmp_path, silence_s=1.0)
    async with at_work(driver, it):
        it.faults = Faults(fall_silent_after=it.sent + 400)
        result = await driver.record(10)
        assert result.partial is not None
        assert result.partial.startswith("no data for 1.0 s after ")


async def test_another_board_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openview_session, "FIRST_S", 0.3)
    it, _ = made(tmp_path)
    other = OpenViewCardiograph("hp-1", it.port, SystemClock(UTC), RNG, "healthypi5", "II", 0.38, SHORT)
    async with at_work(other, it, "absent") as kept:
        await until(lambda: "no packet of a HealthyPi 5 in 0 s, but" in str(kept.states[-1].detail))


async def test_a_scale_in_doubt_must_be_configured(tmp_path: Path):
    it, driver = made(tmp_path, "healthypi5")
    async with at_work(driver, it, "absent") as kept:
        assert "the microvolts per unit of a HealthyPi 5 must be configured" in str(kept.states[-1].detail)
