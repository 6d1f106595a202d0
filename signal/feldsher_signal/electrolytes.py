"""Patterns of potassium and calcium: hints that ask for a blood test, never more than `possible`.

AHA/ACCF/HRS 2009 part IV (Rautaharju) and Surawicz 1967 (Am Heart J 73:814): hyperkalaemia narrows and peaks T, then
widens QRS and flattens P; hypokalaemia lowers ST and T and raises U; hypocalcaemia lengthens ST and with it QT,
hypercalcaemia shortens ST. The figures are house rules: ludb and PTB-XL hold next to no such recordings.
"""

from __future__ import annotations

from feldsher_ehr_core.ecg import LeadMatrix

from feldsher_signal.findings import CHEST, Findings, Verdict, both, either, grade, mv

TENTED_UV, TENTED_MS, TENTED_OF_R = 1000.0, 90.0, 1.0
"""A tented T: ≥ 1.0 mV, at half its height 90 ms wide and less, as tall as R, in three chest leads."""
WIDE_MS = 120.0
U_UV = 100.0
ST_LONG_MS, ST_SHORT_MS, QTC_LONG_MS, QTC_SHORT_MS = 200.0, 40.0, 460.0, 350.0
"""ST from the end of QRS to the beginning of T: 58–174 ms in 90 % of ludb and PTB-XL."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on electrolyte patterns; none without the chest leads or intervals."""
    if not f.twelve or f.measured.qrs is None or f.measured.qt is None or f.measured.qtc_fridericia is None:
        return []
    return [*_hyperkalaemia(f), *_hypokalaemia(f), *_calcium(f)]


def _hyperkalaemia(f: Findings) -> list[Verdict]:
    """Tented T waves; alarmed with a wide QRS or without P waves."""
    qrs = f.measured.qrs or 0.0
    tented: dict[str, float] = {}
    for lead in CHEST[1:]:
        m = f.matrix[lead]
        narrow = grade(m.t_half_ms, TENTED_MS, -4.0) if m.t_half_ms else 0.0
        tall = both(grade(m.t, TENTED_UV, 80.0), grade(m.t / max(m.r, 1.0), TENTED_OF_R, 0.15))
        tented[lead] = both(narrow, tall)
    best = sorted(tented.values(), reverse=True)[2]
    leads = [lead for lead, score in tented.items() if score >= 0.5]
    late = qrs >= WIDE_MS or f.p_share < 0.2
    because = tuple(f"T {mv(f.matrix[x].t)}, {f.matrix[x].t_half_ms:.0f} ms wide in {x}" for x in leads)
    because += (f"QRS {qrs:.0f} ms, P waves before {100 * f.p_share:.0f} % of beats",) if late else ()
    return [Verdict("HYPERK", best, best >= 0.5, because, "possible", late and best >= 0.5)]


def _hypokalaemia(f: Findings) -> list[Verdict]:
    """U as tall as T in V2–V4, with low ST: both are asked for."""
    leads = [lead for lead in ("V2", "V3", "V4") if f.matrix[lead].u >= U_UV]
    taller = sorted((both(grade(m.u, U_UV, 12.0), grade(m.u - m.t, 0.0, 25.0)) for m in _front(f)), reverse=True)
    low = either(grade(-f.matrix[x].st80, 50.0, 12.0) for x in ("V4", "V5", "V6", "II"))
    score = both(taller[1], low, grade(f.measured.rate, 100.0, -5.0))
    because = tuple(f"U {mv(f.matrix[x].u)} with T {mv(f.matrix[x].t)} in {x}" for x in leads)
    return [Verdict("HYPOK", score, score >= 0.5, because, "possible")]


def _front(f: Findings) -> tuple[LeadMatrix, ...]:
    return f.matrix["V2"], f.matrix["V3"], f.matrix["V4"]


def _calcium(f: Findings) -> list[Verdict]:
    """Return ST long with a long QT, or all but absent with a short QT; neither with a wide QRS."""
    qrs, qt, qtc = f.measured.qrs or 0.0, f.measured.qt or 0.0, f.measured.qtc_fridericia
    lengths = sorted(qt - qrs - f.matrix[x].t_ms for x in ("II", "V4", "V5", "V6") if f.matrix[x].t_ms > 0)
    if not lengths:
        return []
    st, narrow = lengths[len(lengths) // 2], grade(qrs, WIDE_MS, -4.0)
    # The usual ST shortens with the interval: judged at a rate of 60 by the cube root, as QT is.
    at_60 = st * (qtc or qt) / qt if qt else st
    slow = grade(f.measured.rate, 100.0, -5.0)
    low = both(grade(at_60, ST_LONG_MS, 12.0), grade(qtc, QTC_LONG_MS, 8.0), narrow, slow)
    high = both(grade(at_60, ST_SHORT_MS, -10.0), grade(qtc, QTC_SHORT_MS, -6.0), narrow)
    because = (f"ST lasts {st:.0f} ms, QTc {qtc or 0:.0f} ms",)
    return [
        Verdict("HYPOCA", low, low >= 0.5, because, "possible"),
        Verdict("HYPERCA", high, high >= 0.5, because, "possible"),
    ]
