"""Rules of infarction by Q waves, by territory and phase; poor R progression, S1Q3T3.

Limits: Fourth Universal Definition of Myocardial Infarction (Thygesen 2018), ECG changes with prior infarction:
Q ≥ 20 ms or QS in V2–V3; Q ≥ 30 ms and ≥ 0.1 mV, or QS, in I, II, aVL, aVF or V4–V6 in two contiguous leads; R over
40 ms with R/S over 1 in V1–V2 and upright T without conduction defect (posterior).
"""

from __future__ import annotations

from collections.abc import Iterable

from feldsher_signal.findings import Findings, Verdict, both, either, grade, mv
from feldsher_signal.paediatric import is_child

Q_MS, Q_UV, Q_CHEST_MS = 30.0, 100.0, 20.0
SMALL_Q = 0.25
"""Under this part of R a lateral Q is the septum's rather than a scar's (house rule, as in older definitions)."""
TERRITORIES = {
    "IMI": (("II", "aVF"), ("III", "aVF")),
    "ASMI": (("V1", "V2"), ("V2", "V3")),
    "AMI": (("V3", "V4"), ("V2", "V3")),
    "ALMI": (("V4", "V5"), ("V5", "V6")),
    "LMI": (("I", "aVL"), ("V5", "V6")),
}
"""Contiguous pairs by territory; III counts only together with aVF."""
REACH = {
    "IMI": ("II", "III", "aVF"),
    "ASMI": ("V1", "V2", "V3"),
    "AMI": ("V2", "V3", "V4"),
    "ALMI": ("V4", "V5", "V6", "I", "aVL"),
    "LMI": ("I", "aVL", "V5", "V6"),
    "PMI": ("V7", "V8", "V9"),
}
"""Where ST and T of a territory are looked at for its phase."""
ACUTE_UV, ACUTE_CHEST_UV, RECENT_UV = 100.0, 200.0, 100.0
"""Phase: ST still raised by 0.1 mV (V2–V3 0.2 mV): acute or aneurysm; T negative by 0.1 mV: recent; else old."""
POOR_R_UV = 300.0
"""R in V3 of 0.3 mV and less: Zema & Kligfield 1979."""
S1Q3_UV = 150.0
"""S1Q3T3: McGinn & White 1935; a note, most often without any embolism."""


