"""Infarction under left bundle branch block or ventricular pacing: Sgarbossa's criteria as modified by Smith.

Sgarbossa 1996 (NEJM 334:481), Smith 2012 (Ann Emerg Med 60:766): any of concordant ST elevation of 0.1 mV, concordant
depression of 0.1 mV in V1–V3, or elevation of 0.1 mV that is a quarter and more of the S wave before it.
"""

from __future__ import annotations

from feldsher_signal.conduction import ENDS_MS
from feldsher_signal.findings import Findings, Verdict, both, either, grade, mv

ST_UV, PART = 100.0, 0.25
WIDE_MS = 120.0
LEADS = ("I", "II", "III", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def judge(f: Findings) -> list[Verdict]:
    """Return the verdict; criteria.py states it only beside left bundle branch block or ventricular pacing."""
    qrs = f.measured.qrs
    if not f.twelve or qrs is None or qrs < WIDE_MS:
        return []
    scores: list[float] = [0.0]
    because: list[str] = []
    for lead in LEADS:
        m = f.matrix.get(lead)
        # A QRS whose last wave peaks where it "ends" ends later: what stands there is no J point.
        if m is None or m.rpt_ms > qrs - ENDS_MS:
            continue
        deep, upright = -min(m.q, m.s, m.s2, 0.0), m.qrs_area > 0
        if upright:
            score, word = grade(m.j, ST_UV, 12.0), "concordant elevation"
        elif lead in ("V1", "V2", "V3") and m.j < 0:
            score, word = grade(-m.j, ST_UV, 12.0), "concordant depression"
        else:
            part = m.j / deep if deep > 300 else 0.0
            score, word = both(grade(m.j, ST_UV, 12.0), grade(part, PART, 0.02)), f"{100 * part:.0f} % of S, elevation"
        scores.append(score)
        if score >= 0.5:
            because.append(f"{word} in {lead}: J {mv(m.j)}")
    best = either(scores)
    return [Verdict("SGARB", best, best >= 0.5, tuple(because), "possible", len(because) > 1)]
