"""Rules of ST, T and QT: elevation, depression, inversion, long QT.

ST limits: Fourth Universal Definition of Myocardial Infarction (Thygesen 2018), J point, two contiguous leads; T and
QT: AHA/ACCF/HRS 2009 part IV (Rautaharju et al., Circulation 2009;119:e241).
"""

from __future__ import annotations

from feldsher_signal.findings import CHEST, FRONTAL, Findings, Verdict, both, either, grade, mv, neighbours

ELEVATION_UV = 100.0
"""New J-point elevation in two contiguous leads other than V2–V3: ≥ 0.1 mV."""
DEPRESSION_UV = 50.0
"""New horizontal or downsloping ST depression ≥ 0.05 mV in two contiguous leads."""
INVERSION_UV = 100.0
"""T inversion > 0.1 mV in two contiguous leads with prominent R or R/S > 1."""
LONG_QT_MS = {"male": 450.0, "female": 460.0}
"""QTc prolonged from 450 ms in men, 460 ms in women; over 500 ms alarmed (both sexes)."""
ALARM_QT_MS = 500.0
SHORT_QT_MS = 340.0
"""Short QT: QTc ≤ 340 ms (ESC 2015, Priori)."""
STEMI_UV, STEMI_BROAD_UV, STEMI_LEADS = 200.0, 250.0, 4
"""Alarmed only from 0.2 mV with a reciprocal depression, or from 0.25 mV where four leads hold 0.2 mV through the ST
segment (house rule: PTB-XL's normal recordings must raise no alarm)."""


