"""Rhythms that come from elsewhere than the sinus node: atrial, junctional, and the escape of the ventricles.

A P wave that is inverted in II, III and aVF and upright in aVR runs upwards: with a PR interval from 120 ms on it comes
from low in the atria, with a shorter one, or behind the QRS, from the AV junction. Where no P wave is to be seen, a
narrow rhythm is called junctional only as slow as an escape is (35 to 60/min): of three steady faster ones in ptbxl
(251, 377, 475), two are sinus rhythm whose P waves noise and respiration hide, and only 377 shows inverted P
waves behind the QRS (72 µV; no other recording of ptbxl and ludb that is steady and without P waves has over 20).
Wide and without P waves, up to 45/min, is stated as ventricular escape: faster ones in ludb (51, 83, 111) are paced or
bundle branch block. Twelve leads are needed: in one or two a P wave is often not seen.
"""

from __future__ import annotations

import numpy as np

from feldsher_signal import block, order
from feldsher_signal.findings import Certainty, Findings, Verdict, both, grade, mv, noisy
from feldsher_signal.paediatric import is_grown, rates

INVERTED_UV, UPRIGHT_UV, OPPOSITE = 50.0, 25.0, 0.5
"""Depth of an inverted P in each of II, III, aVF, its height in aVR, and the part of it that its other phase may reach:
a P wave of two phases there is that of a slow left atrium (house limits)."""
RETROGRADE_UV = 50.0
"""From where a P wave behind the QRS counts: see above."""
JUNCTIONAL_PR_MS, LONGEST_PR_MS = 120.0, 200.0
"""Shorter: the AV junction; a focus low in the atria lies near the AV node, so a long PR is rather a mark that is not
a P wave's: THEW arrhythmia definitions (nodal escape), AHA/ACC/HRS 2007 part II (Mason)."""
ESCAPE, ACCELERATED = (35.0, 60.0), 100.0
"""Rates of a junctional escape rhythm; accelerated up to 100: AHA/ACC/HRS 2007 part II (Mason)."""
NARROW_MS, WIDE_MS = 120.0, 130.0
VENTRICULAR = 45.0
"""The ventricles escape at 20 to 40/min, and hardly over 45 (ACC/AHA/HRS 2018)."""
SEEN, UNSEEN = 0.5, 0.1
"""Share of beats with a P wave before them from which P waves are there, and up to which there are none."""
STEADY, DISORDER = 0.10, 0.04
"""Spread of the intervals (5th to 95th percentile) and their median change as a part of the usual one: house rules."""
CODES = ("ATR", "JUNC", "VESC")
IN_STEP = 0.1
"""How far from one P wave to a beat the train may be that is as good as none: house rule."""


def judge(f: Findings, rate: float, p_share: float, irregular: float, other: float) -> list[Verdict]:
    """Return the verdicts; `other`: 0 … 1, how surely fibrillation and flutter are not there."""
    if not f.twelve or f.measured.qrs is None or noisy(f) or not is_grown(f.subject):
        return []
    if not possible(f):
        return [Verdict(code, 0.0) for code in CODES]
    calm = both(other, grade(irregular, DISORDER, -0.01)) if _steady(f) else 0.0
    upward, unseen = _inverted(f) if p_share >= SEEN else 0.0, grade(p_share, UNSEEN, -0.03)
    return [
        _atrial(f, rate, both(other, upward)),
        _junctional(f, rate, both(calm, upward), both(calm, unseen)),
        _ventricular(f, rate, both(calm, unseen)),
    ]


def possible(f: Findings) -> bool:
    """Return whether any of these rhythms need be thought of: hardly a P wave before the QRS, or one that is inverted.

    Most recordings end here, for a fraction of the time.
    """
    low = f.matrix.get("aVF")
    return f.p_share <= 2 * UNSEEN or (low is not None and low.p < 0)


def named(found: list[Verdict]) -> str:
    """Return the code of the origin that is stated, "" for none."""
    return next((v.code for v in found if v.stated), "")


def _steady(f: Findings) -> bool:
    """Return whether all beats are of one kind and their intervals hardly vary."""
    rr = order.steps(f.r).astype(np.float64)
    same = f.letters == f.letters[0]
    spread = order.percentile(rr, 95) - order.percentile(rr, 5)
    return bool(same.all()) and rr.shape[0] >= 3 and spread <= STEADY * order.median(rr)


