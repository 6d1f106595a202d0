import numpy as np
import pytest
from feldsher_edge.devices.impedance import CURRENT_A, OFF_OHM, PERIOD, SAMPLES, SERIES_OHM, impedances
from feldsher_signal.record import MISSING

UV = 0.0447


def seen(ohms: list[float], mains_uv: float = 0.0, heart_uv: float = 0.0) -> np.ndarray:
    """Return what channels give whose electrodes have these impedances, with mains hum and a slow heart in it."""
    n = np.arange(SAMPLES)
    current = np.cos(2 * np.pi * n / PERIOD + 0.7) * CURRENT_A * 1e6
    other = mains_uv * np.sin(2 * np.pi * 50 * n / 250) + heart_uv * np.sin(2 * np.pi * 1.2 * n / 250) + 20_000
    return np.rint([(current * (ohm + 2 * SERIES_OHM) + other) / UV for ohm in ohms]).astype(np.int32)


def test_an_impedance_is_found_through_hum_and_heart():
    ohms = [5e3, 50e3, 700e3, 10e6]
    found = impedances(seen(ohms, mains_uv=500.0, heart_uv=1000.0), UV)
    assert found == pytest.approx(ohms, rel=0.02, abs=6e3)
    assert (found > OFF_OHM).tolist() == [False, False, False, True]


def test_lost_samples_do_not_matter_until_half_are_lost():
    samples = seen([300e3])
    samples[:, 40:90] = MISSING
    assert impedances(samples, UV) == pytest.approx([300e3], rel=0.1)
    samples[:, 90:200] = MISSING
    assert np.isnan(impedances(samples, UV)).all()
