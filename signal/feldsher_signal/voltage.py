"""Rules of QRS voltage: left, right and both ventricles' hypertrophy, low voltage.

Criteria: AHA/ACCF/HRS 2009 part V (Hancock et al., Circulation 2009;119:e251), with the index's own paper beside each.
Of the left ventricle five indices are taken: one of the first three states it, Peguero-Lo Presti and the Cornell
product (more sensitive, less specific) only support; two of all, or one far over its limit, make it `probable`.
"""

from __future__ import annotations

from feldsher_signal.findings import CHEST, FRONTAL, Certainty, Findings, Verdict, both, either, grade, mv
from feldsher_signal.paediatric import is_child

SOKOLOW_UV = 3500.0
"""S V1 + R V5 or V6 ≥ 3.5 mV: Sokolow & Lyon 1949; for adults over 35 (younger hearts reach it in health)."""
SOKOLOW_AGE, SOKOLOW_YOUNG_UV = 35, 4500.0
CORNELL_UV = {"male": 2800.0, "female": 2000.0}
"""R aVL + S V3 over 2.8 mV in men, 2.0 mV in women: Casale 1985."""
PRODUCT_UVS, PRODUCT_FEMALE_UV = 244.0, 800.0
"""Cornell voltage (+ 0.8 mV in women) × QRS ≥ 2440 mm·ms = 244 µV·s: Molloy 1992."""
PEGUERO_UV = {"male": 2800.0, "female": 2300.0}
"""Deepest S of any lead + S V4 ≥ 2.8 mV in men, 2.3 mV in women: Peguero 2017."""
AVL_UV = 1100.0
"""R aVL over 1.1 mV: Sokolow & Lyon 1949."""
PRODUCT = "Cornell product"
PRIMARY = ("R aVL", "Sokolow-Lyon", "Cornell")
ROMHILT_LIKELY, ROMHILT_SURE = 4, 5
"""Romhilt-Estes points: 4 probable, 5 definite (Romhilt & Estes 1968)."""
RVH_UV, RVH_SUM_UV = 700.0, 1050.0
"""R V1 ≥ 0.7 mV; R V1 + S V5 or V6 > 1.05 mV (Sokolow & Lyon 1949; Myers 1948, in part V)."""
LOW_LIMB_UV, LOW_CHEST_UV = 500.0, 1000.0
"""Low voltage: no limb QRS over 0.5 mV and no chest QRS over 1.0 mV, peak to peak: AHA/ACC/HRS 2007 part II."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on voltage; what needs an age or sex that is missing is withheld."""
    if is_child(f.subject):
        return _child(f) if f.has("V1", "V6") else []
    out = [*_left(f), *_right(f), *_low(f)]
    left = either(v.score for v in out if v.code in ("LVH", "VCLVH") and v.stated)
    right = next((v for v in out if v.code == "RVH"), None)
    if right is not None:
        score = both(left, right.score)
        because = ("criteria of both ventricles", *right.because)
        out.append(Verdict("BVH", score, score >= 0.5 and right.stated, because, "possible"))
    return out


def _child(f: Findings) -> list[Verdict]:
    """Return voltages over the 98th percentile of the age (Rijnbeek 2001); none where no table holds."""
    table = f.limits
    if table is None:
        return []
    v1, v6 = f.matrix["V1"], f.matrix["V6"]
    s1, s6, r1 = -min(v1.s, v1.q, v1.s2, 0.0), -min(v6.s, v6.q, v6.s2, 0.0), max(v1.r, v1.r2)
    left = either([grade(v6.r, table.r_v6, 250.0), grade(s1, table.s_v1, 250.0)])
    right = either([grade(r1, table.r_v1, 200.0), grade(s6, table.s_v6, 150.0)])
    of = f"98th percentile at {table.group}"
    why_left = (f"R V6 {mv(v6.r)} ({of} {mv(table.r_v6)})", f"S V1 {mv(s1)} ({of} {mv(table.s_v1)})")
    why_right = (f"R V1 {mv(r1)} ({of} {mv(table.r_v1)})", f"S V6 {mv(s6)} ({of} {mv(table.s_v6)})")
    return [
        Verdict("VCLVH", left, v6.r > table.r_v6 or s1 > table.s_v1, why_left, "possible"),
        Verdict("RVH", right, r1 > table.r_v1 or s6 > table.s_v6, why_right, "possible"),
    ]


