"""Boards on serial lines that are not our kit, real or virtual: who they are, whole recordings, a cable pulled.

Real ones: `--board cyton --board-port /dev/ttyUSB0`, electrodes on channel 1 wired as lead I (HealthyPi: as II).
"""

import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.clock import SystemClock
from feldsher_edge.devices import Cardiograph
from feldsher_edge.devices.bitalino import BitalinoCardiograph
from feldsher_edge.devices.bitalino_session import Wiring
from feldsher_edge.devices.cyton import CytonCardiograph
from feldsher_edge.devices.openview import OpenViewCardiograph
from feldsher_edge.simulate.bitalino import VirtualBitalino
from feldsher_edge.simulate.cyton import VirtualCyton
from feldsher_edge.simulate.openview import VirtualOpenView
from feldsher_edge.simulate.patient import synthetic
from feldsher_edge.simulate.serial_bench import at_work, until
from feldsher_edge.simulate.serial_device import VirtualSerial
from feldsher_edge.simulate.sink import Kept
from feldsher_signal.record import MISSING

RNG = random.Random(1)  # noqa: S311 - jitter and faults
SECONDS = 3.0


@dataclass
class Kind:
    """How a board of one kind is driven, and how a virtual one is made."""

    model: str
    lead: str
    fs: float
    driver: Callable[[str], Cardiograph]
    virtual: Callable[[Path], VirtualSerial]


def _cyton(port: str) -> Cardiograph:
    return CytonCardiograph("board", port, SystemClock(UTC), RNG, ("I",), 12)


def _healthypi(port: str) -> Cardiograph:
    return OpenViewCardiograph("board", port, SystemClock(UTC), RNG, "healthypi4", "II")


def _bitalino(port: str) -> Cardiograph:
    return BitalinoCardiograph("board", port, SystemClock(UTC), RNG, Wiring(("I",)))


KINDS = {
    "cyton": Kind(
        "OpenBCI Cyton", "I", 250.0, _cyton, lambda at: VirtualCyton(synthetic("normal", 1), at, RNG, ("I",))
    ),
    "healthypi4": Kind(
        "HealthyPi 4", "II", 125.0, _healthypi, lambda at: VirtualOpenView(synthetic("normal", 1), at, RNG)
    ),
    "bitalino": Kind(
        "BITalino", "I", 1000.0, _bitalino, lambda at: VirtualBitalino(synthetic("normal", 1), at, RNG, ("I",))
    ),
}


@dataclass
class Board:
    kind: Kind
    driver: Cardiograph
    virtual: VirtualSerial | None
    kept: Kept


@pytest.fixture(params=sorted(KINDS))
async def board(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Board]:
    real: str | None = request.config.getoption("--board")
    if real not in (None, request.param):
        pytest.skip(f"--board {real} is another board")
    kind = KINDS[request.param]
    virtual = None if real else kind.virtual(tmp_path / "board")
    port = virtual.port if virtual else str(request.config.getoption("--board-port"))
    driver = kind.driver(port)
    async with at_work(driver, virtual) as kept:
        yield Board(kind, driver, virtual, kept)


async def test_it_says_who_it_is(board: Board):
    assert (await board.driver.identify()).model == board.kind.model
    assert board.kept.states[-1].state == "present"


async def test_a_recording_is_whole_and_a_heart(board: Board):
    result = await board.driver.record(SECONDS)
    assert (result.partial, result.lead_off) == (None, ())
    assert (result.leads, result.samples.shape) == ((board.kind.lead,), (1, round(SECONDS * board.kind.fs)))
    assert (result.lost, result.crc_errors) == (0, 0)
    assert not (result.samples == MISSING).any()
    microvolts = result.samples[0] * result.uv_per_bit[0]
    assert 300 < np.ptp(microvolts) < 10_000
    ratio = result.clock_ratio
    assert ratio is not None
    # A virtual board's clock slips where this machine has no processor for it; a real one's is within 3 %.
    assert ratio > 0
    assert board.virtual or abs(ratio - 1) < 0.03


async def test_a_pulled_cable_gives_what_came_and_it_returns(board: Board):
    if board.virtual is None:
        pytest.skip("nobody is here to pull the cable")
    board.virtual.faults.unplug_after = board.virtual.sent + round(2 * board.kind.fs)
    result = await board.driver.record(10.0)
    assert result.partial is not None
    assert result.partial.startswith("the board was unplugged after ")
    assert 1.0 < result.samples.shape[1] / board.kind.fs < 2.5
    await until(lambda: board.kept.states[-1].state == "absent")
    board.virtual.faults.unplug_after = None
    board.virtual.plug_in()
    await until(lambda: board.kept.states[-1].state == "present")
    assert (await board.driver.record(1.0)).partial is None
