"""The rhythm: sinus, atrial fibrillation (irregular AND without P waves), ectopy, pauses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import RhythmSpan
from numpy.typing import NDArray

from feldsher_signal.findings import Findings, Verdict, both, grade

WINDOW_BEATS = 30
"""Beats from which a rhythm is judged: Petrėnas 2015 and Zhou 2015 need about 60, Lake & Moorman 2011 12."""
IRREGULAR = 0.065
"""Median change between intervals as a part of the median interval; tuned on half of cinc2017 with P evidence."""
P_LIKE = 0.45
"""Median likeness of the P stretch under which P waves are held absent."""
SLOW, FAST = 60.0, 100.0
"""Sinus bradycardia and tachycardia: AHA/ACC/HRS 2007 part II (Mason), statements 20–22."""
PAUSE_S, LONG_PAUSE_S = 2.0, 3.0
"""Pause: over 2 s; 3 s and more is alarmed: ACC/AHA/HRS 2018 bradycardia guideline."""
VT_RATE, VT_BEATS = 100.0, 3
"""Ventricular tachycardia: three or more ventricular beats in a row over 100/min: AHA/ACC/HRS 2017."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the rhythm of a stretch of beats is judged by."""

    irregular: float
    p_like: float
    p_share: float
    rate: float
    af: float


