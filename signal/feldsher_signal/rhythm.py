"""The rhythm from stretch to stretch and as a whole: sinus, fibrillation, runs, early beats in order, pauses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import RhythmSpan
from numpy.typing import NDArray

from feldsher_signal import block, ectopy, fibrillation, flutter, measure, order, origin, tachycardia
from feldsher_signal.between import Atria
from feldsher_signal.fibrillation import Chance, Known
from feldsher_signal.findings import Findings, Verdict, both, grade
from feldsher_signal.paediatric import rates

PIECE_BEATS = 30
"""Beats from which the basic rhythm of a stretch is named."""
SINUS_LIKE = 0.45
"""Likeness from which P waves are held to be there."""
SWING_S = 0.16
"""Sinus arrhythmia: normal intervals vary (5th–95th percentile) by more: AHA/ACC/HRS 2007 part II (Mason)."""
FAST_AF = 150.0
"""Very fast atrial fibrillation is alarmed: house rule."""
DISORDER = 0.025
"""Sinus tachycardia keeps step: where intervals of a fast rhythm change by more from beat to beat (median) and
fibrillation is as likely as STAYS, what repeats before the QRS may be a T wave. On ptbxl and ludb
sinus tachycardia changes by up to 0.014, the one fast fibrillation whose T waves repeat by 0.030: house rule."""
_SINUS = ("SR", "SBRAD", "STACH", "RUND")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the basic rhythm is judged by: of the beats that are not early, P likeness and share; rate per minute."""

    irregular: float
    p_like: float
    p_share: float
    rate: float


def chance(f: Findings) -> Chance:
    """Return the chance of fibrillation, judged from intervals and P evidence alone where it was not before."""
    if f.chance is not None:
        return f.chance
    letters = f.letters
    none = np.full(f.r.shape[0], -1)
    early, wide, unclear = letters != ord("N"), letters == ord("V"), letters == ord("Q")
    atria = Atria.none(f.r.shape[0])
    return fibrillation.chance(Known(f.fs, f.r, none, early, wide, unclear, f.p_like, f.p_seen, atria))


def evidence(f: Findings) -> Evidence:
    """Return the evidence of the whole recording."""
    usual = f.letters == ord("N")
    rr = order.steps(f.r).astype(np.float64)
    heard = measure.heard(f.r, f.silent)
    clean = usual[1:] & usual[:-1] & heard
    change = np.abs(order.steps(rr))[clean[1:] & clean[:-1]]
    middle = order.median(rr[clean]) if clean.any() else order.median(rr)
    irregular = order.median(change) / max(middle, 1.0) if change.shape[0] >= 3 else 0.0
    like = f.p_like[usual]
    rate = measure.mean_rate(f.r, f.fs, f.silent if heard.any() else ()) or 0.0
    share = float(f.p_seen[usual].mean()) if like.size else 0.0
    return Evidence(irregular, order.median(like) if like.size else 0.0, share, rate)


def _basic(f: Findings) -> list[tuple[int, int, str]]:
    """Return the basic rhythm in pieces of about PIECE_BEATS beats: first, one past the last, code."""
    beats = f.r.shape[0]
    count = max(beats // PIECE_BEATS, 1)
    edges = np.array([beats * k // count for k in range(count + 1)], np.int64)
    usual = f.letters == ord("N")
    normal = np.add.reduceat(usual, edges[:-1], dtype=np.float64)
    share = np.add.reduceat(f.p_seen & usual, edges[:-1], dtype=np.float64) / np.maximum(normal, 1.0)
    last = edges[1:] - 1
    rate: NDArray[np.float64] = 60.0 * f.fs * (last - edges[:-1]) / np.maximum(f.r[last] - f.r[edges[:-1]], 1)
    limit = rates(f.subject)
    named = np.where(rate < limit.slow, "SBRAD", np.where(rate > limit.fast, "STACH", "SR"))
    named = np.where(share < 0.5, "RUND", named)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), named.tolist(), strict=True))


def _beat_codes(f: Findings, af: Chance) -> list[str]:
    """Return a code for every beat: the basic rhythm, over it early beats in order, runs, fibrillation."""
    out: list[str] = []
    if flutter.judge(f).stated:
        out = ["AFLT"] * f.r.shape[0]
    else:
        elsewhere = origin.named(_origin(f, evidence(f), af)) if origin.possible(f) else ""
        for a, b, code in _basic(f):
            out += [elsewhere or code] * (b - a)
        _name_early(f, out)
        # Beats come in any order in fibrillation: only what is worse is named above it.
        for a, b in af.spans():
            out[a:b] = ["AFIB"] * (b - a)
    for run in ectopy.runs(f, "V"):
        if run.rate > ectopy.VT_RATE:
            out[run.first : run.last] = ["VTAC"] * run.beats
    for start, end in f.chaos:
        a, b = np.searchsorted(f.r, [start, end]).tolist()
        out[a:b] = ["VFIB"] * (b - a)
    return out


