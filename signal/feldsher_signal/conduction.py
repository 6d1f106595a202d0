"""Rules of conduction: AV block, bundle branch and fascicular blocks, axis deviation.

Criteria: AHA/ACCF/HRS 2009 part III (Surawicz et al., Circulation 2009;119:e235), unless another source stands beside.
"""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, both, either, grade, mv

PR_LONG_MS = 200.0
"""First-degree AV block: PR over 200 ms (AHA/ACCF/HRS 2009; ACC/AHA/HRS 2018)."""
COMPLETE_MS, INCOMPLETE_MS = 120.0, 110.0
"""QRS of a complete bundle branch block ≥ 120 ms, of an incomplete one 110–119 ms (adults)."""
LATE_R_MS = 60.0
"""R peak time in V5/V6 over 60 ms in left bundle branch block."""
LEFT_AXIS, RIGHT_AXIS = -30.0, 90.0
"""Left axis deviation −30° to −90°, right +90° to 180° (adults): AHA/ACCF/HRS 2009 part III."""
LAFB_AXIS = -45.0
LPFB_AXIS = 90.0


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on conduction."""
    return [*_av(f), *_axis(f), *(_bundles(f) if f.has("I", "V1", "V6") else [])]


def _av(f: Findings) -> list[Verdict]:
    pr = f.measured.pr
    known = pr is not None and f.p_share >= 0.5
    score = both(grade(pr, PR_LONG_MS, 8.0), grade(f.p_share, 0.5, 0.1)) if known else 0.0
    return [Verdict("1AVB", score, known and score > 0.5, (f"PR {pr:.0f} ms (over {PR_LONG_MS:.0f})" if pr else "",))]


def _axis(f: Findings) -> list[Verdict]:
    axis = f.measured.axis_qrs
    if axis is None:
        return []
    because = (f"QRS axis {axis:.0f}°",)
    left = both(grade(axis, LEFT_AXIS, -6.0), grade(axis, -90.0, 6.0))
    right = grade(axis, RIGHT_AXIS, 6.0)
    return [
        Verdict("LAD", left, -90 <= axis < LEFT_AXIS, because, "definite"),
        Verdict("RAD", right, axis > RIGHT_AXIS, because, "definite"),
        Verdict("XAD", grade(axis, -90.0, -6.0), axis < -90, because, "definite"),
    ]


def _bundles(f: Findings) -> list[Verdict]:
    qrs = f.measured.qrs
    if qrs is None:
        return []
    right, why_right = _right_pattern(f)
    left, why_left = _left_pattern(f)
    wide, widish = grade(qrs, COMPLETE_MS, 5.0), both(grade(qrs, 100.0, 4.0), grade(qrs, COMPLETE_MS + 2, -4.0))
    text = f"QRS {qrs:.0f} ms"
    ivcd = both(wide, 1 - right, 1 - left)
    out = [
        _stated("CRBBB", both(wide, right), (text, *why_right)),
        _stated("CLBBB", both(wide, left), (text, *why_left)),
        _stated("IRBBB", both(widish, right), (text, *why_right)),
        _stated("ILBBB", both(widish, left, grade(qrs, INCOMPLETE_MS, 4.0)), (text, *why_left)),
        _stated("IVCD", ivcd, (text, "neither right nor left bundle branch block")),
    ]
    return [*out, *_fascicles(f, both(wide, left)), *_preexcitation(f)]


def _stated(code: str, score: float, because: tuple[str, ...]) -> Verdict:
    certainty = "definite" if score > 0.85 else "probable" if score > 0.65 else "possible"
    return Verdict(code, score, score >= 0.5, because, certainty)


def _right_pattern(f: Findings) -> tuple[float, tuple[str, ...]]:
    """Return how well V1/V2 show rsR′ (or a broad late R) with a broad S in I and V6."""
    v1, one, v6 = f.matrix["V1"], f.matrix["I"], f.matrix["V6"]
    v2 = f.matrix.get("V2", v1)
    late = [grade(m.r2 - max(m.r, 0.0) * 0.5, 60.0, 30.0) for m in (v1, v2)]
    broad = both(grade(v1.r, 300.0, 60.0), grade(v1.peak_ms, 50.0, 6.0), grade(v1.r + v1.s, 0.0, 80.0))
    slurred = either([grade(one.s_ms, 36.0, 5.0), grade(v6.s_ms, 36.0, 5.0)])
    score = both(either([late[0], late[1] * 0.7, broad]), slurred)
    return score, (
        f"V1: r {mv(v1.r)}, R′ {mv(v1.r2)}, R peak at {v1.peak_ms:.0f} ms",
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
    axis, qrs = f.measured.axis_qrs, f.measured.qrs
    if axis is None or qrs is None or not f.has("aVL", "II", "III", "aVF"):
        return []
    avl, three, avf = f.matrix["aVL"], f.matrix["III"], f.matrix["aVF"]
    narrow = 1 - lbbb
    r_inferior = grade(three.r, 25.0, 10.0)
    front = both(grade(axis, LAFB_AXIS, -5.0), grade(axis, -95.0, 5.0), narrow, grade(avl.r, 100.0, 40.0), r_inferior)
    back = both(grade(axis, LPFB_AXIS + 10, 5.0), narrow, grade(-avf.q, 30.0, 15.0), grade(avl.r, 250.0, -50.0))
    text = (f"QRS axis {axis:.0f}°", f"QRS {qrs:.0f} ms")
    return [
        _stated("LAFB", front, (*text, f"aVL: q {mv(-avl.q)}, R {mv(avl.r)}; III: r {mv(three.r)}, S {mv(-three.s)}")),
        _stated("LPFB", back, (*text, f"aVF: q {mv(-avf.q)}; aVL: r {mv(avl.r)}")),
    ]


def _preexcitation(f: Findings) -> list[Verdict]:
    """Short PR with a wide QRS: WHO/ISFC 1985 (Willems), PR < 120 and QRS > 110 ms; the delta wave is not measured."""
    pr, qrs = f.measured.pr, f.measured.qrs
    known = pr is not None and qrs is not None and f.p_share > 0.7
    score = both(grade(pr, 115.0, -4.0), grade(qrs, 110.0, 4.0)) if known else 0.0
    return [Verdict("WPW", score, score >= 0.6, (f"PR {pr or 0:.0f} ms, QRS {qrs or 0:.0f} ms",), "possible")]
