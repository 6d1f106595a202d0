"""Beats that do not come: AV block of second and third degree, sinus exit block, dropped beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.findings import Findings, Verdict, grade, noisy
from feldsher_signal.ptrain import Train

DOUBLE = (1.75, 2.2)
"""An interval of about two: a beat not conducted, or a sinus exit block (AHA/ACC/HRS 2007 part II)."""
STEADY = 0.06
"""Median distance of the intervals from the usual one, as a part of it, up to which a rhythm is steady: house rule."""
CONDUCTED_S = (0.06, 0.48)
"""From the peak of a P wave to the R peak that it leads to: PR up to about 0.5 s is still conducted: house rule."""
GROWS_S, SAME_S = 0.035, 0.030
"""PR before the block longer than after it by this: Mobitz I (Wenckebach); the same within SAME_S: Mobitz II."""
APART, ESCAPE_RATE, ESCAPE_CV = 0.75, 60.0, 0.10
"""Complete block: P waves and a steady slow ventricular rhythm (ACC/AHA/HRS 2018) that do not keep step (mean resultant
length of the QRS's place between P waves under APART)."""
LEAST_NOT_SINUS = 40.0
"""A rate under this alarms in a rhythm that is not sinus (one over the alarm of sinus tachycardia too): house rule."""
KEEPS = 0.5
"""Likeness of what precedes the QRS from which P waves keep their place before it (as presence.LOCAL)."""
GAP, EVERY = 1.3, 0.75
"""A beat that is missing leaves an interval this many times the usual; 2:1 blocks this share of the intervals."""


@dataclass(frozen=True, slots=True)
class Conduction:
    """P waves against QRS complexes: `led` which P waves lead to a beat, `pr` how long before it they are, in s.

    `alone`: those that lead to none though a wave of the same form stands there and no early beat is near; `gap`: the
    interval in which each stands, as a part of the usual one;
    `together`: 0 … 1, how well QRS complexes keep their place between P waves; `ratio`: P waves to a beat.
    """

    led: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    pr: NDArray[np.float64]
    gap: NDArray[np.float64]
    together: float
    ratio: float


def conduction(f: Findings, train: Train) -> Conduction:
    """Return how the P waves inside the recording's first and last beat are conducted."""
    inner = (train.at > f.r[0] - CONDUCTED_S[1] * f.fs) & (train.at < f.r[-1])
    at = train.at[inner]
    following = np.searchsorted(f.r, at + CONDUCTED_S[0] * f.fs)
    wait = np.full(at.shape[0], np.inf)
    there = following < f.r.shape[0]
    wait[there] = (f.r[following[there]] - at[there]) / f.fs
    led = wait <= CONDUCTED_S[1]
    # Of two P waves before one beat the later one leads to it.
    led[:-1] &= ~((following[:-1] == following[1:]) & led[1:])
    whole = np.zeros(train.at.shape[0], np.bool_)
    whole[inner] = led
    early = f.letters != ord("N")
    near = early[np.minimum(following, early.shape[0] - 1)] | early[np.maximum(following - 1, 0)]
    alone = ~led & train.met[inner] & train.alike(whole)[inner] & ~near
    last = np.searchsorted(at, f.r, "right") - 1
    inside = (last >= 0) & (last < at.shape[0] - 1)
    phase = (f.r[inside] - at[last[inside]]) / np.maximum(order.steps(at)[last[inside]], 1)
    together = float(abs(np.exp(2j * np.pi * phase).mean())) if phase.shape[0] >= 4 else 1.0
    rr = order.steps(f.r) / f.fs
    usual = order.median(rr)
    gap = rr[np.clip(following - 1, 0, rr.shape[0] - 1)] / usual
    return Conduction(led, alone, wait, gap, together, usual / train.period)


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on blocks and dropped beats."""
    dropped = _dropped(f)
    if f.train is None:
        return [dropped]
    found = conduction(f, f.train)
    slow = 60.0 * f.fs * (f.r.shape[0] - 1) < LEAST_NOT_SINUS * float(f.r[-1] - f.r[0])
    complete, second = _complete(f, f.train, found), _second(found, f.r.shape[0], slow and not noisy(f))
    if complete.stated:
        second = Verdict("2AVB", 0.4 * second.score)
    explained = complete.stated or second.stated
    if explained:
        dropped = Verdict("DROP", 0.4 * dropped.score)
    return [complete, second, _exit(dropped, explained), dropped]


def _complete(f: Findings, train: Train, c: Conduction) -> Verdict:
    """Return whether a steady slow ventricular rhythm does not keep step with faster atria."""
    rr = order.steps(f.r) / f.fs
    rate = 60.0 / float(rr.mean())
    unled = order.median(f.p_like) < KEEPS
    steady = float(rr.std()) <= ESCAPE_CV * float(rr.mean()) and unled
    stated = steady and rate < ESCAPE_RATE and c.ratio >= 1.15 and c.together < APART and f.r.shape[0] >= 4
    because = (
        f"P waves at {60 / train.period:.0f}/min, ventricles at {rate:.0f}/min, steady",
        f"QRS and P waves do not keep step ({c.together:.2f}, together 1)",
    )
    score = grade(c.together, APART, -0.1) if steady and rate < ESCAPE_RATE and c.ratio >= 1.15 else 0.0
    return Verdict("3AVB", score, stated, because, "probable", stated and not noisy(f))


def _second(c: Conduction, beats: int, slow: bool) -> Verdict:
    """Return whether single P waves of the train lead to no beat; alarmed where the ventricles are `slow`."""
    led = c.led
    single = [k for k in (np.flatnonzero(c.alone[1:-1]) + 1).tolist() if led[k - 1] and led[k + 1]]
    alternate = len(single) >= 2 and len(single) >= EVERY * (beats - 1)
    if not alternate:
        single = [k for k in single if c.gap[k] >= GAP]
    if not single or led.shape[0] - beats < 0.7 * len(single):
        return Verdict("2AVB", 0.0)
    grows = [float(c.pr[k - 1] - c.pr[k + 1]) for k in single]
    change = order.median(np.array(grows))
    if alternate:
        kind = "2:1"
    elif change >= GROWS_S:
        kind = "Mobitz I (Wenckebach)"
    elif abs(change) <= SAME_S:
        kind = "Mobitz II"
    else:
        return Verdict("2AVB", 0.3)
    because = (
        f"{kind}: {len(single)} of {led.shape[0]} P waves lead to no beat",
        f"PR before less PR after it {1000 * change:.0f} ms",
    )
    score = 0.9 if len(single) > 1 else 0.7
    return Verdict("2AVB", score, True, because, "probable" if score > 0.8 else "possible", slow)


def _exit(dropped: Verdict, explained: bool) -> Verdict:
    """Return whether a beat is dropped and no P wave stands in the gap: nothing came from the sinus node."""
    if explained or not dropped.stated:
        return Verdict("SAB", 0.0)
    return Verdict("SAB", 0.6, True, (*dropped.because, "no P wave that leads to no beat"), "possible")


def _dropped(f: Findings) -> Verdict:
    """Return whether single intervals are about twice the usual one, as when a beat is not conducted."""
    rr = order.steps(f.r).astype(np.float64)
    usual = order.median(rr)
    normal = f.letters == ord("N")
    clean = normal[1:] & normal[:-1]
    steady = order.median(np.abs(rr - usual)) < STEADY * usual
    ratio = rr[clean & (rr > 1.5 * usual)] / usual
    found = int(np.sum((ratio > DOUBLE[0]) & (ratio < DOUBLE[1]))) if steady else 0
    because = (f"{found} of {rr.shape[0]} intervals about twice the usual {1000 * usual / f.fs:.0f} ms",)
    return Verdict("DROP", 0.8 if found else 0.0, found > 0, because, "possible")
