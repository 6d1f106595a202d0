"""Atrial flutter: the line between QRS complexes repeats itself at a flutter's rate, and the ventricles keep step."""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, grade
from feldsher_signal.fwaves import FWaves

CHANGING, FREE = 0.08, 0.10
"""Spread of the intervals from which conduction is held to change, and from which what repeats itself between the
complexes can be no part of them."""
LEAST_FREE, LEAST_FREE_UV = 0.30, 25.0
"""Likeness and RMS needed then: P and T waves stand at fixed distances from the complexes, so where these come at
changing ones, only waves of the atria's own repeat themselves. Of 43 recordings of ptbxl and ludb with a spread of 0.08
and more, four have flutter waves (0.37 to 0.81) and the rest 0.28 at most, 0.20 from a spread of 0.10 on."""
LEAST_TWO, LEAST, LEAST_UV = 0.40, 0.55, 50.0
"""Likeness needed at conduction 2:1 and else, and RMS: house limits. On ptbxl and ludb the five with flutter waves have
0.48 to 0.85 with 63 to 130 µV; of all others with 50 µV and more none is over 0.25. P and T waves that stand at equal
distances are as alike in one record (0.57) and in synthetic sinus tachycardia, but smaller (up to 36 µV). Chosen on the
same records: set midway from the others, the limit of 2:1 finds three of its four; LEAST rests on one positive."""
STEP_OFF = 0.08
"""How far from a whole number the ratio of a regular rhythm may be, as a part of it."""
SHORTEST_S = 0.34
"""Under this interval what is seen between two complexes is hardly more than one wave."""
NARROW_MS = 130.0
"""Wide complexes leave parts of themselves beside what is left out: regular ones are not judged."""
SURE = 0.65
FAST = 150.0
"""Alarmed over this ventricular rate as very fast atrial fibrillation is: house rule."""


def least(waves: FWaves, qrs: float | None) -> float | None:
    """Return the likeness from which these waves are flutter's; None where they are too small or nothing keeps step.

    `qrs`: the usual complex's width in ms, None where there is none.
    """
    if waves.spread >= FREE and waves.size >= LEAST_FREE_UV:
        return LEAST_FREE
    if waves.size < LEAST_UV:
        return None
    whole, changing = round(waves.ratio), waves.spread >= CHANGING
    locked = whole >= 2 and abs(waves.ratio - whole) <= STEP_OFF * whole and waves.interval >= SHORTEST_S
    if not changing and not (locked and qrs is not None and qrs < NARROW_MS):
        return None
    return LEAST_TWO if locked and whole == 2 else LEAST


def seen(waves: FWaves | None, qrs: float | None) -> bool:
    """Return whether these are flutter's waves: then what stands before the complexes is no P wave."""
    limit = None if waves is None else least(waves, qrs)
    return waves is not None and limit is not None and waves.alike >= limit


def judge(f: Findings) -> Verdict:
    """Return whether there is atrial flutter."""
    waves = f.waves
    limit = None if waves is None else least(waves, f.measured.qrs)
    if waves is None or limit is None:
        return Verdict("AFLT", 0.0)
    rate = 60.0 / waves.interval
    how = "conduction changes" if waves.spread >= CHANGING else f"conduction {waves.ratio:.0f}:1"
    because = (
        f"between QRS complexes waves at {60 / waves.period:.0f}/min of {waves.size:.0f} µV (RMS)",
        f"alike over two periods by {waves.alike:.2f} (from {limit:.2f})",
        f"{how}, ventricles at {rate:.0f}/min",
    )
    stated = waves.alike >= limit
    certainty = "probable" if waves.alike >= SURE else "possible"
    return Verdict("AFLT", grade(waves.alike, limit, 0.06), stated, because, certainty, stated and rate > FAST)