def q_score(f: Findings, lead: str) -> float:
    """Return how far one lead's first negative deflection is pathological."""
    m = f.matrix[lead]
    if m.q > -30:
        return 0.0
    # An r that is all but absent leaves a QS.
    qs = both(grade(m.r, 40.0, -12.0), grade(-m.q, 150.0, 40.0)) if lead != "V1" else 0.6 * grade(m.r, 40.0, -12.0)
    if lead in ("V1", "V2", "V3"):
        return either([both(grade(m.q_ms, Q_CHEST_MS, 3.0), grade(-m.q, 50.0, 15.0)), qs])
    least = Q_UV if lead in REACH["IMI"] else max(Q_UV, SMALL_Q * m.r)
    return either([both(grade(m.q_ms, Q_MS, 4.0), grade(-m.q, least, 25.0)), qs])


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on infarction; none under 18; in left bundle branch block none is stated (criteria.py)."""
    if not f.twelve or is_child(f.subject):
        return []
    score = {lead: q_score(f, lead) for lead in f.matrix}
    poor = _poor_r(f)
    out: list[Verdict] = []
    for code, pairs in TERRITORIES.items():
        found = {pair: both(*(score.get(lead, 0.0) for lead in pair)) for pair in pairs}
        best = max(found, key=lambda pair: found[pair])
        value = either([found[best], 0.9 * poor if code in ("ASMI", "AMI") else 0.0])
        sure = "probable" if found[best] > 0.75 else "possible"
        stated = found[best] >= 0.5
        out.append(Verdict(code, value, stated, _because(f, best) if stated else (), sure))
    out.append(_posterior(f))
    out += _joined({v.code: v for v in out})
    seen = [v for v in out if v.stated]
    alone = [lead for lead in score if lead not in ("aVR", "III", "V1")]
    value = either(score[lead] for lead in alone)
    because = tuple(f"Q in {lead}" for lead in alone if score[lead] >= 0.5)
    out.append(Verdict("QWAVE", value, value >= 0.5 and not seen, because, "possible"))
    return [*out, *_phase(f, seen), *_notes(f, poor, bool(seen))]


def _because(f: Findings, leads: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        f"{lead}: Q {mv(-m.q)} for {m.q_ms:.0f} ms, R {mv(m.r)}" for lead in leads if (m := f.matrix.get(lead))
    )


def _posterior(f: Findings) -> Verdict:
    """Return the verdict on the posterior wall: a broad tall R with an upright T in V1 or V2, narrow QRS."""
    qrs, axis = f.measured.qrs, f.measured.axis_qrs
    best, because = 0.0, tuple[str, ...]()
    for lead in ("V1", "V2"):
        m = f.matrix[lead]
        score = both(
            grade(m.r_ms, 40.0, 3.0),
            grade(m.r + min(m.s, m.q, 0.0), 0.0, 60.0),
            grade(m.r, 500.0, 60.0),
            grade(m.t, 150.0, 40.0),
            grade(qrs, 118.0, -4.0),
            grade(axis, 90.0, -10.0),
            1.0 if m.r2 <= 0 else 0.0,
        )
        # V2 alone often looks so in health.
        score = score if lead == "V1" else 0.45 * score
        if score > best:
            best = score
            because = (f"{lead}: R {mv(m.r)} for {m.r_ms:.0f} ms, S {mv(-m.s)}, T {mv(m.t)}",)
    return Verdict("PMI", best, best >= 0.5, because, "possible")


def _joined(by: dict[str, Verdict]) -> list[Verdict]:
    """Return inferolateral and inferoposterior infarction where both walls are stated."""
    inferior, posterior = by["IMI"], by["PMI"]
    lateral = max((by["LMI"], by["ALMI"]), key=lambda v: v.score)
    out: list[Verdict] = []
    for code, other in (("ILMI", lateral), ("IPMI", posterior)):
        both_walls = inferior.stated and other.stated
        score = both(inferior.score, other.score)
        out.append(Verdict(code, score, both_walls, (*inferior.because, *other.because), inferior.certainty))
    return out


def _phase(f: Findings, seen: list[Verdict]) -> list[Verdict]:
    """Return in which phase the infarctions stated seem to be: acute, recent or old."""
    leads = [x for v in seen for x in REACH.get(v.code, ()) if x in f.matrix]
    if not leads:
        return []
    raised = [x for x in leads if f.matrix[x].st60 >= (ACUTE_CHEST_UV if x in ("V2", "V3") else ACUTE_UV)]
    raised = [x for x in raised if f.matrix[x].j >= 0.5 * ACUTE_UV]
    turned = [x for x in leads if f.matrix[x].t <= -RECENT_UV]
    acute, recent = len(raised) >= 2, len(turned) >= 2
    because = tuple(f"{x}: ST {mv(f.matrix[x].st60)}, T {mv(f.matrix[x].t)}" for x in dict.fromkeys(leads))
    return [
        Verdict("MIACUTE", 0.7 if acute else 0.2, acute, because, "possible"),
        Verdict("MIRECENT", 0.7 if recent else 0.2, recent and not acute, because, "possible"),
        Verdict("MIOLD", 0.2 if acute or recent else 0.7, not acute and not recent, because, "possible"),
    ]


def _poor_r(f: Findings) -> float:
    """Return how poorly R grows: R in V3 of 0.3 mV and less (Zema & Kligfield 1979)."""
    v3, v2 = f.matrix["V3"], f.matrix["V2"]
    return both(grade(v3.r, 250.0, -70.0), grade(v2.r, 250.0, -70.0), grade(-min(v3.s, v3.q), 300.0, 100.0))


def _notes(f: Findings, poor: float, seen: bool) -> list[Verdict]:
    """Return poor R progression and S1Q3T3, which point at nothing certain."""
    v3, v4 = f.matrix["V3"], f.matrix["V4"]
    score = both(poor, grade(v3.r, POOR_R_UV, -30.0))
    out = [
        Verdict("PRWP", score, score >= 0.5 and not seen, (f"R {mv(v3.r)} in V3, {mv(v4.r)} in V4",), "possible"),
    ]
    if f.has("I", "III"):
        one, three = f.matrix["I"], f.matrix["III"]
        both_signs = both(
            grade(-one.s, S1Q3_UV, 20.0),
            grade(-three.q, S1Q3_UV, 20.0),
            grade(three.r, 50.0, 20.0),
            grade(three.t, -50.0, -20.0),
        )
        why = (f"S {mv(-one.s)} in I, Q {mv(-three.q)} and T {mv(three.t)} in III",)
        out.append(Verdict("S1Q3T3", both_signs, both_signs >= 0.5, why, "possible"))
    return out
