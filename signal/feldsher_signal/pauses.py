"""Is a long interval a pause, or did it hide beats? What lies in it is compared with the QRS complexes around it."""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ambulatory import Event
from numpy.typing import NDArray

from feldsher_signal.ambulatory import Found, Source

HIDES = 0.25
"""Steepest slope within a pause as a part of that of the QRS complexes around it, from which it may hide a beat: on the
shared mitdb 0.07–0.21 in 13 annotated pauses, 0.27–1.8 in 7 of 8 gaps with missed beats (P and T waves are less
steep)."""
SLOPE_S, QRS_S, AROUND = 0.010, 0.12, 4
"""A slope is over twice SLOPE_S; beats reach QRS_S from their R peak; so many beats on each side are compared with."""
MOST = 500
"""Longest pauses that are looked at; in a rhythm that has more, they are the rhythm."""
_ROOM_S = 12.0


def _slopes(x: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Return how steep each lead is at each sample (leads, n), 0 at the ends and where samples are missing."""
    out = np.zeros(x.shape, np.float32)
    out[:, reach:-reach] = np.nan_to_num(np.abs(x[:, 2 * reach :] - x[:, : -2 * reach]))
    return out


def _steepest(slope: NDArray[np.float32], a: int, b: int) -> NDArray[np.float32]:
    """Return each lead's steepest slope in samples a … b−1."""
    a, b = max(a, 0), min(b, slope.shape[1])
    out = np.zeros(slope.shape[0], np.float32)
    return np.max(slope[:, a:b], axis=1, out=out) if b > a else out


def hides(source: Source, r: NDArray[np.int64], k: int) -> bool:
    """Return whether the interval after beat k holds, in any lead, something as steep as HIDES of the QRS around it."""
    fs = source.fs
    near, reach = round(QRS_S * fs), max(round(SLOPE_S * fs), 1)
    first = max(int(r[k]) - round(_ROOM_S * fs), 0)
    x = source.take(first, min(int(r[k + 1]) + round(_ROOM_S * fs), source.n))
    if x.shape[1] <= 2 * reach:
        return False
    slope = _slopes(x, reach)
    around = r[max(k + 1 - AROUND, 0) : k + 1 + AROUND] - first
    around = around[(around >= 0) & (around < x.shape[1])].tolist()
    usual = np.median([_steepest(slope, at - near // 2, at + near // 2) for at in around], axis=0)
    within = _steepest(slope, int(r[k]) - first + near, int(r[k + 1]) - first - near)
    return bool(np.any(within > HIDES * np.maximum(usual, 1.0)))


def sure(found: Found, source: Source, pauses: list[Event]) -> list[Event]:
    """Return the pauses that hide no beat, in order of time; beyond the MOST longest they are believed."""
    longest = sorted(pauses, key=lambda pause: pause.start - pause.end)[:MOST]
    hiding = {pause.start for pause in longest if hides(source, found.r, int(np.searchsorted(found.r, pause.start)))}
    return [pause for pause in pauses if pause.start not in hiding]
