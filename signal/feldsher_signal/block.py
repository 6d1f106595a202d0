"""Beats that do not come: dropped beats."""

from __future__ import annotations

import numpy as np

from feldsher_signal import order
from feldsher_signal.findings import Findings, Verdict

DOUBLE = (1.75, 2.2)
"""An interval of about two: a beat not conducted, or a sinus exit block (AHA/ACC/HRS 2007 part II)."""
STEADY = 0.06
"""Median distance of the intervals from the usual one, as a part of it, up to which a rhythm is steady: house rule."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on dropped beats."""
    return [_dropped(f)]


def _dropped(f: Findings) -> Verdict:
    """Return whether single intervals are about twice the usual one, as when a beat is not conducted."""
    rr = np.diff(f.r).astype(np.float64)
    usual = order.median(rr)
    normal = f.letters == ord("N")
    clean = normal[1:] & normal[:-1]
    steady = order.median(np.abs(rr - usual)) < STEADY * usual
    ratio = rr[clean & (rr > 1.5 * usual)] / usual
    found = int(np.sum((ratio > DOUBLE[0]) & (ratio < DOUBLE[1]))) if steady else 0
    because = (f"{found} of {rr.shape[0]} intervals about twice the usual {1000 * usual / f.fs:.0f} ms",)
    return Verdict("DROP", 0.8 if found else 0.0, found > 0, because, "possible")
