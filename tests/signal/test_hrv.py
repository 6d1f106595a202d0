"""Heart rate variability: definitions, bands, what is left out; neurokit2's figures on the same series."""

from __future__ import annotations

import math

import naive_ambulatory as naive
import numpy as np
import pytest
from feldsher_signal import hrv
from numpy.typing import NDArray

# Made by neurokit2 0.2.13 (hrv_time, hrv_frequency with Welch) of `_series(1400, seed, lf, hf, noise)`, 23 November
# 2026: mean NN, SDNN, RMSSD, pNN50, triangular index, LF, HF.
PEER = {
    (1, 30, 20, 5): (849.124, 25.978, 22.801, 0.571, 8.14, 470.9, 196.7),
    (2, 15, 45, 10): (848.406, 34.786, 44.411, 31.643, 10.769, 131.9, 984.9),
    (3, 60, 10, 0): (848.006, 42.988, 24.240, 0.0, 10.37, 1798.3, 49.0),
    (4, 0, 0, 40): (849.779, 40.662, 57.952, 38.143, 10.145, 337.3, 620.8),
}


def _series(n: int, seed: int, lf: float, hf: float, noise: float) -> NDArray[np.int64]:
    """Return R peaks at 1,000/s whose intervals swing at 0.10 and 0.27 Hz by `lf` and `hf` ms, and by chance."""
    rng, t, out = np.random.default_rng(seed), 0.0, [0.0]
    for _ in range(n):
        low, high = math.sin(2 * math.pi * 0.1 * t), math.sin(2 * math.pi * 0.27 * t)
        rr = 850 + lf * low + hf * high + noise * rng.normal()
        out.append(out[-1] + rr)
        t += rr / 1000
    return np.round(np.array(out)).astype(np.int64)


def _intervals(r: NDArray[np.int64], normal: NDArray[np.bool_] | None = None) -> hrv.Intervals:
    every = np.ones(r.shape[0], np.bool_)
    return hrv.normal_intervals(r, every if normal is None else normal, every[1:], 1000.0)


@pytest.mark.parametrize("made", list(PEER))
def test_as_neurokit2(made: tuple[int, int, int, int]) -> None:
    r = _series(1400, *made)
    found = hrv.variability(_intervals(r), r.shape[0])
    mean, sdnn, rmssd, pnn50, triangular, lf, hf = PEER[made]
    assert (found.mean_nn, found.sdnn, found.rmssd) == pytest.approx((mean, sdnn, rmssd), abs=0.001)
    # neurokit2 divides by the intervals, not by their differences.
    assert found.pnn50 == pytest.approx(pnn50, abs=0.05)
    assert found.triangular == pytest.approx(triangular, abs=0.001)
    assert (found.lf, found.hf) == pytest.approx((lf, hf), rel=0.16)


def test_bands_hold_half_the_squared_amplitude() -> None:
    found = hrv.variability(_intervals(_series(2000, 0, 40, 20, 0)), 2000)
    assert found.segments == 5
    assert (found.lf, found.hf) == pytest.approx((800, 200), rel=0.05)
    assert found.lf is not None
    assert found.hf is not None
    assert found.lf_hf == pytest.approx(found.lf / found.hf)
    assert (found.lf_nu or 0) + (found.hf_nu or 0) == pytest.approx(100)


def test_spectrum_is_the_plain_one() -> None:
    rng = np.random.default_rng(5)
    times = [np.sort(rng.uniform(0, 300, n)) for n in (40, 1, 25)]
    values = [rng.normal(0, 30, t.size) for t in times]
    edges = np.concatenate([[0], np.cumsum([t.size for t in times])]).astype(np.int64)
    power = np.empty((3, 60))
    hrv.spectra(np.concatenate(times), np.concatenate(values), edges, 300.0, power)
    for j in range(3):
        expected = [naive.lomb(times[j].tolist(), values[j].tolist(), k / 300) for k in range(1, 61)]
        assert power[j].tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_long_term_measures() -> None:
    """Two levels of an hour each: all of the spread is between the five-minute means."""
    r = np.cumsum(np.concatenate([[0], np.full(4000, 900), np.full(4500, 800)])).astype(np.int64)
    found = hrv.variability(_intervals(r), r.shape[0])
    means = [900] * 12 + [800] * 12
    assert found.sdann == pytest.approx(np.std(means, ddof=1), abs=3)
    assert found.sdnn_index is not None
    assert found.sdnn_index < 5


def test_ectopic_beats_and_gaps_are_left_out() -> None:
    r = _series(600, 1, 20, 20, 0)
    moved = r.copy()
    normal = np.ones(r.shape[0], np.bool_)
    for k in range(50, 600, 60):
        moved[k] -= 300
        normal[k] = False
    plain = hrv.variability(_intervals(r), r.shape[0])
    cleaned = hrv.variability(_intervals(moved, normal), r.shape[0])
    assert cleaned.intervals == plain.intervals - 20
    assert (cleaned.sdnn, cleaned.rmssd) == pytest.approx((plain.sdnn, plain.rmssd), rel=0.02)
    # The same beats unmarked are caught as strays, all but their neighbours' joins.
    caught = hrv.variability(_intervals(moved), r.shape[0])
    assert caught.rmssd == pytest.approx(plain.rmssd, rel=0.05)
    whole = np.ones(r.shape[0] - 1, np.bool_)
    whole[100:200] = False
    gapped = hrv.normal_intervals(r, r >= 0, whole, 1000.0)
    assert gapped.ms.size == r.shape[0] - 1 - 100
    assert (~gapped.joined).sum() == 2


@pytest.mark.parametrize("beats", [0, 1, 2, 3, 40])
def test_little_gives_little_and_never_nan(beats: int) -> None:
    found = hrv.variability(_intervals((np.arange(beats) * 800).astype(np.int64)), beats)
    assert found.intervals == max(beats - 1, 0)
    assert found.segments == 0
    assert found.lf is None
    values = [getattr(found, name) for name in found.__struct_fields__]
    assert all(value is None or math.isfinite(value) for value in values)