def _strain(f: Findings) -> float:
    """Return how far V5 and V6 show ST depression with T inversion."""
    v5, v6 = f.matrix["V5"], f.matrix["V6"]
    return both(grade(either([-v5.st60, -v6.st60]), 40.0, 20.0), grade(min(v5.t, v6.t), 0.0, -60.0))


def _indices(f: Findings) -> list[tuple[str, float, float, float]]:
    """Return the indices of the left ventricle that may be judged: name, value, limit, width of the grade."""
    v1, v3, v4, v5, v6, avl = (f.matrix[name] for name in ("V1", "V3", "V4", "V5", "V6", "aVL"))
    age, sex = f.subject.age, f.subject.sex
    s3 = -min(v3.s, v3.q, 0.0)
    out = [("R aVL", avl.r, AVL_UV, 120.0)]
    if age is not None:
        limit = SOKOLOW_UV if age > SOKOLOW_AGE else SOKOLOW_YOUNG_UV
        out.append(("Sokolow-Lyon", -min(v1.s, v1.q, 0.0) + max(v5.r, v6.r), limit, 350.0))
    if sex in CORNELL_UV:
        cornell = avl.r + s3
        deepest = max(-min(m.s, m.q, 0.0) for lead, m in f.matrix.items() if lead != "aVR")
        out.append(("Cornell", cornell, CORNELL_UV[sex], 300.0))
        out.append(("Peguero-Lo Presti", deepest - min(v4.s, v4.q, 0.0), PEGUERO_UV[sex], 350.0))
        if f.measured.qrs is not None:
            product = (cornell + (PRODUCT_FEMALE_UV if sex == "female" else 0.0)) * f.measured.qrs / 1000
            out.append((PRODUCT, product, PRODUCT_UVS, 30.0))
    return out


def romhilt(f: Findings) -> tuple[int, tuple[str, ...]]:
    """Return the Romhilt-Estes points (digitalis taken as not given) and what they are for."""
    v1, v2, v5, v6 = (f.matrix.get(name) for name in ("V1", "V2", "V5", "V6"))
    if v1 is None or v2 is None or v5 is None or v6 is None:
        return 0, ()
    limb = max((max(m.r, -m.s, -m.q) for lead, m in f.matrix.items() if lead in FRONTAL), default=0.0)
    tall = limb >= 2000 or max(-v1.s, -v1.q, -v2.s, -v2.q) >= 3000 or max(v5.r, v6.r) >= 3000
    axis, qrs = f.measured.axis_qrs, f.measured.qrs
    parts = (
        (3, tall, "voltage"),
        (3, _strain(f) >= 0.5, "ST–T"),
        (3, f.p_share > 0.7 and v1.p_end <= -4.0 and min(v1.p, v1.p2) <= -100, "left atrium"),
        (2, axis is not None and -90 <= axis <= -30, "left axis"),
        (1, qrs is not None and qrs >= 90, "QRS ≥ 90 ms"),
        (1, max(v5.peak_ms, v6.peak_ms) >= 50, "R peak time ≥ 50 ms"),
    )
    return sum(n for n, met, _ in parts if met), tuple(name for _, met, name in parts if met)


