"""Rules of ST depression and of the T wave, ischaemia by territory.

ST limits: Fourth Universal Definition of Myocardial Infarction (Thygesen 2018), two contiguous leads; T: AHA/ACCF/HRS
2009 part IV (Rautaharju et al., Circulation 2009;119:e241).
"""

from __future__ import annotations

from feldsher_signal.findings import CHEST, FRONTAL, Findings, Verdict, both, either, grade, mv, neighbours
from feldsher_signal.paediatric import is_child

DEPRESSION_UV = 50.0
"""New horizontal or downsloping ST depression ≥ 0.05 mV in two contiguous leads."""
INVERSION_UV = 100.0
"""T inversion > 0.1 mV in two contiguous leads with prominent R or R/S > 1."""
FLAT_PART = 0.1
"""T under a tenth of R: flat or low T, AHA/ACCF/HRS 2009 part IV."""
SPREAD_LEADS, SPREAD_UV = 6, 100.0
"""Depression ≥ 0.1 mV in six leads with elevation of aVR or V1: left main or several vessels (Thygesen 2018)."""
TERRITORIES = {
    "ISCAL": ("I", "aVL", "V4", "V5", "V6"),
    "ISCIN": ("II", "III", "aVF"),
    "ISCAN": ("V3", "V4"),
    "ISCAS": ("V1", "V2", "V3"),
    "ISCLA": ("I", "aVL"),
    "ISCIL": ("II", "III", "aVF", "V5", "V6"),
}
"""SCP-ECG's territories of ischaemia."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on ST depression and T waves; none without the chest leads."""
    if not f.twelve:
        return []
    low = depths(f)
    inverted = inversions(f)
    return [*_depression(f, low), *_spread(f, low), *_t_waves(f, inverted), *_territories(low, inverted)]


def depths(f: Findings) -> dict[str, float]:
    """Return how deep ST lies in µV (positive) by lead, −aVR included: horizontal or downsloping, or left at J + 80."""
    j, st40, st80 = f.st["j"], f.st["st40"], f.st["st80"]
    # Horizontal or downsloping: no higher 40 ms after J than at J (less a noise of 25 µV); else what is left at J + 80.
    return {
        lead: -max(j[lead], st40[lead]) if st40[lead] <= j[lead] + 25 else -max(st40[lead], st80[lead])
        for lead in j
        if lead != "aVR"
    }


def inversions(f: Findings) -> dict[str, float]:
    """Return how negative T is in µV (positive) in leads with a prominent R, V2–V4 whatever their R; not III, V1.

    Under 18 V1–V3 are inverted in health and are left out.
    """
    without = ("III", "V1", "V2", "V3") if is_child(f.subject) else ("III", "V1")
    return {
        lead: -m.t
        for lead, m in f.matrix.items()
        if lead in (*FRONTAL, *CHEST) and lead not in without and (m.r > -m.s or lead in ("V2", "V3", "V4"))
    }


def _depression(f: Findings, low: dict[str, float]) -> list[Verdict]:
    ratio, leads = neighbours(low, dict.fromkeys(low, DEPRESSION_UV))
    because = tuple(f"ST {mv(-low[lead])} in {lead}" for lead in leads)
    sure = "probable" if ratio >= 2 else "possible"
    # Depression of V1–V3 under upright T waves is an elevation seen from behind.
    behind = [x for x in ("V1", "V2", "V3") if low.get(x, 0.0) >= DEPRESSION_UV and f.matrix[x].t > 0]
    v2 = f.matrix["V2"]
    score = both(grade(len(behind), 1.6, 0.3), grade(v2.r + min(v2.s, v2.q), 0.0, 100.0), grade(v2.r, 300.0, 60.0))
    why = (f"ST depression with upright T in {', '.join(behind)}", "V2: R over S", "V7–V9 would tell")
    return [
        Verdict("STD_", grade(ratio, 1.0, 0.3), bool(leads), because, sure),
        Verdict("STPOST", score, score >= 0.5, why, "possible"),
    ]


def _spread(f: Findings, low: dict[str, float]) -> list[Verdict]:
    """Return depression in six leads with elevation in aVR or V1, and de Winter's upsloping kind under tall T."""
    deep = [x for x in low if x != "-aVR" and low[x] >= SPREAD_UV]
    up = max(f.matrix["aVR"].j if "aVR" in f.matrix else 0.0, f.matrix["V1"].j)
    score = both(grade(len(deep), SPREAD_LEADS - 0.5, 0.4), grade(up, 50.0, 15.0))
    out = [Verdict("STSPREAD", score, score >= 0.5, (f"ST depression in {', '.join(deep)}", f"aVR or V1 {mv(up)}"))]
    rising = [
        x
        for x in ("V2", "V3", "V4", "V5", "V6")
        if (m := f.matrix[x]).j <= -100 and m.st80 > m.j + 60 and m.t >= 600 and m.t_half_ms <= 160
    ]
    avr = f.matrix["aVR"].j if "aVR" in f.matrix else 0.0
    calm = f.measured.rate is not None and f.measured.rate < 120
    winter = both(grade(len(rising), 2.6, 0.3), grade(avr, 50.0, 10.0)) if calm else 0.0
    why = (f"upsloping ST depression under tall T in {', '.join(rising)}", f"aVR {mv(avr)}")
    return [*out, Verdict("DEWINTER", winter, winter >= 0.5, why, "possible", winter >= 0.5)]


def _t_waves(f: Findings, inverted: dict[str, float]) -> list[Verdict]:
    ratio, leads = neighbours(inverted, dict.fromkeys(inverted, INVERSION_UV))
    because = tuple(f"T {mv(f.matrix[x].t)} in {x}" for x in leads)
    flat = {
        lead: f.matrix[lead].t / max(f.matrix[lead].r, 1.0)
        for lead in ("I", "II", "V4", "V5", "V6")
        if lead in f.matrix and f.matrix[lead].r > 300
    }
    low = [lead for lead, part in flat.items() if part < FLAT_PART]
    score = grade(sorted(flat.values())[1] if len(flat) > 1 else None, 0.08, -0.03)
    why = tuple(f"T {mv(f.matrix[x].t)} with R {mv(f.matrix[x].r)} in {x}" for x in low)
    sure = "probable" if ratio >= 2 else "possible"
    return [
        Verdict("INVT", grade(ratio, 1.0, 0.35), bool(leads), because, sure),
        Verdict("NDT", score, len(low) >= 2, why, "possible"),
    ]


def _territories(low: dict[str, float], inverted: dict[str, float]) -> list[Verdict]:
    """Return ischaemia by territory: ST depression with T inversion in two leads of it; stated in criteria.py."""
    shared = [x for x in low if x in inverted]
    # Most leads are far from either limit.
    met = {
        x: both(grade(low[x], DEPRESSION_UV, 12.0), grade(inverted[x], INVERSION_UV, 30.0))
        for x in shared
        if low[x] > 0 and inverted[x] > 0
    }
    found: list[Verdict] = []
    for code, leads in TERRITORIES.items():
        here = sorted((met[x] for x in leads if x in met), reverse=True)
        score = here[1] if len(here) > 1 else 0.0
        if code == "ISCIL":
            walls = (("II", "III", "aVF"), ("V5", "V6"))
            score = both(*(either(met[x] for x in wall if x in met) for wall in walls))
        shown = tuple(f"{x}: ST {mv(-low[x])}, T {mv(-inverted[x])}" for x in leads if met.get(x, 0.0) >= 0.5)
        found.append(Verdict(code, score, False, shown, "possible"))
    return found
