"""Rules of QT: long and short, by age and sex.

AHA/ACCF/HRS 2009 part IV (Rautaharju et al., Circulation 2009;119:e241): QTc long from 450 ms in men and 460 ms in
women; Bazett is advised against at rates far from 60, so Fridericia is taken (children: Bazett, as their tables do).
QT is corrected for the usual interval before the beats it is measured in (measure.rate_before), not for the mean rate.
"""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, grade

LONG_QT_MS = {"male": 450.0, "female": 460.0}
"""QTc prolonged from 450 ms in men, 460 ms in women; over 500 ms alarmed (both sexes)."""
ALARM_QT_MS = 500.0
CHILD_MS = 460.0
"""Under 16 years a QTc over the 98th percentile is stated from here on."""
SHORT_QT_MS = 340.0
"""Short QT: QTc ≤ 340 ms (ESC 2015, Priori)."""
WIDE_MS, ALLOWED_MS = 120.0, 30.0
"""A wide QRS lengthens QT by itself (part IV); house rule: 30 ms are allowed for it, and nothing is alarmed."""
SURE_LEADS, SURE_UV = 4, 100.0
"""Alarmed where so many leads have a T wave of so much: a T end without a T wave is a guess (house rule)."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on QT; without a sex only what is long in both is stated."""
    if f.limits is not None:
        return _child(f)
    qtc, qrs, sex = f.measured.qtc_fridericia, f.measured.qrs, f.subject.sex
    if qtc is None or f.subject.age == 0:
        return []
    wide = qrs is not None and qrs >= WIDE_MS
    because = (
        f"QTc {qtc:.0f} ms (Fridericia), QT {f.measured.qt or 0:.0f} ms, mean rate {f.measured.rate or 0:.0f}/min",
    )
    if sex in LONG_QT_MS:
        limit, score = LONG_QT_MS[sex], grade(qtc, LONG_QT_MS[sex], 10.0)
        why = (*because, f"limit {limit:.0f} ms ({sex})")
    else:
        limit, score = ALARM_QT_MS, grade(qtc, LONG_QT_MS["female"] + 5, 12.0)
        why = (*because, f"sex not given: stated from {limit:.0f} ms only")
    stated = qtc >= (limit + ALLOWED_MS if wide else limit)
    alarm = qtc > ALARM_QT_MS and not wide and _sure(f)
    return [
        Verdict("LNGQT", score, stated, why, "definite" if qtc >= limit + ALLOWED_MS else "probable", alarm and stated),
        Verdict("SHTQT", grade(qtc, SHORT_QT_MS, -8.0), qtc <= SHORT_QT_MS, because, "possible"),
    ]


def _sure(f: Findings) -> bool:
    """Say whether the T wave is clear enough, and seen often enough, to alarm on its end."""
    tall = sum(max(abs(m.t), abs(m.t2)) >= SURE_UV for m in f.matrix.values())
    return f.r.shape[0] >= 5 and tall >= min(SURE_LEADS, len(f.matrix))


def _child(f: Findings) -> list[Verdict]:
    qtc, table = f.measured.qtc_bazett, f.limits
    if qtc is None or table is None:
        return []
    low, high = table.qtc
    because = (f"QTc {qtc:.0f} ms (Bazett; at {table.group} 2nd to 98th percentile {low:.0f} to {high:.0f} ms)",)
    stated = qtc > max(high, CHILD_MS)
    return [
        Verdict("LNGQT", grade(qtc, max(high, CHILD_MS), 10.0), stated, because, "probable", qtc > 500 and _sure(f)),
        Verdict("SHTQT", grade(qtc, SHORT_QT_MS, -8.0), qtc <= SHORT_QT_MS, because, "possible"),
    ]
