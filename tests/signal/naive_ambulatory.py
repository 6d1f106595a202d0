"""Slow, obvious oracles of what long recordings are reported by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def medians(values: Sequence[float], reach: int) -> list[float]:
    """Return the median of each value and up to `reach` on each side."""
    return [statistics.median(values[max(0, i - reach) : i + reach + 1]) for i in range(len(values))]


def lomb(times: Sequence[float], values: Sequence[float], hertz: float) -> float:
    """Return Lomb's and Scargle's power of one frequency, a sine of amplitude a giving a² / 2 (Press et al., 13.8)."""
    w, n = 2 * math.pi * hertz, len(times)
    tau = math.atan2(sum(math.sin(2 * w * t) for t in times), sum(math.cos(2 * w * t) for t in times)) / (2 * w)
    power = 0.0
    for wave in (math.cos, math.sin):
        both = sum(v * wave(w * (t - tau)) for t, v in zip(times, values, strict=True))
        own = sum(wave(w * (t - tau)) ** 2 for t in times)
        power += 0.5 * both * both / own if own > 1e-9 else 0.0
    return 2 * power / n


def runs(kinds: str, kind: str, whole: Sequence[bool]) -> list[tuple[int, int]]:
    """Return first beat and length of every row of one class, parted where an interval was not seen whole."""
    out: list[tuple[int, int]] = []
    for k, each in enumerate(kinds):
        if each != kind:
            continue
        if out and k > 0 and sum(out[-1]) == k and whole[k - 1]:
            out[-1] = (out[-1][0], out[-1][1] + 1)
        else:
            out.append((k, 1))
    return out


def geminy(kinds: str, kind: str, every: int, whole: Sequence[bool]) -> list[tuple[int, int]]:
    """Return first and last beat of stretches like V N V N V (three times and more), longest possible, by phase."""
    out: list[tuple[int, int]] = []
    for phase in range(every):
        k = phase
        while k < len(kinds):
            last = k
            while (
                kinds[last] == kind
                and last + every < len(kinds)
                and kinds[last + every] == kind
                and all(each == "N" for each in kinds[last + 1 : last + every])
                and all(whole[last : last + every])
            ):
                last += every
            if last - k >= 2 * every:
                out.append((k, last))
            k = max(last, k + every) if last == k else last + every
    return out


def repeats(stretches: Sequence[Sequence[float]], fit: Sequence[bool], points: int, reach: int) -> list[float]:
    """Return each stretch's correlation with the sum of its fit neighbours', the line of each lead taken out."""
    level: list[list[float]] = []
    for row in stretches:
        out: list[float] = []
        for at in range(0, len(row), points):
            part = list(row[at : at + points])
            mean, middle = sum(part) / points, (points - 1) / 2
            tilt = sum((v - mean) * (i - middle) for i, v in enumerate(part)) / sum(
                (i - middle) ** 2 for i in range(points)
            )
            out += [v - mean - tilt * (i - middle) for i, v in enumerate(part)]
        level.append(out)
    found: list[float] = []
    for k, own in enumerate(level):
        near = [j for j in range(max(0, k - reach), min(len(level), k + reach + 1)) if j != k and fit[j]]
        rest = [sum(level[j][i] for j in near) for i in range(len(own))]
        sizes = math.sqrt(sum(v * v for v in own) * sum(v * v for v in rest))
        found.append(sum(a * b for a, b in zip(own, rest, strict=True)) / sizes if sizes > 1e-6 else 0.0)
    return found