def _left(f: Findings) -> list[Verdict]:
    if not f.has("V1", "V2", "V3", "V4", "V5", "V6", "aVL"):
        return []
    found = _indices(f)
    met = [(name, value, limit) for name, value, limit, _ in found if value >= limit]
    points, parts = romhilt(f)
    strain = _strain(f)
    alone = any(name in PRIMARY for name, _, _ in met)
    voltage = either(grade(value, limit, width) for name, value, limit, width in found if name in PRIMARY)
    full = voltage if strain < 0.5 else both(1.0, voltage + 0.25 * strain)
    lvh = (alone and strain >= 0.5) or points >= ROMHILT_SURE
    because = tuple(
        f"{name} {value:.0f} µV·s (limit {limit:.0f})" if name == PRODUCT else f"{name} {mv(value)} (limit {mv(limit)})"
        for name, value, limit in met
    )
    because += (f"Romhilt-Estes {points}: {', '.join(parts)}",) if points >= ROMHILT_LIKELY else ()
    sure: Certainty = "definite" if points >= ROMHILT_SURE and len(met) > 1 else "probable"
    far = any(value >= 1.2 * limit for _, value, limit in met)
    v6 = f.matrix["V6"]
    return [
        Verdict("LVH", max(full, 0.55) if lvh else full, lvh, (*because, f"V6: ST {mv(v6.st60)}, T {mv(v6.t)}"), sure),
        Verdict("VCLVH", voltage, alone and not lvh, because, "probable" if len(met) > 1 or far else "possible"),
    ]


def _right(f: Findings) -> list[Verdict]:
    """R V1 ≥ 0.7 mV and over S V1, or R V1 + S V5/V6 > 1.05 mV, with right axis and a narrow QRS."""
    if not f.has("V1", "V5", "V6") or f.measured.axis_qrs is None or f.measured.qrs is None:
        return []
    v1, v5, v6, axis = f.matrix["V1"], f.matrix["V5"], f.matrix["V6"], f.measured.axis_qrs
    r = max(v1.r, v1.r2)
    deep = max(-v5.s, -v6.s, 0.0)
    tall = both(grade(r, RVH_UV, 100.0), grade(r + min(v1.s, v1.q, 0.0), 0.0, 100.0))
    summed = both(grade(r + deep, RVH_SUM_UV, 120.0), grade(r, 400.0, 60.0))
    score = both(either([tall, summed]), grade(axis, 90.0, 8.0), grade(f.measured.qrs, 120.0, -5.0))
    strain = v1.t < -100 and v1.st60 < 0
    because = (f"V1: R {mv(r)}, S {mv(-v1.s)}; deepest S in V5, V6 {mv(deep)}", f"QRS axis {axis:.0f}°")
    because += (f"V1: ST {mv(v1.st60)}, T {mv(v1.t)}",) if strain else ()
    return [Verdict("RVH", score, score >= 0.5, because, "probable" if strain else "possible")]


def _low(f: Findings) -> list[Verdict]:
    limb = [f.matrix[name].peak_to_peak for name in ("I", "II", "III", "aVR", "aVL", "aVF") if name in f.matrix]
    chest = [f.matrix[name].peak_to_peak for name in CHEST if name in f.matrix]
    out: list[Verdict] = []
    low_chest = grade(max(chest), LOW_CHEST_UV, -120.0) if len(chest) == 6 else 0.0
    if len(limb) == 6:
        top = max(limb)
        low_limb = grade(top, LOW_LIMB_UV, -60.0)
        everywhere = top < LOW_LIMB_UV and low_chest > 0.5
        because = (f"largest limb QRS {mv(top)}", *((f"largest chest QRS {mv(max(chest))}",) if everywhere else ()))
        score = 0.7 * low_limb + 0.3 * both(low_limb, low_chest)
        out.append(Verdict("LVOLT", score, top < LOW_LIMB_UV, because, "definite" if everywhere else "probable"))
    if chest and len(chest) == 6:
        alone = low_chest > 0.5 and not (out and out[0].stated)
        out.append(Verdict("LOWCH", low_chest, alone, (f"largest chest QRS {mv(max(chest))}",), "definite"))
    return out
