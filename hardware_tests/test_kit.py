"""A kit, real or virtual: its conversation, the integrity of a recording, its clock."""

from typing import Protocol

import numpy as np
import pytest
from feldsher_edge.devices import Cardiograph
from feldsher_edge.simulate.sink import Kept
from feldsher_signal.record import MISSING


class Bench(Protocol):
    @property
    def driver(self) -> Cardiograph: ...

    @property
    def kept(self) -> Kept: ...

    @property
    def real(self) -> bool: ...


async def test_it_says_who_it_is(kit: Bench):
    assert kit.kept.states[0].state == "present"
    identity = await kit.driver.identify()
    assert identity.model
    assert identity.serial


@pytest.mark.parametrize("seconds", [4.0])
async def test_a_recording_is_whole(kit: Bench, seconds: float):
    result = await kit.driver.record(seconds)
    assert result.partial is None
    assert (result.lost, result.crc_errors) == (0, 0)
    assert result.samples.shape == (12, round(seconds * result.fs))
    assert not (result.samples == MISSING).any()
    one, two, three, right, left, foot = result.samples[:6].astype(np.int64)
    np.testing.assert_array_equal(three, two - one)
    np.testing.assert_array_equal(right + left + foot, 0)


async def test_its_clock_is_that_of_a_crystal(kit: Bench):
    ratio = (await kit.driver.record(4.0)).clock_ratio
    assert ratio is not None
    # A virtual kit's clock slips where this machine has no processor for it; a real one's is within 1 %.
    assert ratio > 0
    assert not kit.real or abs(ratio - 1) < 0.01
