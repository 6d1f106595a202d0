"""Rules of infarction by Q waves, by territory.

Limits: Fourth Universal Definition of Myocardial Infarction (Thygesen 2018), ECG changes with prior infarction:
Q ≥ 20 ms or QS in V2–V3; Q ≥ 30 ms and ≥ 0.1 mV, or QS, in I, II, aVL, aVF or V4–V6 in two contiguous leads.
"""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, both, either, grade, mv

Q_MS, Q_UV, Q_CHEST_MS = 30.0, 100.0, 20.0
TERRITORIES = {
    "IMI": (("II", "aVF"), ("III", "aVF")),
    "ASMI": (("V1", "V2"), ("V2", "V3")),
    "AMI": (("V3", "V4"), ("V2", "V3")),
    "ALMI": (("V4", "V5"), ("V5", "V6")),
    "LMI": (("I", "aVL"), ("V5", "V6")),
}
"""Contiguous pairs by territory; III counts only together with aVF."""


def q_score(f: Findings, lead: str) -> float:
    """Return how far one lead's first negative deflection is pathological."""
    m = f.matrix[lead]
    if m.q >= 0:
        return 0.0
    # An r that is all but absent leaves a QS.
    qs = both(grade(m.r, 40.0, -12.0), grade(-m.q, 150.0, 40.0)) if lead != "V1" else 0.6 * grade(m.r, 40.0, -12.0)
    if lead in ("V1", "V2", "V3"):
        return either([both(grade(m.q_ms, Q_CHEST_MS, 3.0), grade(-m.q, 50.0, 15.0)), qs])
    deep = either([grade(-m.q, max(Q_UV, 0.25 * m.r), 25.0), 0.0])
    return either([both(grade(m.q_ms, Q_MS, 4.0), deep), qs])


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on infarction; in left bundle branch block none is stated (criteria.py)."""
    if not f.twelve:
        return []
    score = {lead: q_score(f, lead) for lead in f.matrix}
    out: list[Verdict] = []
    for code, pairs in TERRITORIES.items():
        found = {pair: both(*(score.get(lead, 0.0) for lead in pair)) for pair in pairs}
        best = max(found, key=lambda pair: found[pair])
        because = tuple(
            f"{lead}: Q {mv(-f.matrix[lead].q)} for {f.matrix[lead].q_ms:.0f} ms, R {mv(f.matrix[lead].r)}"
            for lead in best
            if lead in f.matrix
        )
        value = either([found[best], 0.9 * _poor_r(f) if code in ("ASMI", "AMI") else 0.0])
        out.append(Verdict(code, value, found[best] >= 0.5, because, "probable" if found[best] > 0.75 else "possible"))
    seen = [v for v in out if v.stated]
    alone = either(score[lead] for lead in score if lead not in ("aVR", "III", "V1"))
    because = tuple(f"Q in {lead}" for lead in score if score[lead] >= 0.5 and lead not in ("aVR", "III", "V1"))
    out.append(Verdict("QWAVE", alone, alone >= 0.5 and not seen, because, "possible"))
    return out


def _poor_r(f: Findings) -> float:
    """Return how poorly R grows: R in V3 of 0.3 mV and less (Zema & Kligfield 1979)."""
    v3, v2 = f.matrix["V3"], f.matrix["V2"]
    return both(grade(v3.r, 250.0, -70.0), grade(v2.r, 250.0, -70.0), grade(-min(v3.s, v3.q), 300.0, 100.0))