def v2_v3_limit(age: int, sex: str) -> float:
    """Return the V2–V3 limit in µV: men ≥ 40 y 0.2 mV, men < 40 y 0.25 mV, women 0.15 mV."""
    if sex == "female":
        return 150.0
    return 200.0 if age >= 40 else 250.0


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on repolarisation."""
    out = [*_qt(f)]
    if f.twelve:
        out += [*_elevation(f), *_depression(f), *_t_waves(f)]
    return out


def _qt(f: Findings) -> list[Verdict]:
    """QTc by Fridericia: AHA/ACCF/HRS 2009 part IV advises against Bazett at rates far from 60."""
    qtc, qrs, sex = f.measured.qtc_fridericia, f.measured.qrs, f.subject.sex
    if qtc is None:
        return []
    wide = qrs is not None and qrs >= 120
    because = (f"QTc {qtc:.0f} ms (Fridericia), QT {f.measured.qt or 0:.0f} ms at {f.measured.rate or 0:.0f}/min",)
    if sex in LONG_QT_MS:
        limit, score = LONG_QT_MS[sex], grade(qtc, LONG_QT_MS[sex], 10.0)
        because = (*because, f"limit {limit:.0f} ms ({sex})")
    else:
        limit, score = ALARM_QT_MS, grade(qtc, LONG_QT_MS["female"] + 5, 12.0)
        because = (*because, f"sex not given: stated from {limit:.0f} ms only")
    stated = qtc >= (limit + 30 if wide else limit)
    alarm = qtc > ALARM_QT_MS and not wide and f.r.shape[0] >= 5
    return [
        Verdict("LNGQT", score, stated, because, "probable", alarm and stated),
        Verdict("SHTQT", grade(qtc, SHORT_QT_MS, -8.0), qtc <= SHORT_QT_MS, because[:1], "possible"),
    ]


def _limits(f: Findings) -> dict[str, float]:
    """Return the elevation limit of each lead that can be judged: V2 and V3 only where age and sex are known."""
    limit: dict[str, float] = dict.fromkeys((*FRONTAL, *CHEST), ELEVATION_UV)
    if f.subject.age is None or f.subject.sex == "unknown":
        return {lead: value for lead, value in limit.items() if lead not in ("V2", "V3")}
    limit["V2"] = limit["V3"] = v2_v3_limit(f.subject.age, f.subject.sex)
    return limit


def _levels(f: Findings, point: str) -> dict[str, float]:
    """Return a point of the ST segment by lead, −aVR included as a lead of its own."""
    out = {lead: float(getattr(m, point)) for lead, m in f.matrix.items()}
    if "aVR" in out:
        out["-aVR"] = -out["aVR"]
    return out


def _elevation(f: Findings) -> list[Verdict]:
    j, limit = _levels(f, "j"), _limits(f)
    ratio, leads = neighbours(j, limit)
    down = either(-v for lead, v in j.items() if lead not in leads and lead not in ("aVR", "-aVR"))
    because = [f"J {mv(j[lead])} in {lead} (limit {mv(limit[lead])})" for lead in leads]
    if f.subject.age is None or f.subject.sex == "unknown":
        because.append("V2 and V3 not judged: age or sex not given")
    st = _levels(f, "st60")
    reciprocal = down >= DEPRESSION_UV and either(-st[lead] for lead in st if lead not in leads and lead != "aVR") >= 50
    size = max((j[lead] for lead in leads), default=0.0)
    broad = sum(j[lead] >= STEMI_UV and st[lead] >= 0.9 * j[lead] for lead in leads) >= STEMI_LEADS
    held = bool(leads) and size >= STEMI_UV and min(st[lead] for lead in leads) >= ELEVATION_UV
    sure = held and (reciprocal or (broad and size >= STEMI_BROAD_UV))
    if reciprocal:
        because.append(f"reciprocal depression {mv(-down)}")
    score = grade(ratio, 1.0, 0.18)
    return [
        Verdict("STE_", score, bool(leads), tuple(because), "possible"),
        Verdict("STEMI", both(score, 0.95 if sure else 0.45), sure, tuple(because), "probable", sure),
    ]


def _depression(f: Findings) -> list[Verdict]:
    j, st40, st80 = _levels(f, "j"), _levels(f, "st40"), _levels(f, "st80")
    # Horizontal or downsloping: no higher 40 ms after J than at J (less a noise of 25 µV); else what is left at J + 80.
    low = {
        lead: -max(j[lead], st40[lead]) if st40[lead] <= j[lead] + 25 else -max(st40[lead], st80[lead])
        for lead in j
        if lead != "aVR"
    }
    ratio, leads = neighbours(low, dict.fromkeys(low, DEPRESSION_UV))
    because = tuple(f"ST {mv(-low[lead])} in {lead}" for lead in leads)
    return [Verdict("STD_", grade(ratio, 1.0, 0.3), bool(leads), because, "possible")]


def _t_waves(f: Findings) -> list[Verdict]:
    upright = {
        lead: -m.t
        for lead, m in f.matrix.items()
        if lead in (*FRONTAL, *CHEST) and lead not in ("III", "V1") and (m.r > -m.s or lead in ("V2", "V3", "V4"))
    }
    ratio, leads = neighbours(upright, dict.fromkeys(upright, INVERSION_UV))
    inverted = Verdict(
        "INVT", grade(ratio, 1.0, 0.35), bool(leads), tuple(f"T {mv(f.matrix[x].t)} in {x}" for x in leads), "possible"
    )
    flat = {
        lead: f.matrix[lead].t / max(f.matrix[lead].r, 1.0)
        for lead in ("I", "II", "V4", "V5", "V6")
        if lead in f.matrix and f.matrix[lead].r > 300
    }
    # T under a tenth of R: flat or low T, AHA/ACCF/HRS 2009 part IV.
    low = [lead for lead, part in flat.items() if part < 0.1]
    score = grade(sorted(flat.values())[1] if len(flat) > 1 else None, 0.08, -0.03)
    because = tuple(f"T {mv(f.matrix[x].t)} with R {mv(f.matrix[x].r)} in {x}" for x in low)
    return [inverted, Verdict("NDT", score, len(low) >= 2, because, "possible")]
