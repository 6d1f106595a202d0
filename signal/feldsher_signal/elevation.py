"""Rules of ST elevation: infarction and what only looks like it.

Limits: Fourth Universal Definition of Myocardial Infarction (Thygesen 2018), J point, two contiguous leads. A
suspected infarction is alarmed, so it asks more than the limit: elevation that lasts through the ST segment and its
mirror image, or a height and spread that no early repolarisation has. Early repolarisation: Macfarlane 2015 (JACC
66:470); pericarditis: Spodick 2003, ST/T in V6: Ginzton & Laks 1982; Brugada: Bayés de Luna 2012, Corrado 2010.
"""

from __future__ import annotations

from collections.abc import Mapping

from feldsher_signal.findings import CHEST, FRONTAL, Findings, Verdict, both, either, grade, judged, mv, neighbours
from feldsher_signal.paediatric import is_child

ELEVATION_UV, BACK_UV = 100.0, 50.0
"""New J-point elevation in two contiguous leads other than V2–V3: ≥ 0.1 mV; V7–V9 0.05 mV."""
MIRROR_UV = 50.0
"""A reciprocal depression is one of 0.05 mV and more at J and 40 ms later."""
STEMI_UV, STEMI_BROAD_UV, STEMI_LEADS, STEMI_HIGH_UV, STEMI_HIGH_LEADS = 200.0, 250.0, 4, 300.0, 3
"""Alarmed only from 0.2 mV with a reciprocal depression, or from 0.25 mV where four leads hold 0.2 mV through the ST
segment, or from 0.3 mV where three do (house rule: PTB-XL's normal recordings must raise no alarm)."""
EARLY_UV, EARLY_PART = 250.0, 0.4
"""No early repolarisation at and over this height, or where ST at 60 ms is more than this part of T (house rule)."""
SMITH = 23.4
"""Anterior occlusion, not early repolarisation: 1.196 × ST V3 (60 ms, mm) + 0.059 × QTc (Bazett) − 0.326 × R V4 (mm):
Smith 2012, Ann Emerg Med 60:45."""
PART_OF_QRS = 0.25
"""Elevation that is less of the QRS may come of left ventricular hypertrophy: Armstrong 2012 (AJC 110:977)."""
NOTCH_UV, COVED_UV = 100.0, 200.0
OPPOSITE = {
    "II": ("I", "aVL"),
    "III": ("I", "aVL"),
    "aVF": ("I", "aVL"),
    "I": ("III", "aVF", "II"),
    "aVL": ("III", "aVF", "II"),
    **dict.fromkeys(CHEST, ("III", "aVF", "II")),
    **dict.fromkeys(("V7", "V8", "V9"), ("V1", "V2", "V3")),
}
"""Where the mirror image of an elevation is sought: AHA/ACCF/HRS 2009 part VI (Wagner)."""


FEWEST = 6
"""Leads from which ST elevation is looked for: an electrode that is off must not hide an infarction (house rule)."""
_USUAL: dict[str, float] = dict.fromkeys((*FRONTAL, "V1", "V4", "V5", "V6"), ELEVATION_UV)


def v2_v3_limit(age: int | None, sex: str) -> float:
    """Return the V2–V3 limit in µV: men ≥ 40 y 0.2 mV, men < 40 y 0.25 mV, women 0.15 mV.

    Without an age or a sex the highest that may hold: more than that is raised in any adult.
    """
    if sex == "female":
        return 150.0
    return 200.0 if age is not None and age >= 40 else 250.0


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on ST elevation; of what was recorded, where at least six leads were."""
    if len(f.matrix) < FEWEST or not f.has("I", "II"):
        return []
    j = f.st["j"]
    quiet = _early(f, j)
    quiet += _pericarditis(f, j) if f.twelve else []
    quiet += _brugada(f) if f.has("V1", "V2") else []
    return [*_elevation(f, j, either(v.score for v in quiet if v.code != "BRUG1")), *quiet]


def _limits(f: Findings) -> dict[str, float]:
    """Return the elevation limit of each lead that can be judged: V2 and V3 not under 18."""
    if is_child(f.subject):
        return _USUAL
    front = v2_v3_limit(f.subject.age, f.subject.sex)
    return {**_USUAL, "V2": front, "V3": front}


def mirrored(j: Mapping[str, float], st40: Mapping[str, float], leads: tuple[str, ...]) -> float:
    """Return the deepest reciprocal depression in µV (positive) opposite to elevated leads, at J and 40 ms later."""
    across = {x for lead in leads for x in OPPOSITE.get(lead, ()) if x in j and x not in leads}
    return max((-max(j[x], st40[x]) for x in across), default=0.0)


def _elevation(f: Findings, j: dict[str, float], benign: float) -> list[Verdict]:
    limit, st40, st60 = _limits(f), f.st["st40"], f.st["st60"]
    ratio, leads = neighbours(j, limit)
    because = [f"J {mv(j[lead])} in {lead} (limit {mv(limit[lead])})" for lead in leads]
    if "V2" not in limit:
        because.append("V2 and V3 not judged: age under 18")
    elif not f.aged and not {"V2", "V3"}.isdisjoint(leads):
        because.append(f"age or sex not given: V2 and V3 from {mv(limit['V2'])} only, the highest limit that may hold")
    down = mirrored(j, st40, leads)
    size = max((j[lead] for lead in leads), default=0.0)
    holding = sum(j[lead] >= STEMI_UV and st60[lead] >= 0.9 * j[lead] for lead in leads)
    broad = holding >= STEMI_LEADS or (holding >= STEMI_HIGH_LEADS and size >= STEMI_HIGH_UV)
    held = bool(leads) and size >= STEMI_UV and min(st60[lead] for lead in leads) >= ELEVATION_UV
    # Where only V1–V4 are raised, as in many healthy and in thick hearts, the mirror image alone is not enough.
    front = all(lead in CHEST[:4] for lead in leads)
    occluded = not front or (smith(f) > SMITH and max((_part(f, x) for x in leads), default=0.0) >= PART_OF_QRS)
    spread = broad and size >= STEMI_BROAD_UV and benign < 0.5 and smith(f) > SMITH
    sure = (held and occluded and (down >= MIRROR_UV or spread)) or _back(j)
    if down >= MIRROR_UV:
        because.append(f"reciprocal depression {mv(-down)}")
    score = grade(ratio, 1.0, 0.18)
    return [
        Verdict("STE_", score, bool(leads), tuple(because), "probable" if ratio >= 1.5 else "possible"),
        Verdict("STEMI", 0.95 if sure else both(score, 0.45), sure, tuple(because), "probable", sure),
    ]


def smith(f: Findings) -> float:
    """Return Smith's sum for an anterior occlusion; 0 where V3, V4 or QTc were not measured."""
    if not f.has("V3", "V4") or f.measured.qtc_bazett is None:
        return 0.0
    return 0.01196 * f.matrix["V3"].st60 + 0.059 * f.measured.qtc_bazett - 0.00326 * f.matrix["V4"].r


