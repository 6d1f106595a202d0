"""Electrodes in each other's place, and the heart on the right: said before any finding.

Arms: I upside down while V6 is not; right arm and leg: I, II and III; AHA/ACC/HRS 2007 part I (Kligfield), Batchvarov
2007 (Europace 9:1081). Left arm and leg: P in I over that in II with P in III ending upright (Abdollah & Milliken
1997); by itself too weak to be more than a hint. Chest: the way of QRS and T from V1 to V6 turns back (Hedén 1995).
"""

from __future__ import annotations

from collections.abc import Sequence

from feldsher_ehr_core.ecg import LeadMatrix

from feldsher_signal.findings import CHEST, Findings, Verdict, both, grade
from feldsher_signal.paediatric import is_child

FLAT_UV = 60.0
"""A limb lead of less than this, with the other five alive, lies between the legs: right arm and right leg."""

SWAPS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 2))
SMOOTHER, ROUGH = 0.28, 4.0
"""Chest electrodes are suspected where an exchange leaves so little of the bending, of so much (house rule: of PTB-XL's
243 recordings one is suspected as it is, and 30–42 % after exchanging V1–V2, V2–V3, V3–V4 or V1–V3)."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on the electrodes' places."""
    limb = _limb(f) if f.has("I", "II", "III", "aVR", "V5", "V6") else []
    return [*limb, *(_chest(f) if f.twelve else [])]


def _down(m: LeadMatrix, p_known: bool) -> float:
    """Return how far P (where there is one), QRS and T of a lead all point down."""
    p = grade(m.p, -20.0, -8.0) if p_known else 1.0
    return both(p, grade(m.qrs_area, 0.0, -3.0), grade(m.t, 0.0, -30.0))


def _limb(f: Findings) -> list[Verdict]:
    one, two, three, avr = (f.matrix[name] for name in ("I", "II", "III", "aVR"))
    v5, v6 = f.matrix["V5"], f.matrix["V6"]
    p_known = f.p_share > 0.5
    down = both(_down(one, p_known), grade(one.t, 0.0, -30.0))
    up = both(grade(avr.qrs_area, 0.0, 3.0), grade(avr.p if p_known else avr.t, 0.0, 10.0))
    left = grade(v6.qrs_area, 0.0, 3.0)
    leg = both(down, grade(two.qrs_area, 0.0, -3.0), grade(two.p, -20.0, -8.0), grade(three.qrs_area, 0.0, -3.0))
    # In a heart on the right the chest leads lose their R toward V6; with exchanged arms they gain it.
    arm = both(down, up, left, 1 - leg)
    dextro = both(down, up, 1 - left, grade(v6.qrs_area, v5.qrs_area + 3.0, -2.0), 1 - leg)
    text = (f"I: P {one.p:.0f} µV, QRS area {one.qrs_area:.1f} µVs, T {one.t:.0f} µV", f"aVR: P {avr.p:.0f} µV")
    chest = (f"QRS area {v5.qrs_area:.1f} µVs in V5, {v6.qrs_area:.1f} µVs in V6",)
    out = [
        Verdict("REVARM", arm, arm > 0.5, text, "possible"),
        Verdict("REVLEG", both(leg, up, left), both(leg, up, left) > 0.5, text, "possible"),
        Verdict("DEXTRO", dextro, dextro > 0.5, (*text, *chest), "possible"),
    ]
    return [*out, *_legs(f), *_left(f, p_known)]


def _legs(f: Findings) -> list[Verdict]:
    """One limb lead flat among five that are not: an arm electrode on the right leg (Haisty 1993)."""
    sizes = {name: f.matrix[name].peak_to_peak for name in ("I", "II", "III")}
    low = min(sizes, key=lambda name: sizes[name])
    rest = min(size for name, size in sizes.items() if name != low)
    score = both(grade(sizes[low], FLAT_UV, -8.0), grade(rest, 300.0, 50.0))
    return [Verdict("REVFLAT", score, score >= 0.5, (f"{low} {sizes[low]:.0f} µV, the others {rest:.0f} µV and more",))]


def _left(f: Findings, p_known: bool) -> list[Verdict]:
    """Left arm and left leg: I and II, and aVL and aVF, stand in each other's place, III upside down."""
    one, two, three = (f.matrix[name] for name in ("I", "II", "III"))
    axis = f.measured.axis_p
    if not p_known or axis is None:
        return [Verdict("REVLEFT", 0.0)]
    score = both(
        grade(one.p - two.p, 40.0, 10.0),
        grade(three.p, -40.0, -10.0),
        grade(-axis, 20.0, 6.0),
        grade(one.p, 70.0, 12.0),
        grade(one.t - two.t, 0.0, 25.0),
        grade(three.t, 0.0, -20.0),
    )
    because = (f"P {one.p:.0f} µV in I, {two.p:.0f} µV in II, {three.p:.0f} µV in III", f"P axis {axis:.0f}°")
    return [Verdict("REVLEFT", score, score >= 0.5, because, "possible")]


def roughness(values: Sequence[float]) -> float:
    """Return the bending of a row: the sum of its second differences' squares over the square of its range."""
    span = max(values) - min(values)
    if span <= 0:
        return 0.0
    total = 0.0
    for k in range(1, len(values) - 1):
        bend = values[k - 1] - 2 * values[k] + values[k + 1]
        total += bend * bend
    return total / span**2


def _chest(f: Findings) -> list[Verdict]:
    """Return whether exchanging two chest leads makes the way of QRS, T and P from V1 to V6 much smoother."""
    if is_child(f.subject):
        return []
    leads = [f.matrix[x] for x in CHEST]
    rows = [[m.qrs_area for m in leads], [m.d40 for m in leads], [m.t_area for m in leads]]
    if f.p_share > 0.5:
        rows.append([m.p_area for m in leads])
    now = sum(map(roughness, rows))
    if now < 0.5 * ROUGH:
        return [Verdict("REVCHEST", 0.0)]
    best, pair = now, (0, 0)
    for a, b in SWAPS:
        total = 0.0
        for row in rows:
            turned = row.copy()
            turned[a], turned[b] = row[b], row[a]
            total += roughness(turned)
        if total < best:
            best, pair = total, (a, b)
    score = both(grade(best / max(now, 1e-9), SMOOTHER, -0.05), grade(now, ROUGH, 0.4)) if best < now else 0.0
    because = (f"{CHEST[pair[0]]} and {CHEST[pair[1]]} exchanged: bending {best:.1f} instead of {now:.1f}",)
    return [Verdict("REVCHEST", score, score >= 0.5, because, "possible")]
