"""Rules of conduction: PR, QRS axis, bundle branch and fascicular blocks, pre-excitation.

Criteria: AHA/ACCF/HRS 2009 part III (Surawicz et al., Circulation 2009;119:e235), unless another source stands beside.
Under 16 years PR and axis are judged by Rijnbeek's tables (paediatric.py).
"""

from __future__ import annotations

import math
from dataclasses import replace

from feldsher_ehr_core.ecg import LeadMatrix

from feldsher_signal import measure
from feldsher_signal.findings import Certainty, Findings, Verdict, both, either, grade, judged, mv

GROWN = 18
PR_LONG_MS, PR_SHORT_MS = 200.0, 120.0
"""First-degree AV block: PR over 200 ms (AHA/ACCF/HRS 2009; ACC/AHA/HRS 2018); short: under 120 ms (Minnesota 6-5)."""
PR_DOUBT_MS = 10.0
"""So far over its limit a PR is `possible` only: what repeated recordings differ by (IEC 60601-2-25: mean ± 10 ms)."""
WIDTHS_MS = ((4, 90.0, 86.0), (16, 100.0, 90.0), (math.inf, 120.0, 110.0))
"""Under an age in years: the QRS from which a bundle branch block is complete, and incomplete."""
LATE_R_MS = 60.0
"""R peak time in V5/V6 over 60 ms in left bundle branch block."""
STRAUSS_MS = {"male": 140.0, "female": 130.0, "unknown": 140.0}
"""From here left bundle branch block is strict: Strauss 2011, Am J Cardiol 107:927."""
LEFT_AXIS, RIGHT_AXIS = -30.0, 90.0
"""Left axis deviation −30° to −90°, right +90° to 180° (adults): AHA/ACCF/HRS 2009 part III."""
LAFB_AXIS = -45.0
LPFB_AXIS = 90.0
ENDS_MS = 6.0
"""A wave that peaks no longer before the end of the QRS does not come back from it (house rule)."""
SLUR_MS = 35.0
"""A QRS that stays slow so long in most leads begins with a delta wave (house rule; ludb, PTB-XL: 99 % are below)."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on conduction."""
    return [*_av(f), *_axis(f), *(_bundles(f) if f.has("I", "V1", "V6") else [])]


def widths(f: Findings) -> tuple[float, float]:
    """Return the QRS in ms of a complete and of an incomplete bundle branch block at the age (adult when unknown)."""
    age = GROWN if f.subject.age is None else f.subject.age
    return next((complete, incomplete) for under, complete, incomplete in WIDTHS_MS if age < under)


def _av(f: Findings) -> list[Verdict]:
    """Return first-degree block and short PR; in the first days of life neither is judged."""
    pr, table = f.measured.pr, f.limits
    if table is None and f.subject.age == 0:
        return []
    short, long = table.pr if table else (PR_SHORT_MS, PR_LONG_MS)
    if pr is None or f.p_share < 0.5:
        return [Verdict("1AVB", 0.0)]
    first = both(grade(pr, long, 8.0), grade(f.p_share, 0.5, 0.1))
    sure: Certainty = "definite" if pr > long + PR_DOUBT_MS else "possible"
    brief = both(grade(pr, short, -5.0), grade(f.p_share, 0.7, 0.1))
    return [
        Verdict("1AVB", first, pr > long and first > 0.5, (f"PR {pr:.0f} ms (over {long:.0f})",), sure),
        Verdict("SHPR", brief, pr < short and brief > 0.5, (f"PR {pr:.0f} ms (under {short:.0f})",), "probable"),
    ]


