"""Is it atrial fibrillation? Intervals and atrial waves of some thirty beats, weighed by a learned model that says why.

Intervals are judged as in Dash 2009 (turning points), Lake and Moorman 2011 (sample entropy) and Lian 2011 (spread),
but one that a ventricular beat begins or ends is left out, and a rhythm that repeats itself every second or third beat
counts against fibrillation (`again_2`, `again_3`), and so does a share of beats that cannot be told from what lies
between them (`unclear`). The weights come from benchmarks/train_rhythm.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import model, order
from feldsher_signal.between import Atria
from feldsher_signal.jit import inner, kernel
from feldsher_signal.stretch import stretches

WINDOW_BEATS, STRIDE = 30, 10
"""Beats in a window (Petrėnas 2015 and Zhou 2015 need about 60, Lake & Moorman 2011 12) and between windows."""
LEAST_BEATS, WHOLE_BEATS = 6, 130
"""A recording of fewer beats is not judged; one of up to so many is judged as a whole."""
STATED, STAYS, SHORTEST = 0.4, 0.2, 10
"""Probability from which fibrillation is stated, under which an episode ends, and an episode's fewest beats."""
FEATURES = (
    "irregular",
    "cluster",
    "again_1",
    "again_2",
    "again_3",
    "turns",
    "entropy",
    "fast",
    "p_like",
    "p_seen",
    "p_clear",
    "period",
    "rate",
    "ectopic",
    "ventricular",
    "rough",
    "unclear",
)
ALIKE_PART, SAME_PART = 0.06, 0.06
"""Intervals this close, as a part of the median, are of one cluster, and match each other in the sample entropy."""
ENTROPY_MOST, FAST = 2.0, 100.0
"""A short strip without matches says no more than this; over this rate (per minute) all intervals even out."""
_SAID = {
    "irregular": "intervals change by {:.0f} % from beat to beat",
    "cluster": "{:.0f} % of the intervals within 6 % of each other",
    "again_1": "an interval resembles the one before by {:.2f}",
    "again_2": "an interval resembles the second before by {:.2f}",
    "again_3": "an interval resembles the third before by {:.2f}",
    "turns": "{:.0f} % of the intervals turn (66 % by chance)",
    "entropy": "sample entropy of the intervals {:.1f}",
    "fast": "{:.0f}/min over 100",
    "p_like": "likeness of what precedes the QRS {:.2f}",
    "p_seen": "P wave before {:.0f} % of the beats",
    "p_clear": "mean P wave {:.1f} times what differs from beat to beat",
    "period": "atrial waves of one period: {:.2f}",
    "rate": "rate {:.0f}/min",
    "ectopic": "{:.0f} % early beats",
    "ventricular": "{:.0f} % ventricular beats",
    "rough": "roughness {:.1f} % of the QRS",
    "unclear": "{:.0f} % of the beats not told apart from what lies between them",
}