def _inverted(f: Findings) -> float:
    """Return how surely the P wave runs upwards: inverted in II, III and aVF without another phase, upright in aVR."""
    low = [f.matrix[lead] for lead in ("II", "III", "aVF") if lead in f.matrix]
    if len(low) < 3 or "aVR" not in f.matrix or any(m.p2 > OPPOSITE * -m.p for m in low):
        return 0.0
    depth = min(-m.p for m in low)
    return both(grade(depth, INVERTED_UV, 8.0), grade(f.matrix["aVR"].p, UPRIGHT_UV, 5.0))


def _turned(f: Findings) -> str:
    """Return the words of an inverted P wave."""
    return "P " + ", ".join(f"{mv(f.matrix[lead].p)} in {lead}" for lead in ("II", "III", "aVF", "aVR"))


def _alone(f: Findings) -> bool:
    """Return whether P waves are met that do not keep step with the ventricles; what does may be of their own waves."""
    if f.train is None:
        return False
    found = block.conduction(f, f.train)
    return found.together < block.APART or abs(found.ratio - 1.0) > IN_STEP


def _atrial(f: Findings, rate: float, upward: float) -> Verdict:
    """Return whether the atria are driven from below, PR neither short nor long."""
    pr = f.measured.pr
    if pr is None or upward == 0.0:
        return Verdict("ATR", 0.0)
    score = both(upward, grade(pr, JUNCTIONAL_PR_MS, 3.0), grade(pr, LONGEST_PR_MS, -3.0))
    fast = ", an atrial tachycardia" if rate > rates(f.subject).fast else ""
    because = (_turned(f), f"PR {pr:.0f} ms, rate {rate:.0f}/min{fast}")
    extreme = not block.LEAST_NOT_SINUS <= rate <= rates(f.subject).most
    return Verdict("ATR", score, score >= 0.5, because, "probable", score >= 0.5 and extreme)


def _junctional(f: Findings, rate: float, upward: float, unseen: float) -> Verdict:
    """Return whether a steady narrow rhythm comes from the AV junction, by its P waves or by having none."""
    pr, qrs = f.measured.pr, f.measured.qrs
    ways: list[tuple[float, str]] = []
    if not _alone(f):
        ways.append((both(unseen, grade(rate, ESCAPE[1], -1.5)), "no P wave in any lead, before the QRS or behind it"))
    if upward and pr is not None:
        ways.append((both(upward, grade(pr, JUNCTIONAL_PR_MS, -3.0)), f"PR {pr:.0f} ms, {_turned(f)}"))
    behind = both(unseen, grade(f.retrograde, RETROGRADE_UV, 6.0))
    ways.append((behind, f"P behind the QRS, {mv(f.retrograde)} inverted in II, III and aVF"))
    strongest, why = max(ways)
    score = both(strongest, grade(qrs, NARROW_MS, -3.0), grade(rate, ACCELERATED, -1.5), grade(rate, ESCAPE[0], 1.0))
    certainty: Certainty = "possible" if why.startswith("no P") else "probable"
    kind = "accelerated" if rate > ESCAPE[1] else "escape"
    because = (why, f"steady, {rate:.0f}/min ({kind}), QRS {qrs:.0f} ms")
    return Verdict("JUNC", score, score >= 0.5, because, certainty, score >= 0.5 and rate < block.LEAST_NOT_SINUS)


def _ventricular(f: Findings, rate: float, unseen: float) -> Verdict:
    """Return whether the ventricles go on alone, slow, steady and wide; not where a pacemaker may drive them."""
    driven = f.subject.pacemaker or (f.paced is not None and bool(f.paced.mode))
    if _alone(f) or driven:
        return Verdict("VESC", 0.0)
    score = both(unseen, grade(f.measured.qrs, WIDE_MS, 5.0), grade(rate, VENTRICULAR, -1.5))
    because = (
        f"no P waves, steady, {rate:.0f}/min, QRS {f.measured.qrs:.0f} ms",
        "or from the AV junction with bundle branch block",
    )
    return Verdict("VESC", score, score >= 0.5, because, "possible", score >= 0.5 and rate < block.LEAST_NOT_SINUS)
