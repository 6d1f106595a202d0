"""The rhythm: sinus, atrial fibrillation (irregular AND without P waves), ectopy, pauses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import RhythmSpan
from numpy.typing import NDArray

from feldsher_signal.findings import Findings, Verdict, both, grade

WINDOW_BEATS = 30
"""Beats from which a rhythm is judged: Petrėnas 2015 and Zhou 2015 need about 60, Lake & Moorman 2011 12."""
IRREGULAR, P_LIKE = 0.06, 0.55
"""Fibrillation: median change between intervals as a part of the median interval, and median likeness of the P stretch
under which P waves are held absent; chosen together on the even rows of cinc2017."""
SINUS_LIKE = 0.45
"""Likeness from which P waves are held to be there."""
SLOW, FAST = 60.0, 100.0
"""Sinus bradycardia and tachycardia: AHA/ACC/HRS 2007 part II (Mason), statements 20–22."""
ALIKE, CHAOS_S = 0.4, 60.0
"""Under this share of like complexes nothing organised is there (house rule: real rhythms in ludb, PTB-XL ≥ 0.5);
judged up to a minute."""
DOUBLE = (1.75, 2.2)
"""An interval of about two: a beat not conducted, or a sinus exit block (AHA/ACC/HRS 2007 part II)."""
FAST_AF = 150.0
"""Very fast atrial fibrillation is alarmed: house rule."""
EXTREME = (40.0, 150.0)
"""Rates that alarm in a rhythm that is not sinus: house rule."""
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


def _pieces(beats: int) -> list[tuple[int, int]]:
    """Return the beats of a recording in stretches of about WINDOW_BEATS: first, one past the last."""
    count = max(beats // WINDOW_BEATS, 1)
    return [(beats * k // count, beats * (k + 1) // count) for k in range(count)]


def spans(f: Findings) -> tuple[RhythmSpan, ...]:
    """Return the basic rhythm from stretch to stretch of WINDOW_BEATS beats, neighbours of one code joined."""
    beats = f.r.shape[0]
    if beats < 3:
        return ()
    out: list[RhythmSpan] = []
    for first, last in _pieces(beats):
        code = _basic(evidence(f, first, last))
        start = out[-1].end if out else 0
        end = f.samples if last == beats else int(f.r[last])
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
    pieces = [evidence(f, a, b) for a, b in _pieces(f.r.shape[0])]
    share = sum(s.end - s.start for s in spans(f) if s.code == "AFIB") / max(f.samples, 1)
    strongest = max((whole, *pieces), key=lambda e: e.af)
    basic = [*_fibrillation(strongest, share), *_sinus(f, whole, share), *_tachycardia(f, whole)]
    return [*basic, *_chaos(f), *_dropped(f), *_ectopy(f), *_pauses(f)]


def _fibrillation(e: Evidence, share: float) -> list[Verdict]:
    """Judge by the stretch that looks most like fibrillation."""
    because = (
        f"intervals change by {100 * e.irregular:.0f} % from beat to beat (limit {100 * IRREGULAR:.0f} %)",
        f"no repeating P wave: likeness {e.p_like:.2f} (limit {P_LIKE:.2f})",
        f"in {100 * share:.0f} % of the recording",
    )
    certainty = "definite" if e.af > 0.9 else "probable" if e.af > 0.65 else "possible"
    return [Verdict("AFIB", e.af, e.af >= 0.5, because, certainty, e.af > 0.65 and e.rate > FAST_AF)]


def _sinus(f: Findings, e: Evidence, af_share: float) -> list[Verdict]:
    sinus = both(grade(e.p_like, SINUS_LIKE, 0.10), 1 - min(e.af, 1.0), grade(e.p_share, 0.5, 0.1))
    stated = sinus >= 0.5 and af_share < 0.5
    because = (f"P wave before {100 * e.p_share:.0f} % of the normal beats", f"rate {e.rate:.0f}/min")
    usual = [k for k, kind in enumerate(f.kinds) if kind == "N"]
    rr = np.array([f.r[k] - f.r[k - 1] for k in usual if k > 0 and f.kinds[k - 1] == "N"], np.float64) / f.fs
    spread = float(np.percentile(rr, 95) - np.percentile(rr, 5)) if rr.size >= 4 else 0.0
    slow, fast = grade(e.rate, SLOW, -1.5), grade(e.rate, FAST, 1.5)
    lost = not stated and e.af < 0.5 and af_share < 0.5
    swing = both(sinus, grade(spread, 0.16, 0.03))
    return [
        Verdict("SR", both(sinus, 1 - slow, 1 - fast), stated and SLOW <= e.rate <= FAST, because, "definite"),
        Verdict("SBRAD", both(sinus, slow), stated and e.rate < SLOW, because, "definite", e.rate < 35),
        Verdict("STACH", both(sinus, fast), stated and e.rate > FAST, because, "definite", e.rate > 150),
        Verdict("SARRH", swing, stated and spread > 0.16, (f"normal intervals vary by {1000 * spread:.0f} ms",)),
        Verdict(
            "RUND",
            both(1 - sinus, 1 - e.af),
            lost,
            because,
            "possible",
            lost and not EXTREME[0] <= e.rate <= EXTREME[1],
        ),
    ]


def _noisy(f: Findings) -> bool:
    return any("noise" in q.issues for q in f.quality.leads.values())


def _tachycardia(f: Findings, e: Evidence) -> list[Verdict]:
    """Regular and fast without P waves: supraventricular when narrow, of unknown origin when wide (Brugada 1991)."""
    qrs = f.measured.qrs
    if qrs is None:
        return []
    fast = both(grade(e.rate, 140.0, 4.0), grade(e.p_share, 0.5, -0.1), grade(e.irregular, 0.06, -0.01))
    wide = grade(qrs, 130.0, 5.0)
    because = (f"regular, {e.rate:.0f}/min, QRS {qrs:.0f} ms", f"P wave before {100 * e.p_share:.0f} % of the beats")
    narrow, broad = both(fast, 1 - wide), both(fast, wide)
    return [
        Verdict("SVTAC", narrow, narrow >= 0.5, because, "possible", e.rate > 180 and narrow >= 0.5),
        Verdict("WCT", broad, broad >= 0.5, because, "possible", broad >= 0.5 and not _noisy(f)),
    ]


def _chaos(f: Findings) -> list[Verdict]:
    """No two complexes alike at a fast rate: ventricular fibrillation, or a disturbance that hides everything."""
    # Over a long recording stretches of noise would answer for all of it.
    short = f.samples <= CHAOS_S * f.fs
    score = grade(f.alike, ALIKE, -0.05) if short and f.r.shape[0] >= 6 else 0.0
    because = (f"only {100 * f.alike:.0f} % of {f.r.shape[0]} complexes are alike",)
    return [Verdict("VFIB", score, score >= 0.5, because, "possible", score >= 0.5 and not _noisy(f))]


def _dropped(f: Findings) -> list[Verdict]:
    """Return whether single intervals are about twice the usual one, as when a beat is not conducted."""
    rr = np.diff(f.r).astype(np.float64)
    usual = float(np.median(rr))
    clean = np.array([f.kinds[k] == f.kinds[k + 1] == "N" for k in range(rr.shape[0])], np.bool_)
    steady = float(np.median(np.abs(rr - usual))) < 0.06 * usual
    ratio = rr[clean & (rr > 1.5 * usual)] / usual
    found = int(np.sum((ratio > DOUBLE[0]) & (ratio < DOUBLE[1]))) if steady else 0
    because = (f"{found} of {rr.shape[0]} intervals about twice the usual {1000 * usual / f.fs:.0f} ms",)
    return [Verdict("DROP", 0.8 if found else 0.0, found > 0, because, "possible")]


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
            "VTAC",
            0.9 if vt else 0.0,
            vt,
            (f"{run} ventricular beats in a row at {rate:.0f}/min",),
            "possible",
            vt and not _noisy(f),
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