def calm(r: NDArray[np.int64], ectopic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the changes between successive intervals of beats all of the basic rhythm, as parts of the median.

    Intervals into and out of an ectopic beat are left out, so that bigeminy is not taken for fibrillation.
    """
    if r.shape[0] < 4:
        return np.empty(0)
    rr = np.diff(r).astype(np.float64)
    clean = ~(ectopic[1:] | ectopic[:-1])
    pairs = clean[1:] & clean[:-1]
    change = np.abs(np.diff(rr))[pairs]
    usual = float(np.median(rr[clean])) if clean.any() else float(np.median(rr))
    return change / max(usual, 1.0)


def evidence(f: Findings, first: int, last: int) -> Evidence:
    """Return the evidence of beats first … last − 1."""
    r = f.r[first:last]
    ectopic = np.array([kind != "N" for kind in f.kinds[first:last]], np.bool_)
    change = calm(r, ectopic)
    irregular = float(np.median(change)) if change.shape[0] >= 3 else 0.0
    like = f.p_like[first:last][~ectopic]
    p_like = float(np.median(like)) if like.size else 0.0
    share = float(f.p_seen[first:last][~ectopic].mean()) if like.size else 0.0
    rate = 60.0 * f.fs * (r.shape[0] - 1) / float(r[-1] - r[0]) if r.shape[0] > 1 else 0.0
    af = both(grade(irregular, IRREGULAR, 0.015), grade(p_like, P_LIKE, -0.10)) if r.shape[0] >= 5 else 0.0
    return Evidence(irregular, p_like, share, rate, af)


def _basic(e: Evidence) -> str:
    """Return the basic rhythm's code from its evidence."""
    if e.af >= 0.5:
        return "AFIB"
    if e.p_share < 0.5:
        return "RUND"
    if e.rate < SLOW:
        return "SBRAD"
    return "STACH" if e.rate > FAST else "SR"


def spans(f: Findings) -> tuple[RhythmSpan, ...]:
    """Return the basic rhythm from stretch to stretch of WINDOW_BEATS beats, neighbours of one code joined."""
    beats = f.r.shape[0]
    if beats < 3:
        return ()
    pieces = max(beats // WINDOW_BEATS, 1)
    edges = [beats * k // pieces for k in range(pieces + 1)]
    out: list[RhythmSpan] = []
    for k in range(pieces):
        code = _basic(evidence(f, edges[k], edges[k + 1]))
        start = 0 if k == 0 else out[-1].end
        end = f.samples if k == pieces - 1 else int(f.r[edges[k + 1]])
        if out and out[-1].code == code:
            out[-1] = RhythmSpan(out[-1].start, end, code)
        else:
            out.append(RhythmSpan(start, end, code))
    return tuple(out)


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on rhythm, ectopy and pauses."""
    if f.r.shape[0] < 3:
        return []
    whole = evidence(f, 0, f.r.shape[0])
    found = spans(f)
    share = sum(s.end - s.start for s in found if s.code == "AFIB") / max(f.samples, 1)
    return [*_fibrillation(whole, share), *_sinus(f, whole, share), *_ectopy(f), *_pauses(f)]


def _fibrillation(e: Evidence, share: float) -> list[Verdict]:
    af = max(e.af, 0.5 + 0.5 * share if share > 0 else 0.0) if e.rate else e.af
    because = (
        f"intervals change by {100 * e.irregular:.0f} % from beat to beat (limit {100 * IRREGULAR:.1f} %)",
        f"no repeating P wave: likeness {e.p_like:.2f} (limit {P_LIKE:.2f})",
        f"in {100 * share:.0f} % of the recording",
    )
    fast = e.rate > 150
    certainty = "definite" if e.af > 0.9 else "probable" if e.af > 0.65 else "possible"
    return [Verdict("AFIB", af, af >= 0.5, because, certainty, fast)]


def _sinus(f: Findings, e: Evidence, af_share: float) -> list[Verdict]:
    sinus = both(grade(e.p_like, P_LIKE, 0.10), 1 - min(e.af, 1.0), grade(e.p_share, 0.5, 0.1))
    stated = sinus >= 0.5 and af_share < 0.5
    because = (f"P wave before {100 * e.p_share:.0f} % of the normal beats", f"rate {e.rate:.0f}/min")
    usual = [k for k, kind in enumerate(f.kinds) if kind == "N"]
    rr = np.array([f.r[k] - f.r[k - 1] for k in usual if k > 0 and f.kinds[k - 1] == "N"], np.float64) / f.fs
    spread = float(np.percentile(rr, 95) - np.percentile(rr, 5)) if rr.size >= 4 else 0.0
    slow, fast = grade(e.rate, SLOW, -1.5), grade(e.rate, FAST, 1.5)
    swing = both(sinus, grade(spread, 0.16, 0.03))
    return [
        Verdict("SR", both(sinus, 1 - slow, 1 - fast), stated and SLOW <= e.rate <= FAST, because, "definite"),
        Verdict("SBRAD", both(sinus, slow), stated and e.rate < SLOW, because, "definite", e.rate < 35),
        Verdict("STACH", both(sinus, fast), stated and e.rate > FAST, because, "definite", e.rate > 150),
        Verdict("SARRH", swing, stated and spread > 0.16, (f"normal intervals vary by {1000 * spread:.0f} ms",)),
        Verdict("RUND", both(1 - sinus, 1 - e.af), not stated and e.af < 0.5 and af_share < 0.5, because, "possible"),
    ]


def _longest(kinds: tuple[str, ...], what: str) -> tuple[int, int]:
    """Return the first beat and the length of the longest run of one class."""
    best, length, start = (0, 0), 0, 0
    for k, kind in enumerate(kinds):
        if kind != what:
            length = 0
            continue
        if length == 0:
            start = k
        length += 1
        if length > best[1]:
            best = (start, length)
    return best


def _ectopy(f: Findings) -> list[Verdict]:
    v, s = f.kinds.count("V"), f.kinds.count("S")
    seconds = f.samples / f.fs
    text = "".join(f.kinds)
    bigeminy = max(text.count("NVNVNV"), text.count("NSNSNS"))
    trigeminy = max(text.count("NNVNNVNNV"), text.count("NNSNNSNNS"))
    start, run = _longest(f.kinds, "V")
    rate = 60.0 * f.fs * (run - 1) / float(f.r[start + run - 1] - f.r[start]) if run > 1 else 0.0
    vt = run >= VT_BEATS and rate > VT_RATE
    return [
        Verdict("PVC", 1 - 0.5**v if v else 0.02, v > 0, (f"{v} early wide beats in {seconds:.0f} s",)),
        Verdict("PAC", 1 - 0.6**s if s else 0.02, s > 0, (f"{s} early narrow beats in {seconds:.0f} s",)),
        Verdict(
            "BIGU", min(1.0, 0.6 * bigeminy), bigeminy > 0, (f"every second beat is early ({bigeminy} stretches)",)
        ),
        Verdict("TRIGU", min(1.0, 0.6 * trigeminy), trigeminy > 0, ("every third beat is early",)),
        Verdict(
            "VTAC", 0.9 if vt else 0.0, vt, (f"{run} ventricular beats in a row at {rate:.0f}/min",), "possible", vt
        ),
    ]


def _pauses(f: Findings) -> list[Verdict]:
    """Return the longest interval without a beat in which the signal could be judged."""
    longest, where = 0.0, 0
    for a, b in zip(f.r[:-1], f.r[1:], strict=True):
        blind = any(start < b and end > a for start, end in f.silent)
        if not blind and (b - a) / f.fs > longest:
            longest, where = float(b - a) / f.fs, int(a)
    stated = longest > PAUSE_S
    because = (f"{longest:.1f} s without a beat from sample {where}",)
    return [Verdict("PAUSE", grade(longest, PAUSE_S, 0.15), stated, because, "probable", longest >= LONG_PAUSE_S)]
