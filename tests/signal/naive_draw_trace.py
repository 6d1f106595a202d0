"""Slow, obvious oracles of draw_trace's kernels."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
from numpy.typing import NDArray

Corners = list[tuple[int, int]]


def held(row: NDArray[np.float32], half: int) -> NDArray[np.float64]:
    """Return one lead less a twofold moving mean over ±`half` samples, ends mirrored, missing samples as level."""
    there = row[~np.isnan(row)]
    middle = float(there.mean(dtype=np.float64)) if there.size else 0.0
    level: list[float] = [0.0 if math.isnan(v) else float(v) - middle for v in row]
    n = len(level)
    for _ in range(2):
        source = level
        level = list[float]()
        for i in range(n):
            window = [abs(k) for k in range(i - half, i + half + 1)]
            window = [max(0, min(k, 2 * (n - 1) - k)) for k in window]
            level.append(sum(source[k] for k in window) / len(window))
    return np.array([float(v) - middle - w for v, w in zip(row, level, strict=True)])


def distance(x: float, y: float, corners: Corners) -> float:
    """Return how far a point lies from a line through corners."""
    if len(corners) == 1:
        return math.hypot(x - corners[0][0], y - corners[0][1])
    best = math.inf
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        dx, dy = bx - ax, by - ay
        size = dx * dx + dy * dy
        part = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / size)) if size else 0.0
        best = min(best, math.hypot(x - ax - part * dx, y - ay - part * dy))
    return best


def svg_runs(data: str) -> list[Corners]:
    """Return the unbroken stretches of SVG path data as absolute corners."""
    out: list[Corners] = []
    for run in data.split("M")[1:]:
        start, _, steps = run.replace("h0", "l").partition("l")
        x, y = (int(each) for each in start.split())
        corners = [(x, y)]
        numbers = [int(each) for each in re.findall(r"-?\d+", steps)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            corners.append((x, y))
        out.append(corners)
    return out


def pdf_runs(data: str) -> list[Corners]:
    """Return the unbroken stretches of PDF path operators as corners."""
    out: list[Corners] = []
    x: str
    y: str
    operator: str
    for x, y, operator in re.findall(r"(-?\d+) (-?\d+) ([ml])", data):
        if operator == "m":
            out.append([])
        out[-1].append((int(x), int(y)))
    return out
