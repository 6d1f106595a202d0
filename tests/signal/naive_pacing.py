"""Slow, obvious oracles of pacing's kernels."""

from __future__ import annotations

import numpy as np
from feldsher_signal import pacing
from numpy.typing import NDArray


def sharpness(x: NDArray[np.float32], lead_on: list[bool], reach: int) -> list[float]:
    """Return the mean squared height over the line between neighbours; 0 where one is missing."""
    leads = [lead for lead, on in enumerate(lead_on) if on]
    out: list[float] = []
    for i in range(x.shape[1]):
        inside = reach <= i < x.shape[1] - reach
        heights = (
            [float(x[k, i]) - 0.5 * (float(x[k, i - reach]) + float(x[k, i + reach])) for k in leads]
            if inside
            else [0.0]
        )
        out.append(sum(h * h for h in heights) / max(len(leads), 1))
    return out


def pick(narrow: list[float], broad: list[float], near: int, far: int, about: int) -> list[int]:
    """Return the samples that stand out, by the words of the rule."""
    out: list[int] = []
    for i in range(far, len(narrow) - far):
        height = narrow[i]
        tops = height > pacing.LEAST_UV**2 and height >= max(narrow[i - near : i + near + 1])
        before, after = max([1.0, *narrow[i - far : i - near]]), max([1.0, *narrow[i + near : i + far]])
        clear = height > pacing.BEFORE_TIMES**2 * before and height > pacing.AFTER_TIMES**2 * after
        sharp = height > pacing.SHARP**2 * max([1.0, *broad[i - about : i + about + 1]])
        if tops and clear and sharp and not (out and i <= out[-1] + near):
            out.append(i)
    return out
