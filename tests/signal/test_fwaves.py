"""Flutter waves: the kernel against its slow twin, the period of waves that are there, none where others repeat."""

from __future__ import annotations

import math

import naive_rhythm
import numpy as np
import pytest
from feldsher_signal import fwaves
from feldsher_signal.contour import prefix_sums
from feldsher_signal.jit import warm
from numpy.typing import NDArray

FS = 500.0
ROWS = np.array([0, 1])


def waves(period: float, r: NDArray[np.int64], seconds: float = 10.0) -> fwaves.FWaves | None:
    warm()
    t = np.arange(int(seconds * FS)) / FS
    x = np.stack([100 * np.sin(2 * math.pi * t / period), 60 * np.cos(2 * math.pi * t / period)])
    x[:, r] += 900  # what the QRS complexes hold does not count
    return fwaves.find(prefix_sums(x.astype(np.float32)), FS, ROWS, r, np.zeros(r.shape, np.bool_))


def test_repeats_as_the_slow_twin() -> None:
    warm()
    rng = np.random.default_rng(5)
    x = rng.normal(0, 100, (2, 1003)).astype(np.float32)
    seen = rng.random(250) < 0.8
    out, rms = np.empty(30), np.empty(2)
    fwaves.repeats(prefix_sums(x), ROWS, seen, 4, 12, 21, out, rms)
    expected, size = naive_rhythm.repeats(x, seen, 4, 12, range(21, 51))
    assert out == pytest.approx(expected, abs=1e-6)
    assert rms == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize("period", [0.19, 0.21, 0.25])
@pytest.mark.parametrize("every", [2, 4])
def test_period_and_ratio(period: float, every: int) -> None:
    found = waves(period, (np.arange(0.3, 9.6, every * period) * FS).astype(np.int64))
    assert found is not None
    assert found.period == pytest.approx(period, abs=0.006)
    assert found.ratio == pytest.approx(every, rel=0.04)
    assert found.interval == pytest.approx(every * period, rel=0.01)
    assert found.alike > 0.6
    assert 40 < found.size < 100 / math.sqrt(2) + 2


def test_period_of_no_flutter() -> None:
    found = waves(0.6, np.arange(100, 4800, 300))
    assert found is None or found.alike < 0.1


def test_a_ventricular_beat_and_its_t_wave_do_not_count() -> None:
    warm()
    r = np.arange(300, 4700, 200)
    t = np.arange(5000) / FS
    x = np.zeros((2, 5000))
    for at in r:  # one large wave behind each complex, of a flutter's length
        inside = np.abs(t - at / FS - 0.2) < 0.1
        x[:, inside] += 300 * np.cos(2 * math.pi * (t[inside] - at / FS - 0.2) / 0.2)
    sums = prefix_sums(x.astype(np.float32))
    narrow = fwaves.find(sums, FS, ROWS, r, np.zeros(r.shape, np.bool_))
    wide = fwaves.find(sums, FS, ROWS, r, np.ones(r.shape, np.bool_))
    assert narrow is not None
    assert narrow.size > 50
    assert wide is None or wide.size < 1


def test_too_few_beats_too_long_or_no_leads() -> None:
    assert waves(0.2, np.array([500, 1000])) is None
    assert waves(0.2, np.arange(500, 30000, 400), 61.0) is None
    none = np.empty(0, np.int64)
    assert fwaves.find(np.zeros((2, 5001)), FS, none, np.arange(100, 4800, 300), np.zeros(16, np.bool_)) is None


def test_leads_chosen() -> None:
    leads, every = ("I", "II", "III", "aVF", "V1"), np.ones(5, np.bool_)
    assert fwaves.chosen(leads, every).tolist() == [2, 4]
    assert fwaves.chosen(leads, np.array([True, True, False, False, True])).tolist() == [1, 4]
    assert fwaves.chosen(leads, np.array([True, True, True, True, False])).size == 0
    assert fwaves.chosen(("MLII", "V1"), np.ones(2, np.bool_)).size == 0
