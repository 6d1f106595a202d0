"""Slow, obvious oracles of the kernels that find beats: envelope, leads, qrs, fiducial, clarity, stream, quality."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import naive
import numpy as np
from naive import Samples
from numpy.typing import NDArray


def slopes(x: Samples, step: int, sections: NDArray[np.float64]) -> list[float]:
    """Take means over `step` samples (the last where one is missing), less the first; filter; difference over two."""
    means: list[float] = []
    for a in range(0, len(x) // step * step, step):
        mean = math.fsum(float(v) for v in x[a : a + step]) / step
        means.append(mean if not math.isnan(mean) else (means[-1] if means else math.nan))
    start = next((i for i, v in enumerate(means) if not math.isnan(v)), len(means))
    y = naive.cascade([v - means[start] for v in means[start:]], sections)
    return [0.0] * start + [v - (y[i - 2] if i > 1 else 0.0) for i, v in enumerate(y)]


def weights(energy: NDArray[np.float64], width: int, most: float, high_part: float) -> tuple[list[float], list[float]]:
    """Return each lead's share and 1 / QRS energy from its pieces of `width` steps."""
    ratio: list[float] = []
    gain: list[float] = []
    for row in energy.tolist():
        pieces = sorted(math.fsum(row[a : a + width]) for a in range(0, len(row) // width * width, width))
        high = pieces[min(int(high_part * len(pieces)), len(pieces) - 1)]
        ratio.append(min(high / max(pieces[len(pieces) // 2], 1e-6 * high), most) if high > 0 else 0.0)
        gain.append(1 / high if high > 0 else 0.0)
    return [v / math.fsum(ratio) if math.fsum(ratio) > 0 else 0.0 for v in ratio], gain


def together(energy: Sequence[float], on: Sequence[bool], weight: Sequence[float], gain: Sequence[float]) -> float:
    """Return the power mean of exponent 1/8 of the leads that are on."""
    said = [(w, max(e, 0.0) * g) for e, o, w, g in zip(energy, on, weight, gain, strict=True) if o]
    whole = math.fsum(w for w, _ in said)
    return (math.fsum(w * v**0.125 for w, v in said) / whole) ** 8 if whole > 0 else 0.0


class Judge:
    """The rules of qrs.judge one by one: `beats` holds numbers of candidates."""

    def __init__(self, level: float, rate: float) -> None:
        self.signal, self.noise, self.rr = [level] * 8, [0.1 * level] * 8, [0.8 * rate] * 8
        self.beats: list[int] = []
        self.rate, self.pending = rate, 0

    def accept(self, i: int, at: Sequence[int], height: Sequence[float], limit: float) -> None:
        """Take candidate i as a beat."""
        if self.beats:
            interval = min(max(at[i] - at[self.beats[-1]], 0.3 * self.rate), 2 * self.rate)
            self.rr = [*self.rr[1:], interval]
        self.beats.append(i)
        self.signal = [*self.signal[1:], min(height[i], limit)]
        self.pending = i + 1

    def search_back(self, i: int, at: Sequence[int], height: Sequence[float], least: float) -> bool:
        """Take the highest (first) candidate of the pause before candidate i that is high enough."""
        last = at[self.beats[-1]]
        fit = [
            j
            for j in range(self.pending, i)
            if at[i] - at[j] <= 8 * self.rate
            and at[j] - last > 0.36 * self.rate
            and at[i] - at[j] > 0.25 * self.rate
            and height[j] >= least
        ]
        if not fit:
            return False
        best = max(fit, key=lambda j: (height[j], -j))
        self.accept(best, at, height, height[best])
        return True

    def take(self, i: int, at: Sequence[int], height: Sequence[float]) -> None:
        """Decide candidate i."""
        signal, noise = statistics.median(self.signal), statistics.median(self.noise)
        threshold = noise + 0.32 * (signal - noise)
        pause = 1.6 * statistics.median(self.rr)
        while self.beats and at[i] - at[self.beats[-1]] > pause and self.search_back(i, at, height, 0.5 * threshold):
            pass
        h = height[i]
        if self.beats:
            gap, last = at[i] - at[self.beats[-1]], height[self.beats[-1]]
            was_p_wave = gap <= 0.28 * self.rate and last < 0.65 * h and h > threshold
            if was_p_wave or (gap <= 0.25 * self.rate and h > last):
                self.beats[-1], self.pending = i, i + 1
                self.signal = [*self.signal[:-1], min(h, 2 * signal)]
                return
            if gap <= 0.25 * self.rate or (gap < 0.36 * self.rate and h < 0.4 * last):
                self.noise = [*self.noise[1:], h]
                return
        if h > threshold:
            self.accept(i, at, height, 2 * signal)
        else:
            self.noise = [*self.noise[1:], h]


def wave(x: Samples, first: int, last: int, narrow: int, wide: int, upright: float) -> int:
    """Return the sample whose narrow mean differs most from its wide mean, upright ones counting more."""

    def by(i: int) -> float:
        near = statistics.fmean(float(v) for v in x[max(i - narrow, 0) : i + narrow + 1])
        d = near - statistics.fmean(float(v) for v in x[max(i - wide, 0) : i + wide + 1])
        return upright * d if d > 0 else -d

    return max(range(first, last + 1), key=by)


def likeness(shapes: NDArray[np.float32], neighbours: int, shifts: int) -> list[list[float]]:
    """Return for each beat and lead the best correlation with any neighbour at any shift."""
    beats, leads, length = shapes.shape
    out: list[list[float]] = []
    for k in range(beats):
        row: list[float] = []
        for lead in range(leads):
            mine, best = shapes[k, lead, shifts : length - shifts].astype(float), -1.0
            for j in range(max(k - neighbours, 0), min(k + neighbours + 1, beats)):
                for shift in range(-shifts, shifts + 1):
                    other = shapes[j, lead, shifts + shift : length - shifts + shift].astype(float)
                    size = float(np.linalg.norm(mine) * np.linalg.norm(other))
                    if j != k:
                        best = max(best, float(mine @ other) / size if size > 0 else 0.0)
            row.append(best if beats > 1 else 1.0)
        out.append(row)
    return out


def doubt(beats: Sequence[tuple[int, float, float]], peaks: Sequence[tuple[int, float]], a: int, b: int) -> float:
    """Return the doubt of a … b−1 from beats (at, height, likeness) and candidate peaks (at, height)."""
    inside = [beat for beat in beats if a <= beat[0] < b]
    taken = {at for at, _, _ in beats}
    others = [h for at, h in peaks if a <= at < b and at not in taken]
    near = inside
    if not near and beats:
        later = [beat for beat in beats if beat[0] >= a]
        near = later[:1] or list(beats[-1:])
    level = statistics.median(h for _, h, _ in near) if near else 0.0
    out = -7.0
    if others and level > 0:
        out = math.log(max(math.sqrt(math.fsum(h * h for h in others) / len(others)) / level, 1e-3))
    if len(inside) >= 3:
        out += 10 * (1 - statistics.median(like for _, _, like in inside))
    return out


def rail_share(x: Samples, run: int, limit: float) -> float:
    """Return the share of samples in runs of equal values at an end of the range and far from the median, or on it."""
    values = [float(v) for v in x if not math.isnan(v)]
    if not values or max(values) - min(values) <= limit:
        return 0.0
    some = sorted(v for v in x[:: max(len(x) // 50, 1)] if not math.isnan(v))
    middle = some[len(some) // 2] if some else math.nan
    rows: list[list[float]] = []
    for v in x:
        if rows and rows[-1][0] == v:
            rows[-1].append(float(v))
        else:
            rows.append([float(v)])
    ends = (min(values), max(values))
    far = [r for r in rows if len(r) >= run and r[0] in ends and (r[0] == middle or abs(r[0] - middle) > limit)]
    return sum(len(row) for row in far) / len(x)


def rough(x: Samples, piece: int, half: int) -> float:
    """Return the (upper) median over pieces of the RMS of the signal about its moving mean."""
    found: list[float] = []
    for a in range(0, max(len(x) // piece, 1) * piece, piece):
        squares: list[float] = []
        for i in range(max(a, half), min(a + piece, len(x) - half)):
            around = [float(v) for v in x[i - half : i + half + 1]]
            if not any(math.isnan(v) for v in around):
                squares.append((float(x[i]) - statistics.fmean(around)) ** 2)
        found.append(math.sqrt(statistics.fmean(squares)) if squares else 0.0)
    return sorted(found)[len(found) // 2]


def held(x: Samples, last: float) -> list[float]:
    """Return a signal in which a missing sample repeats the one before."""
    out: list[float] = []
    for v in x:
        out.append(float(v) if not math.isnan(v) else (out[-1] if out else last))
    return out