def _part(f: Findings, lead: str) -> float:
    """Return what part of the lead's QRS, peak to peak, its ST elevation at J is."""
    m = f.matrix[lead]
    return m.j / max(m.peak_to_peak, 1.0)


def _back(j: dict[str, float]) -> bool:
    """Say whether two of V7–V9, where they were recorded, are elevated by 0.05 mV with depression in V1–V3."""
    back = sum(j[x] >= BACK_UV for x in ("V7", "V8", "V9") if x in j)
    return back >= 2 and min(j.get(x, 0.0) for x in ("V1", "V2", "V3")) <= -BACK_UV


def _pericarditis(f: Findings, j: dict[str, float]) -> list[Verdict]:
    """Return whether concave elevation is everywhere but in aVR and V1, ST/T over 0.25 in V6, and no mirror image."""
    leads = [x for x in ("I", "II", "aVF", "V2", "V3", "V4", "V5", "V6") if x in f.matrix]
    raised = [x for x in leads if j[x] >= 0.5 * ELEVATION_UV and f.matrix[x].st80 > j[x]]
    v6 = f.matrix["V6"]
    part = j["V6"] / v6.t if v6.t > 100 else 0.0
    deepest = max((-j[x] for x in j if x not in ("aVR", "V1", "-aVR", "III", "aVL")), default=0.0)
    score = both(
        grade(len(raised), 6.0, 0.6),
        grade(part, 0.25, 0.04),
        grade(j["V6"], 60.0, 15.0),
        grade(-f.matrix["aVR"].j if "aVR" in f.matrix else None, 40.0, 12.0),
        grade(deepest, 30.0, -10.0),
    )
    because = (f"concave ST elevation in {', '.join(raised)}", f"V6: J {mv(j['V6'])} is {100 * part:.0f} % of T")
    return [judged("PERI", score, because, "possible")]


def _early(f: Findings, j: dict[str, float]) -> list[Verdict]:
    """Return early repolarisation: an end-QRS notch of 0.1 mV, or concave elevation with tall T, in two leads."""
    qrs = f.measured.qrs
    groups = (("II", "III", "aVF"), ("I", "aVL", "V4", "V5", "V6"))
    notched = [x for group in groups for x in group if x in f.matrix and f.matrix[x].notch >= NOTCH_UV]
    concave = [
        x
        for x in ("V3", "V4", "V5", "V6", "II", "aVF")
        if x in f.matrix
        and j[x] >= ELEVATION_UV
        and f.matrix[x].t >= 500
        and f.matrix[x].st80 > f.matrix[x].st20 >= j[x] - 25
        and f.matrix[x].st60 < EARLY_PART * f.matrix[x].t
        and f.matrix[x].r > 500
    ]
    together = max(sum(x in notched for x in group) for group in groups)
    highest = max(v for lead, v in j.items() if lead not in ("aVR", "-aVR"))
    low = both(grade(highest, EARLY_UV, -12.0), grade(smith(f), SMITH, -0.4), grade(qrs, 120.0, -4.0))
    score = both(either([grade(together, 1.6, 0.3), grade(len(concave), 1.6, 0.3)]), low)
    because = tuple(f"notch of {mv(f.matrix[x].notch)} at the end of QRS in {x}" for x in notched)
    because += tuple(f"concave J {mv(j[x])} with T {mv(f.matrix[x].t)} in {x}" for x in concave)
    return [judged("EARLY", score, because, "possible")]


def _brugada(f: Findings) -> list[Verdict]:
    """Return the Brugada pattern type 1: coved elevation of 0.2 mV falling into a negative T in V1 or V2."""
    best, because = 0.0, tuple[str, ...]()
    for lead in ("V1", "V2"):
        m = f.matrix[lead]
        top = max(m.j, m.st20)
        score = both(
            grade(top, COVED_UV, 20.0),
            grade(top - m.st80, 40.0, 10.0),
            grade(m.st40 - m.st80, 10.0, 5.0),
            grade(m.t, -50.0, -15.0),
            grade(m.st80, 20.0, 15.0),
        )
        if score > best:
            best = score
            because = (f"{lead}: J {mv(top)}, 80 ms later {mv(m.st80)}, T {mv(m.t)}",)
    return [judged("BRUG1", best, because, "probable")]