@inner
def _middle(v: NDArray[np.float64], n: int) -> float:
    """Return the median of the first n values, sorting them in place; NaN of none."""
    if n == 0:
        return math.nan
    for i in range(1, n):
        x, j = v[i], i
        while j > 0 and v[j - 1] > x:
            v[j] = v[j - 1]
            j -= 1
        v[j] = x
    return 0.5 * (v[(n - 1) // 2] + v[n // 2])


@inner
def _again(v: NDArray[np.float64], n: int, lag: int, usual: float) -> float:
    """Return how well intervals resemble those `lag` before them, −1 … 1, extremes cut at 30 % of the usual."""
    both, own, cut = 0.0, 0.0, 0.3 * usual
    for i in range(n):
        a = min(max(v[i] - usual, -cut), cut)
        own += a * a
        if i >= lag:
            both += a * min(max(v[i - lag] - usual, -cut), cut)
    return both / own if own > 0 else 0.0


@inner
def _entropy(v: NDArray[np.float64], n: int, near: float) -> float:
    """Return the sample entropy (m = 1) of n intervals, matches nearer than `near`; one of half a match at most."""
    one, two = 0, 0
    for i in range(n - 1):
        for j in range(i + 1, n - 1):
            if abs(v[i] - v[j]) < near:
                one += 1
                two += abs(v[i + 1] - v[j + 1]) < near
    return math.log(max(one, 1.0) / max(two, 0.25))


@inner
def _intervals(
    rr: NDArray[np.float64],
    change: NDArray[np.float64],
    v_beat: NDArray[np.bool_],
    a: int,
    b: int,
    v: NDArray[np.float64],
    w: NDArray[np.float64],
    out: NDArray[np.float64],
) -> float:
    """Write the first eight features of beats a … b−1; return their median interval."""
    n, total = b - a - 1, 0.0
    for i in range(n):
        v[i] = rr[a + 1 + i]
        w[i] = v[i]
        total += v[i]
    usual = _middle(w, n)
    out[2] = abs(_again(v, n, 1, usual))
    out[3], out[4] = max(_again(v, n, 2, usual), 0.0), max(_again(v, n, 3, usual), 0.0)
    turned = 0
    for i in range(1, n - 1):
        turned += (v[i] - v[i - 1]) * (v[i + 1] - v[i]) < 0
    out[5] = turned / (n - 2) if n > 2 else math.nan
    out[6] = min(_entropy(v, n, SAME_PART * usual), ENTROPY_MOST)
    out[7] = max(60.0 * n / total - FAST, 0.0)
    count = 0
    for k in range(a + 2, b):
        if not (v_beat[k] or v_beat[k - 1] or v_beat[k - 2]):
            w[count] = change[k]
            count += 1
    out[0] = math.log(0.01 + _middle(w, count) / usual) if count >= 3 else math.nan
    count = 0
    for k in range(a + 1, b):
        if not (v_beat[k] or v_beat[k - 1]):
            w[count] = rr[k]
            count += 1
    if count < 4:
        count = n
        w[:n] = v[:n]
    _middle(w, count)
    most, first = 0, 0
    for i in range(count):
        while w[i] - w[first] > ALIKE_PART * usual:
            first += 1
        most = max(most, i - first + 1)
    out[1] = most / count
    return total / n


@inner
def _clear(before: NDArray[np.float64], ectopic: NDArray[np.bool_], a: int, b: int, w: NDArray[np.float64]) -> float:
    """Return the mean P wave's height over the median RMS of what differs from it; NaN of fewer than three beats."""
    points, count = before.shape[1], 0
    mean = np.zeros(points)
    for k in range(a, b):
        if not ectopic[k] and not math.isnan(before[k, 0]):
            count += 1
            for i in range(points):
                mean[i] += before[k, i]
    if count < 3:
        return math.nan
    low, high = math.inf, -math.inf
    for i in range(points):
        mean[i] /= count
        low, high = min(low, mean[i]), max(high, mean[i])
    count = 0
    for k in range(a, b):
        if not ectopic[k] and not math.isnan(before[k, 0]):
            total = 0.0
            for i in range(points):
                d = before[k, i] - mean[i]
                total += d * d
            w[count] = math.sqrt(total / points)
            count += 1
    return (high - low) / max(_middle(w, count), 1e-3)


@inner
def _period(same: NDArray[np.float64], size: NDArray[np.float64], a: int, b: int) -> float:
    """Return the highest peak of the autocorrelation over the beats' TQ stretches; NaN where none was long enough."""
    lags = same.shape[1]
    best, seen = 0.0, False
    one, two, three = 0.0, 0.0, 0.0
    for j in range(lags):
        both, own = 0.0, 0.0
        for k in range(a, b):
            both += same[k, j]
            own += size[k, j]
        one, two, three = two, three, both / own if own > 0 else 0.0
        seen |= own > 0
        if j >= 2 and two >= one and two > three:
            best = max(best, two)
    return best if seen else math.nan


@inner
def _waves(
    before: NDArray[np.float64],
    same: NDArray[np.float64],
    size: NDArray[np.float64],
    rough: NDArray[np.float64],
    qrs: NDArray[np.float64],
    ectopic: NDArray[np.bool_],
    a: int,
    b: int,
    w: NDArray[np.float64],
    f: NDArray[np.float64],
) -> None:
    """Write what the atria's waves say: the clearest P, the best period and the least roughness of any lead."""
    f[10], f[11], f[15] = math.nan, math.nan, math.nan
    for lead in range(before.shape[0]):
        clear = _clear(before[lead], ectopic, a, b, w)
        if not math.isnan(clear) and not f[10] >= math.log(0.5 + clear):
            f[10] = math.log(0.5 + clear)
        period = _period(same[lead], size[lead], a, b)
        if not math.isnan(period) and not f[11] >= period:
            f[11] = period
        count = 0
        for k in range(a, b):
            if not math.isnan(rough[lead, k]):
                w[count] = rough[lead, k] / max(qrs[lead, k], 1.0)
                count += 1
        noise = math.log(0.002 + _middle(w, count)) if count else math.nan
        if not math.isnan(noise) and not f[15] <= noise:
            f[15] = noise


@kernel(
    "void(i8[:,::1], f8[::1], f8[::1], b1[::1], b1[::1], f8[::1], b1[::1], f8[:,:,::1], f8[:,:,::1], f8[:,:,::1],"
    " f8[:,::1], f8[:,::1], f8[:,::1])"
)
def weigh(
    windows: NDArray[np.int64],
    rr: NDArray[np.float64],
    change: NDArray[np.float64],
    ectopic: NDArray[np.bool_],
    v_beat: NDArray[np.bool_],
    like: NDArray[np.float64],
    seen: NDArray[np.bool_],
    before: NDArray[np.float64],
    same: NDArray[np.float64],
    size: NDArray[np.float64],
    rough: NDArray[np.float64],
    qrs: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write the FEATURES but the last of each window (first beat, one past it); NaN where there is nothing to judge by.

    `rr`, `change`: s, of each beat's interval before it and its change from the one before; the rest as in Atria.
    """
    longest = 0
    for row in range(windows.shape[0]):
        longest = max(longest, windows[row, 1] - windows[row, 0])
    v, w = np.empty(longest), np.empty(longest)
    for row in range(windows.shape[0]):
        a, b = windows[row, 0], windows[row, 1]
        f = out[row]
        mean_rr = _intervals(rr, change, v_beat, a, b, v, w, f)
        count, p, early, wide = 0, 0, 0, 0
        for k in range(a, b):
            early += ectopic[k]
            wide += v_beat[k]
            if not ectopic[k]:
                w[count] = like[k]
                count += 1
                p += seen[k]
        f[8] = _middle(w, count)
        f[9] = p / count if count else math.nan
        _waves(before, same, size, rough, qrs, ectopic, a, b, w, f)
        f[12] = 60.0 / mean_rr
        f[13], f[14] = early / (b - a), wide / (b - a)


def windows(beats: int) -> NDArray[np.int64]:
    """Return the windows (count, 2) over `beats` beats: one alone up to WHOLE_BEATS, else one every STRIDE beats."""
    if beats <= WHOLE_BEATS:
        return np.array([[0, beats]], np.int64) if beats >= LEAST_BEATS else np.empty((0, 2), np.int64)
    count = math.ceil((beats - WINDOW_BEATS) / STRIDE) + 1
    first = np.arange(count) * (beats - WINDOW_BEATS) // (count - 1)
    return np.stack([first, first + WINDOW_BEATS], axis=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of every beat: R peaks and QRS onsets (−1 = none) in samples at `fs`, early and ventricular ones.

    `unclear`: beats where complexes cannot be told from what lies between them (clarity.py): their intervals say less;
    `like`, `seen`: P evidence (presence.py); `atria`: what lies between the beats.
    """

    fs: float
    r: NDArray[np.int64]
    on: NDArray[np.int64]
    ectopic: NDArray[np.bool_]
    ventricular: NDArray[np.bool_]
    unclear: NDArray[np.bool_]
    like: NDArray[np.float64]
    seen: NDArray[np.bool_]
    atria: Atria


def features(at: NDArray[np.int64], known: Known) -> NDArray[np.float64]:
    """Return the FEATURES (windows, k) of the windows `at`.

    Of an interval's change between R peaks and that between onsets the smaller counts: an R peak that jumps between two
    waves of one complex is no irregularity.
    """
    r, fs, atria = known.r, known.fs, known.atria
    rr, change = np.zeros(r.shape[0]), np.zeros(r.shape[0])
    rr[1:] = order.steps(r) / fs
    edge = np.where(known.on >= 0, known.on, r)
    change[2:] = np.minimum(np.abs(order.steps(order.steps(r))), np.abs(order.steps(order.steps(edge)))) / fs
    out = np.empty((at.shape[0], len(FEATURES)))
    beats = (rr, change, known.ectopic, known.ventricular, known.like, known.seen)
    weigh(np.ascontiguousarray(at), *beats, atria.before, atria.same, atria.size, atria.rough, atria.qrs, out)
    sums = np.concatenate([[0], np.cumsum(known.unclear)])
    out[:, FEATURES.index("unclear")] = (sums[at[:, 1]] - sums[at[:, 0]]) / (at[:, 1] - at[:, 0])
    return out


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely fibrillation is: by beat, the highest of it, the FEATURES of every window, the likeliest window."""

    beat: NDArray[np.float64]
    most: float
    rows: NDArray[np.float64]
    likeliest: int = 0

    def spans(self) -> list[tuple[int, int]]:
        """Return the stretches of beats (first, one past the last) held to be fibrillation.

        A stretch goes as far as STAYS holds and must reach STATED somewhere; interruptions and stretches of fewer than
        SHORTEST beats are passed over.
        """
        low = stretches(self.beat >= STAYS)
        kept = [(a, b) for a, b in low if self.beat[a:b].max() >= STATED]
        joined: list[tuple[int, int]] = []
        for a, b in kept:
            if joined and a - joined[-1][1] < SHORTEST:
                joined[-1] = (joined[-1][0], b)
            else:
                joined.append((a, b))
        return [(a, b) for a, b in joined if b - a >= min(SHORTEST, self.beat.shape[0])]


def chance(known: Known) -> Chance:
    """Return the chance of fibrillation; a beat's is the mean of the windows it is in."""
    beats = known.r.shape[0]
    at = windows(beats)
    if not at.shape[0]:
        return Chance(np.zeros((beats,)), 0.0, np.empty((0, len(FEATURES))))
    x = features(at, known)
    p = model.load("fibrillation", FEATURES).probability(x)
    step, count = np.zeros(beats + 1), np.zeros(beats + 1)
    for edge, sign in ((at[:, 0], 1.0), (at[:, 1], -1.0)):
        step += np.bincount(edge, sign * p, beats + 1)
        count += sign * np.bincount(edge, minlength=beats + 1)
    beat = (np.cumsum(step) / np.maximum(np.cumsum(count), 1.0)).astype(np.float64)[:-1]
    return Chance(beat, float(beat.max()), x, int(p.argmax()))


def score(p: float) -> float:
    """Return a probability as a score that is 0.5 at STATED."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return p * (1 - STATED) / (p * (1 - STATED) + (1 - p) * STATED)


def because(found: Chance, most: int = 3) -> tuple[str, ...]:
    """Return the numbers that spoke most for fibrillation where it is likeliest."""
    moved = model.load("fibrillation", FEATURES).reasons(found.rows[found.likeliest], len(FEATURES))
    told = {name: found.rows[found.likeliest, FEATURES.index(name)] for name, by in moved if by > 0}
    words = [_SAID[name].format(_shown(name, float(v))) for name, v in told.items() if not math.isnan(v)]
    return (f"probability {100 * found.most:.0f} % (learned)", *words[:most])


def _shown(name: str, v: float) -> float:
    """Return a feature's value as it is said."""
    if name in ("cluster", "turns", "p_seen", "ectopic", "ventricular", "unclear"):
        return 100 * v
    offset = {"irregular": 0.01, "p_clear": 0.5, "rough": 0.002}.get(name)
    if offset is None:
        return v
    return (1.0 if name == "p_clear" else 100.0) * (math.exp(v) - offset)