def _axis(f: Findings) -> list[Verdict]:
    axis, table = f.measured.axis_qrs, f.limits
    if table is None and f.subject.age == 0:
        return []
    if axis is None:
        flat = f.measured.qrs is not None and f.has("I", "aVF")
        return [Verdict("AXIND", 1.0 if flat else 0.0, flat, ("I and aVF: QRS under 0.1 mV net",), "definite")]
    low, high = table.axis if table else (LEFT_AXIS, RIGHT_AXIS)
    because = (f"QRS axis {axis:.0f}° (normal {low:.0f}° to {high:.0f}°)",)
    left = both(grade(axis, low, -6.0), grade(axis, -90.0, 6.0))
    right = grade(axis, high, 6.0)
    return [
        Verdict("LAD", left, -90 <= axis < low, because, "definite"),
        Verdict("RAD", right, axis > high, because, "definite"),
        Verdict("XAD", grade(axis, -90.0, -6.0), axis < -90, because, "definite"),
    ]


def _bundles(f: Findings) -> list[Verdict]:
    qrs = f.measured.qrs
    if qrs is None:
        return []
    right, why_right = _right_pattern(f, qrs)
    left, why_left = _left_pattern(f)
    complete, incomplete = widths(f)
    if min(right, left) >= 0.5 and qrs >= complete:
        # One at a time: what is excited last lies to the right, and V1 points up, or to the left, and V1 points down.
        right, left = (right, 0.4) if f.matrix["V1"].qrs_area > 0 else (0.4, left)
    wide, under = grade(qrs, complete, 5.0), grade(qrs, complete + 2, -4.0)
    text, narrow = f"QRS {qrs:.0f} ms", qrs < complete
    strict: Certainty = "definite" if qrs >= STRAUSS_MS[f.subject.sex] else "probable"
    # R′ over r counts from 100 ms (Minnesota 7-3 asks no least width), but is then only possible.
    slight: Certainty = "definite" if qrs >= incomplete else "possible"
    out = [
        judged("CRBBB", both(wide, right), (text, *why_right)),
        judged("CLBBB", both(wide, left), (text, *why_left), strict),
        _partly(
            "IRBBB", both(grade(qrs, incomplete - 10, 4.0), under, right), (text, *why_right), slight, qrs < complete
        ),
        _partly("ILBBB", both(grade(qrs, incomplete, 4.0), under, left), (text, *why_left), "probable", narrow),
        judged("IVCD", both(wide, 1 - right, 1 - left), (text, "neither right nor left bundle branch block")),
    ]
    return [*out, *_fascicles(f, both(wide, left)), *_preexcitation(f)]


def _partly(code: str, score: float, because: tuple[str, ...], at_most: Certainty, narrow: bool) -> Verdict:
    """Return an incomplete block, which a QRS as wide as a complete one's is not."""
    found = judged(code, score, because, at_most)
    return found if narrow else replace(found, stated=False)


def _late(m: LeadMatrix, qrs: float) -> float:
    """Return the lead's R′ in µV; 0 where it is highest as the QRS ends: that is a raised ST segment's beginning."""
    return m.r2 if m.rpt_ms <= qrs - ENDS_MS else 0.0


def _right_pattern(f: Findings, qrs: float) -> tuple[float, tuple[str, ...]]:
    """Return how well V1/V2 show rsR′ (or a broad late R) with a broad S in I and V6, of a QRS of so many ms."""
    v1, one, v6 = f.matrix["V1"], f.matrix["I"], f.matrix["V6"]
    v2 = f.matrix.get("V2", v1)
    late = [grade(_late(m, qrs) - max(m.r, 0.0) * 0.5, 60.0, 30.0) for m in (v1, v2)]
    broad = both(grade(v1.r, 300.0, 60.0), grade(v1.peak_ms, 50.0, 6.0), grade(v1.r + v1.s, 0.0, 80.0))
    slurred = either([grade(one.s_ms, 36.0, 5.0), grade(v6.s_ms, 36.0, 5.0)])
    score = both(either([late[0], late[1] * 0.7, broad]), slurred)
    # R′ over r is a block's own; what V6 lacks in S it then only makes less sure.
    taller = either(grade(_late(m, qrs) - m.r, 40.0, 20.0) if _late(m, qrs) > 0 else 0.0 for m in (v1, v2))
    score = either([score, both(taller, 0.6)])
    return score, (
        f"V1: r {mv(v1.r)}, R′ {mv(v1.r2)}, R peak at {v1.rpt_ms:.0f} ms",
        f"S lasts {one.s_ms:.0f} ms in I, {v6.s_ms:.0f} ms in V6",
    )


