"""Rules of voltage: ventricular hypertrophy, atrial enlargement, low voltage.

Criteria: AHA/ACCF/HRS 2009 part V (Hancock et al., Circulation 2009;119:e251), with the index's own paper beside each.
"""

from __future__ import annotations

from feldsher_signal.findings import CHEST, Findings, Verdict, both, either, grade, mv

SOKOLOW_UV = 3500.0
"""S V1 + R V5 or V6 ≥ 3.5 mV: Sokolow & Lyon 1949; for adults over 35 (younger hearts reach it in health)."""
SOKOLOW_AGE = 35
CORNELL_UV = {"male": 2800.0, "female": 2000.0}
"""R aVL + S V3 over 2.8 mV in men, 2.0 mV in women: Casale 1985."""
AVL_UV = 1100.0
"""R aVL over 1.1 mV: Sokolow & Lyon 1949."""
LOW_LIMB_UV, LOW_CHEST_UV = 500.0, 1000.0
"""Low voltage: no limb QRS over 0.5 mV and no chest QRS over 1.0 mV, peak to peak: AHA/ACC/HRS 2007 part II."""
ATRIAL_MS, ATRIAL_UV = 120.0, 250.0
"""Left: P ≥ 120 ms with a negative end in V1 of 0.1 mV; right: P in II over 0.25 mV."""
ADULT = 18


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on voltage; what needs an age or sex that is missing is withheld."""
    if f.subject.age is not None and f.subject.age < ADULT:
        return []
    return [*_left(f), *_right(f), *_low(f), *_atria(f)]


def _left(f: Findings) -> list[Verdict]:
    if not f.has("V1", "V5", "V6", "aVL", "V3"):
        return []
    v1, v5, v6, avl, v3 = (f.matrix[name] for name in ("V1", "V5", "V6", "aVL", "V3"))
    sokolow = -min(v1.s, v1.q, 0.0) + max(v5.r, v6.r)
    cornell = avl.r - min(v3.s, v3.q, 0.0)
    age, sex = f.subject.age, f.subject.sex
    scores = [grade(avl.r, AVL_UV, 120.0)]
    because = [f"R aVL {mv(avl.r)} (limit {mv(AVL_UV)})"] if avl.r >= AVL_UV else []
    met = avl.r >= AVL_UV
    if age is not None:
        limit = SOKOLOW_UV if age > SOKOLOW_AGE else SOKOLOW_UV + 1000.0
        scores.append(grade(sokolow, limit, 350.0))
        if sokolow >= limit:
            met = True
            because.append(f"Sokolow-Lyon {mv(sokolow)} (limit {mv(limit)})")
    if sex in CORNELL_UV:
        scores.append(grade(cornell, CORNELL_UV[sex], 300.0))
        if cornell > CORNELL_UV[sex]:
            met = True
            because.append(f"Cornell {mv(cornell)} (limit {mv(CORNELL_UV[sex])})")
    strain = both(grade(either([-v5.st60, -v6.st60]), 40.0, 20.0), grade(min(v5.t, v6.t), 0.0, -60.0))
    voltage = either(scores)
    full = voltage if strain < 0.5 else both(1.0, voltage + 0.25 * strain)
    lvh = met and strain >= 0.5
    reasons = (*because, f"V6: ST {mv(v6.st60)}, T {mv(v6.t)}")
    return [
        Verdict("LVH", full, lvh, reasons, "probable"),
        Verdict("VCLVH", voltage, met and not lvh, tuple(because), "possible"),
    ]


def _right(f: Findings) -> list[Verdict]:
    """R V1 ≥ 0.7 mV and over S V1 with right axis: Myers 1948 in AHA/ACCF/HRS 2009 part V."""
    if not f.has("V1", "V6") or f.measured.axis_qrs is None or f.measured.qrs is None:
        return []
    v1, axis = f.matrix["V1"], f.measured.axis_qrs
    tall = both(grade(v1.r, 700.0, 100.0), grade(v1.r + v1.s, 0.0, 100.0))
    score = both(tall, grade(axis, 90.0, 8.0), grade(f.measured.qrs, 120.0, -5.0))
    because = (f"V1: R {mv(v1.r)}, S {mv(-v1.s)}", f"QRS axis {axis:.0f}°")
    return [Verdict("RVH", score, score >= 0.5, because, "possible")]


def _low(f: Findings) -> list[Verdict]:
    limb = [f.matrix[name].peak_to_peak for name in ("I", "II", "III", "aVR", "aVL", "aVF") if name in f.matrix]
    chest = [f.matrix[name].peak_to_peak for name in CHEST if name in f.matrix]
    if len(limb) < 6 or len(chest) < 6:
        return []
    low_limb, low_chest = grade(max(limb), LOW_LIMB_UV, -60.0), grade(max(chest), LOW_CHEST_UV, -120.0)
    stated = max(limb) < LOW_LIMB_UV and max(chest) < LOW_CHEST_UV
    because = (f"largest limb QRS {mv(max(limb))}, largest chest QRS {mv(max(chest))}",)
    return [Verdict("LVOLT", 0.7 * low_limb + 0.3 * both(low_limb, low_chest), stated, because, "definite")]


def _atria(f: Findings) -> list[Verdict]:
    if f.p_share < 0.7 or not f.has("II", "V1") or f.measured.p_dur is None:
        return []
    two, v1, lasts = f.matrix["II"], f.matrix["V1"], f.measured.p_dur
    terminal = -min(v1.p2, v1.p if v1.p < 0 else 0.0, 0.0)
    left = both(grade(lasts, ATRIAL_MS, 5.0), grade(terminal, 100.0, 25.0))
    right = either([grade(two.p, ATRIAL_UV, 25.0), grade(v1.p, 150.0, 25.0)])
    because = (f"P lasts {lasts:.0f} ms, ends {mv(terminal)} below the line in V1",)
    tall = two.p > ATRIAL_UV or v1.p > 150.0
    return [
        Verdict("LAO/LAE", left, left >= 0.5, because, "possible"),
        Verdict("RAO/RAE", right, tall, (f"P {mv(two.p)} in II, {mv(v1.p)} in V1",), "possible"),
    ]
