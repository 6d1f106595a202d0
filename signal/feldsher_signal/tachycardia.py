"""Fast rhythms without P waves: supraventricular, wide, and complexes of which no two are alike."""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, both, grade, noisy
from feldsher_signal.paediatric import GROWN_RATES, MOST_ABOVE, rates

FAST = 140.0
"""Regular and faster, without P waves: AHA/ACC/HRS 2007 part II (Mason); alarmed where sinus tachycardia is."""
WIDE_MS = 130.0
"""Wide complexes may be ventricular: Brugada 1991 (120 ms, here with a margin for what is measured)."""


def judge(f: Findings, rate: float, p_share: float, irregular: float) -> list[Verdict]:
    """Return the verdicts on fast regular rhythms and on chaos."""
    return [*_regular(f, rate, p_share, irregular), _chaos(f)]


def _regular(f: Findings, rate: float, p_share: float, irregular: float) -> list[Verdict]:
    """Regular and fast without P waves: supraventricular when narrow, of unknown origin when wide (Brugada 1991)."""
    qrs = f.measured.qrs
    if qrs is None:
        return []
    # Small children reach these rates in sinus rhythm.
    most = rates(f.subject).most
    over = max(FAST, most - MOST_ABOVE + 10.0) if most > GROWN_RATES.most else FAST
    fast = both(grade(rate, over, 4.0), grade(p_share, 0.5, -0.1), grade(irregular, 0.06, -0.01))
    wide = grade(qrs, WIDE_MS, 5.0)
    because = (f"regular, {rate:.0f}/min, QRS {qrs:.0f} ms", f"P wave before {100 * p_share:.0f} % of the beats")
    narrow, broad = both(fast, 1 - wide), both(fast, wide)
    return [
        Verdict("SVTAC", narrow, narrow >= 0.5, because, "possible", rate > most and narrow >= 0.5),
        Verdict("WCT", broad, broad >= 0.5, because, "possible", broad >= 0.5 and not noisy(f)),
    ]


def _chaos(f: Findings) -> Verdict:
    """Return whether there are stretches without complexes: ventricular fibrillation or flutter."""
    if not f.chaos:
        return Verdict("VFIB", 0.02)
    lasted = sum(b - a for a, b in f.chaos) / f.fs
    because = (f"{lasted:.0f} s of a wave without complexes, from sample {f.chaos[0][0]}",)
    return Verdict("VFIB", 0.9, True, because, "probable", True)
