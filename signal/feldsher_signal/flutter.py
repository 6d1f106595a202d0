"""Atrial flutter: the line between QRS complexes repeats itself at a flutter's rate, and the ventricles keep step."""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, grade
from feldsher_signal.fwaves import FWaves

CHANGING = 0.08
"""Spread of the intervals from which conduction is held to change."""
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


def least(f: Findings, waves: FWaves) -> float | None:
    """Return the likeness from which these waves are flutter's; None where they are too small or nothing keeps step."""
    if waves.size < LEAST_UV:
        return None
    whole, changing = round(waves.ratio), waves.spread >= CHANGING
    locked = whole >= 2 and abs(waves.ratio - whole) <= STEP_OFF * whole and waves.interval >= SHORTEST_S
    narrow = f.measured.qrs is not None and f.measured.qrs < NARROW_MS
    if not changing and not (locked and narrow):
        return None
    return LEAST_TWO if locked and whole == 2 else LEAST


def judge(f: Findings) -> Verdict:
    """Return whether there is atrial flutter."""
    waves = f.waves
    limit = None if waves is None else least(f, waves)
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