def _left_pattern(f: Findings) -> tuple[float, tuple[str, ...]]:
    """Return how well I, V5/V6 show a broad R without q or S, and V1 a deep S."""
    v1, one, v6 = f.matrix["V1"], f.matrix["I"], f.matrix["V6"]
    deep = grade(-(min(v1.s, v1.q) + max(v1.r, v1.r2)), 300.0, 120.0)
    no_q = both(grade(one.q, -60.0, 20.0), grade(v6.q, -60.0, 20.0))
    upright = both(grade(one.qrs_area, 0.0, 3.0), grade(one.r + one.s, 100.0, 60.0))
    slow = either([grade(m.peak_ms, LATE_R_MS - 10, 6.0) for m in (v6, f.matrix.get("V5", v6), one)])
    score = both(deep, no_q, upright, slow)
    return score, (
        f"V1: S {mv(-min(v1.s, v1.q))}; no q in I and V6",
        f"R peak at {v6.peak_ms:.0f} ms in V6, {one.peak_ms:.0f} ms in I",
    )


def _fascicles(f: Findings, lbbb: float) -> list[Verdict]:
    """Return the fascicular blocks; not in children, whose axis lies elsewhere (part III)."""
    axis, qrs = f.measured.axis_qrs, f.measured.qrs
    if axis is None or qrs is None or not f.has("aVL", "II", "III", "aVF") or f.limits is not None:
        return []
    # By area the slurred end of the QRS, which turns upward, weighs as it lasts.
    turned = measure.area_axis(f.matrix)
    axis = axis if turned is None else turned
    avl, three, avf = f.matrix["aVL"], f.matrix["III"], f.matrix["aVF"]
    narrow = 1 - lbbb
    r_inferior = grade(three.r, 25.0, 10.0)
    front = both(grade(axis, LAFB_AXIS, -5.0), grade(axis, -95.0, 5.0), narrow, grade(avl.r, 100.0, 40.0), r_inferior)
    back = both(grade(axis, LPFB_AXIS + 10, 5.0), narrow, grade(-avf.q, 30.0, 15.0), grade(avl.r, 250.0, -50.0))
    text = (f"QRS axis {axis:.0f}° by area", f"QRS {qrs:.0f} ms")
    return [
        judged("LAFB", front, (*text, f"aVL: q {mv(-avl.q)}, R {mv(avl.r)}; III: r {mv(three.r)}, S {mv(-three.s)}")),
        judged("LPFB", back, (*text, f"aVF: q {mv(-avf.q)}; aVL: r {mv(avl.r)}")),
    ]


def _preexcitation(f: Findings) -> list[Verdict]:
    """Short PR, wide QRS, slow beginning: WHO/ISFC 1985 (Willems), PR < 120 ms, QRS ≥ 110 ms (adults), delta wave."""
    pr, qrs = f.measured.pr, f.measured.qrs
    if pr is None or qrs is None or f.p_share <= 0.7:
        return [Verdict("WPW", 0.0)]
    slow = sorted(m.slur_ms for m in f.matrix.values() if m.peak_to_peak > 300)
    slur = slow[len(slow) // 2] if slow else 0.0
    short = f.limits.pr[0] + 10 if f.limits else PR_SHORT_MS
    score = both(grade(pr, short, -6.0), grade(qrs, widths(f)[1], 4.0), grade(slur, SLUR_MS, 2.5))
    because = (f"PR {pr:.0f} ms, QRS {qrs:.0f} ms", f"QRS begins slowly: {slur:.0f} ms (median of leads)")
    return [judged("WPW", score, because, "probable")]
