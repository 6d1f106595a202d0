"""The continuous ECG of a virtual Polar belt: started, whole, gone on with after a loss, refused with a reason."""

from itertools import count

import numpy as np
import pytest
from feldsher_edge.ble import polar
from feldsher_edge.ble.polar import Status
from feldsher_edge.devices.profiles import BELT
from feldsher_edge.simulate.ble_bench import BleBench, bench, until
from feldsher_edge.simulate.worn import BELT as BELT_ADDRESS
from feldsher_edge.simulate.worn import StreamingDevice, VirtualPolar
from feldsher_signal.record import MISSING

FRAME = 73
PIECE = 18 * FRAME
PACE = 100.0
"""Belt seconds per second."""


async def belt(it: BleBench, **faults: object) -> VirtualPolar:
    device = VirtualPolar(it.air, count(), pace=PACE, **faults)  # type: ignore[arg-type]
    await device.power_on()
    await device.advertise()
    return device


def passing(it: BleBench, pieces: int) -> bool:
    it.clock.advance(0.01 * PACE)
    return len(it.kept.recordings) >= pieces


def samples(it: BleBench) -> np.ndarray:
    return np.concatenate([piece.samples[0] for piece in it.kept.recordings])


async def test_a_recording_without_a_hole_in_pieces_of_ten_seconds():
    it = await bench()
    device = await belt(it)
    async with it.driver(BELT, ecg=True):
        await until(lambda: passing(it, 3) and device.sent >= 3 * PIECE + 5 * FRAME)
    assert device.starts == 1
    assert not device.on
    found = it.kept.recordings
    assert samples(it).tolist() == list(range(len(samples(it))))
    assert [piece.part for piece in found] == list(range(len(found)))
    assert len({piece.stream for piece in found}) == 1
    assert (found[0].fs, found[0].uv_per_bit, found[0].lost, found[0].partial) == (130.0, (1.0,), 0, None)
    assert found[-1].partial == "the connection ended"
    assert found[0].device == device.address


async def test_frames_lost_in_the_air_are_missing_and_counted():
    it = await bench()
    await belt(it, drops=frozenset({3, 20}))
    async with it.driver(BELT, ecg=True):
        await until(lambda: passing(it, 3))
    whole = samples(it)
    there = whole != MISSING
    assert (whole[there] == np.arange(len(whole))[there]).all()
    assert int((~there).sum()) == 2 * FRAME == sum(piece.lost for piece in it.kept.recordings)


async def test_the_recording_goes_on_after_the_link_was_lost():
    it = await bench()
    device = await belt(it)
    async with it.driver(BELT, ecg=True):
        await until(lambda: passing(it, 1) and device.sent >= PIECE + 5 * FRAME)
        await device.hang_up()
        device.pass_over(130 * 30)
        await until(lambda: device.starts == 2 and passing(it, 4))
    found = it.kept.recordings
    assert len({piece.stream for piece in found}) == 1
    assert [piece.part for piece in found] == list(range(len(found)))
    (broken,) = [i for i, piece in enumerate(found[:-1]) if piece.partial]
    assert found[broken].partial == "the connection ended"
    # What was measured meanwhile is not there, and nothing else is missing.
    steps = np.diff(samples(it))
    assert sorted(set(steps.tolist())) == [1, int(steps.max())]
    assert int(steps.max()) > 130 * 30


async def test_a_stream_that_an_earlier_client_left_running_is_started_anew():
    it = await bench()
    device = await belt(it, already_on=True)
    async with it.driver(BELT, ecg=True):
        await until(lambda: passing(it, 1))
    assert device.starts == 2


async def test_a_stream_that_stops_is_started_again():
    it = await bench()
    device = await belt(it, stops_after=5)
    async with it.driver(BELT, ecg=True, linger_s=0.3):
        await until(lambda: it.clock.advance(0.1) or device.starts >= 2)
    assert it.kept.recordings[0].partial == "the connection ended"
    assert it.kept.recordings[0].samples.shape == (1, 5 * FRAME)


@pytest.mark.parametrize(
    ("status", "why"),
    [(Status.INVALID_MTU, "smaller than the 232 bytes"), (Status.CHARGING, "refuses its ECG: charging")],
)
async def test_a_refusal_is_told(status: Status, why: str):
    it = await bench()
    await belt(it, status=lambda: status)
    async with it.driver(BELT, ecg=True):
        await until(lambda: any(why in (state.detail or "") for state in it.kept.states))
    assert it.kept.recordings == []
    assert it.radio.figures.lost_bonds == 0


async def test_a_belt_without_an_ecg_is_told():
    it = await bench()
    device = StreamingDevice(it.air, "SIM belt", BELT_ADDRESS, 0x180D, 0x2A37, ())
    await device.power_on()
    await device.advertise()
    async with it.driver(BELT, ecg=True):
        await until(lambda: any("offers no ECG" in (state.detail or "") for state in it.kept.states))


async def test_what_the_disk_refuses_is_committed_later():
    it = await bench()
    await belt(it)
    it.kept.disk_full = True
    async with it.driver(BELT, ecg=True):
        await until(lambda: it.clock.advance(0.01 * PACE) or it.kept.refused)
        it.kept.disk_full = False
        # Another piece may be finished before this one is tried again.
        await until(lambda: passing(it, 1) and any(piece.samples[0, 0] == 0 for piece in it.kept.recordings))


def test_the_virtual_belt_answers_what_it_offers():
    offered = {polar.Setting.RATE: (130,), polar.Setting.RESOLUTION: (14,)}
    assert polar.parse_settings(polar.encode_settings(offered)) == offered
