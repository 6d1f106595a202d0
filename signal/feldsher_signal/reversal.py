"""Electrodes in each other's place, and the heart on the right: said before any finding.

Arms: I upside down while V6 is not; right arm and left leg: II; AHA/ACC/HRS 2007 part I (Kligfield), Batchvarov 2007
(Europace 9:1081); an arm and the right leg: a flat lead (Haisty 1993). Left arm and left leg: P in I over that in II,
III upside down (Abdollah & Milliken 1997), too weak to find many. Chest: the way of QRS, T and P from V1 to V6 turns
back (Hedén 1995). Exchanged on paper (benchmarks/electrodes.py) PTB-XL's recordings were the measure.
"""

from __future__ import annotations

from collections.abc import Sequence

from feldsher_ehr_core.ecg import LeadMatrix

from feldsher_signal.findings import CHEST, Findings, Verdict, both, grade
from feldsher_signal.paediatric import is_child

LIMB = ("I", "II", "III")
FLAT_UV = 60.0
"""A limb lead of less than this, with the other five alive, lies between the legs: right arm and right leg."""

SWAPS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 2))
SMOOTHER, ROUGH = 0.28, 4.0
"""Chest electrodes are suspected where an exchange leaves so little of the bending, of so much (house rule: of PTB-XL's
243 recordings one is suspected as it is, and 30–42 % after exchanging V1–V2, V2–V3, V3–V4 or V1–V3)."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on the electrodes' places."""
    limb = _limb(f) if f.has("I", "II", "III", "aVR", "V5", "V6") else []
    return [*limb, *_legs(f), *(_chest(f) if f.twelve else [])]


def _down(m: LeadMatrix, p_known: bool) -> float:
    """Return how far P (where there is one) and QRS of a lead point down, and T does not point up."""
    p = grade(m.p, -15.0, -6.0) if p_known else grade(m.t, -40.0, -15.0)
    return both(p, grade(m.qrs_area, 0.0, -3.0), grade(m.t, 40.0, -25.0))


def _limb(f: Findings) -> list[Verdict]:
    """I points down and V6 up: arms; II down: right arm and left leg; V6 down too: the heart lies on the right."""
    one, two, three, avr = (f.matrix[name] for name in ("I", "II", "III", "aVR"))
    v5, v6 = f.matrix["V5"], f.matrix["V6"]
    p_known = f.p_share > 0.5
    # A P wave of aVR that is hardly negative comes from no sinus node in place.
    odd = grade(avr.p, -50.0, 8.0) if p_known else grade(avr.t, -50.0, 20.0)
    left = both(grade(v6.qrs_area, 0.0, 3.0), grade(v6.p, 10.0, 6.0) if p_known else 1.0)
    # With right arm and left leg exchanged III shows I upside down; with the arms exchanged it shows II.
    last = grade(three.p, 0.0, -8.0) if p_known else grade(three.qrs_area, 0.0, -3.0)
    upside = both(_down(two, p_known), grade(avr.qrs_area, 0.0, 3.0), last)
    arm, leg = both(_down(one, p_known), odd, left, 1 - upside), both(upside, odd, left)
    # In a heart on the right the chest leads lose their R toward V6; with exchanged arms they gain it.
    right = both(grade(v6.qrs_area, 0.0, -3.0), grade(v6.qrs_area, v5.qrs_area + 3.0, -2.0))
    dextro = both(_down(one, p_known), odd, right, 1 - upside)
    text = (f"I: P {one.p:.0f} µV, QRS area {one.qrs_area:.1f} µVs, T {one.t:.0f} µV", f"aVR: P {avr.p:.0f} µV")
    second = (f"II: P {two.p:.0f} µV, QRS area {two.qrs_area:.1f} µVs, T {two.t:.0f} µV", text[1])
    chest = (f"QRS area {v5.qrs_area:.1f} µVs in V5, {v6.qrs_area:.1f} µVs in V6",)
    out = [
        Verdict("REVARM", arm, arm > 0.5, text, "possible"),
        Verdict("REVLEG", leg, leg > 0.5, second, "possible"),
        Verdict("DEXTRO", dextro, dextro > 0.5, (*text, *chest), "possible"),
    ]
    return [*out, *_left(f, p_known)]


def _legs(f: Findings) -> list[Verdict]:
    """One of I, II and III flat, the others alive: an arm electrode on the right leg (Haisty 1993).

    An electrode that is off leaves two of them without a signal, never one.
    """
    if not all(lead in f.quality.leads for lead in LIMB):
        return []
    flat = [lead for lead in LIMB if f.quality.leads[lead].issues == ("flat",)]
    sizes = {lead: f.matrix[lead].peak_to_peak if lead in f.matrix else 0.0 for lead in LIMB}
    low = flat[0] if len(flat) == 1 else min(LIMB, key=lambda lead: sizes[lead])
    if low not in f.matrix and not flat:
        return []
    rest = min(size for lead, size in sizes.items() if lead != low)
    score = both(grade(sizes[low], FLAT_UV, -8.0), grade(rest, 200.0, 30.0))
    because = (f"{low} {sizes[low]:.0f} µV, the others {rest:.0f} µV and more",)
    return [Verdict("REVFLAT", score, score >= 0.5, because, "possible")]


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