def _name_early(f: Findings, out: list[str]) -> None:
    """Write the codes of early beats in order and of runs over those of the basic rhythm."""
    text = "".join(f.kinds)
    for code, cycle in (("TRIGU", 3), ("BIGU", 2)):
        for a, b in ectopy.patterns(text, cycle):
            out[a:b] = [code] * (b - a)
    for kind, fast, slow in (("S", "PSVT", ""), ("V", "", "IVR")):
        for run in ectopy.runs(f, kind):
            code = fast if run.rate > ectopy.VT_RATE else slow
            if code:
                out[run.first : run.last] = [code] * run.beats


def spans(f: Findings) -> tuple[RhythmSpan, ...]:
    """Return the rhythm from stretch to stretch; a stretch ends half-way between its last beat and the next.

    Together they cover the recording; empty where there are fewer than three beats.
    """
    if f.r.shape[0] < 3:
        return ()
    codes = _beat_codes(f, chance(f))
    out: list[RhythmSpan] = []
    first = 0
    for k in range(1, len(codes) + 1):
        if k == len(codes) or codes[k] != codes[first]:
            start = out[-1].end if out else 0
            end = f.samples if k == len(codes) else (int(f.r[k - 1]) + int(f.r[k])) // 2
            out.append(RhythmSpan(start, end, codes[first]))
            first = k
    return tuple(out)


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on rhythm, early beats, blocks and pauses."""
    if f.r.shape[0] < 3:
        return []
    whole, af = evidence(f), chance(f)
    episodes = af.spans()
    share = _share(f, episodes)
    basic = [_fibrillation(f, af, episodes, share), *_sinus(f, whole, af, share)]
    return [
        *basic,
        flutter.judge(f),
        *tachycardia.judge(f, whole.rate, whole.p_share, whole.irregular),
        *_origin(f, whole, af),
        *block.judge(f),
        *ectopy.judge(f),
    ]


def _origin(f: Findings, e: Evidence, af: Chance) -> list[Verdict]:
    """Return the verdicts on rhythms that are not the sinus node's, nor fibrillation."""
    return origin.judge(f, e.rate, e.p_share, e.irregular, 1 - fibrillation.score(float(af.beat.mean())))


def _share(f: Findings, episodes: list[tuple[int, int]]) -> float:
    """Return the share of the recording's beats that are in fibrillation."""
    return sum(b - a for a, b in episodes) / f.r.shape[0]


def _fibrillation(f: Findings, af: Chance, episodes: list[tuple[int, int]], share: float) -> Verdict:
    """State fibrillation where an episode was found; very fast when its ventricular rate is over FAST_AF."""
    score = fibrillation.score(af.most)
    if not episodes:
        return Verdict("AFIB", min(score, 0.49), False, ())
    rate = max(60.0 * f.fs * (b - a - 1) / float(f.r[b - 1] - f.r[a]) for a, b in episodes)
    because = (*fibrillation.because(af), f"in {100 * share:.0f} % of the beats, up to {rate:.0f}/min")
    certainty = "definite" if af.most > 0.9 else "probable" if af.most > 0.65 else "possible"
    return Verdict("AFIB", max(score, 0.5), True, because, certainty, af.most > 0.65 and rate > FAST_AF)


def _spread(f: Findings) -> float:
    """Return how far the intervals between normal beats vary, in s (5th to 95th percentile)."""
    usual = f.letters == ord("N")
    rr = order.steps(f.r)[usual[1:] & usual[:-1] & measure.heard(f.r, f.silent)].astype(np.float64) / f.fs
    return order.percentile(rr, 95) - order.percentile(rr, 5) if rr.size >= 4 else 0.0


def _sinus(f: Findings, e: Evidence, af: Chance, af_share: float) -> list[Verdict]:
    not_af = 1 - fibrillation.score(float(af.beat.mean()))
    sinus = both(grade(e.p_like, SINUS_LIKE, 0.10), not_af, grade(e.p_share, 0.5, 0.1))
    if e.rate > rates(f.subject).fast and e.irregular > DISORDER and af.most >= fibrillation.STAYS:
        sinus *= 0.5
    stated = sinus >= 0.5 and af_share < 0.5
    because = (f"P wave before {100 * e.p_share:.0f} % of the normal beats", f"rate {e.rate:.0f}/min")
    spread = _spread(f)
    limit = rates(f.subject)
    slow, fast = grade(e.rate, limit.slow, -1.5), grade(e.rate, limit.fast, 1.5)
    calm, lost = limit.slow <= e.rate <= limit.fast, not stated and af_share < 0.5
    extreme = lost and not min(block.LEAST_NOT_SINUS, limit.slow) <= e.rate <= limit.most
    swing = both(sinus, grade(spread, SWING_S, 0.03))
    return [
        Verdict("SR", both(sinus, 1 - slow, 1 - fast), stated and calm, because, "definite"),
        Verdict("SBRAD", both(sinus, slow), stated and e.rate < limit.slow, because, "definite", e.rate < limit.least),
        Verdict("STACH", both(sinus, fast), stated and e.rate > limit.fast, because, "definite", e.rate > limit.most),
        Verdict("SARRH", swing, stated and spread > SWING_S, (f"normal intervals vary by {1000 * spread:.0f} ms",)),
        Verdict("RUND", both(1 - sinus, not_af), lost, because, "possible", extreme),
    ]
