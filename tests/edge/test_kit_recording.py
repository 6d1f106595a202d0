import numpy as np
import pytest
from feldsher_edge.devices.kit_recording import put, signals
from feldsher_edge.devices.track import Track
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import frame

IDENTITY = frame.Identity("1", "1.0", rate=500, gain=6)


def data(counter: int, off: int = 0) -> bytes:
    return frame.pack_data(counter, frame.pack_afe(off, [counter * 8 + channel for channel in range(8)]))


def test_what_a_kit_measures_follows_from_what_it_says_of_itself():
    it = signals(IDENTITY)
    assert (it.fs, it.leads.names, it.round_) == (500.0, STANDARD_LEADS, 0)
    assert it.leads.scales[0] == IDENTITY.uv_per_bit()


def test_a_frame_lies_at_its_counter_with_its_electrodes():
    track = Track("kit-1", signals(IDENTITY), 3, VirtualClock())
    off = 1 << frame.ELECTRODES.index("V3")
    for counter in (0, 2):
        put(track, data(counter, off))
    result = track.result(counted=3, errors=0, partial=None)
    assert (result.lost, result.lead_off) == (1, ("V3",))
    np.testing.assert_array_equal(result.samples[6:, 2], [18, 19, 20, 21, 22, 23])


def test_a_payload_that_is_none_is_refused():
    track = Track("kit-1", signals(IDENTITY), 3, VirtualClock())
    with pytest.raises(frame.FrameError, match="status"):
        put(track, bytes(31))
    assert track.received == 0
