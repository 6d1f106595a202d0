"""Rules of the P wave: enlargement of the left and of the right atrium.

Criteria: AHA/ACCF/HRS 2009 part V (Hancock et al., Circulation 2009;119:e251).
"""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, both, either, grade, mv
from feldsher_signal.paediatric import is_child

P_LONG_MS, P_TALL_UV, P_TALL_V1_UV = 120.0, 250.0, 150.0
"""Left: P ≥ 120 ms; right: P over 0.25 mV in II or 0.15 mV in V1."""
FORCE_UVS = 4.0
"""Left: V1's terminal force, depth × duration of the last negative phase, ≥ 0.04 mm·s = 4 µV·s: Morris 1964."""
DEEP_UV = 100.0


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on the atria; none without P waves, or under 18 (no tables)."""
    if f.p_share < 0.7 or not f.has("II", "V1") or f.measured.p_dur is None or is_child(f.subject):
        return []
    two, v1, lasts = f.matrix["II"], f.matrix["V1"], f.measured.p_dur
    depth = -min(v1.p2, v1.p, 0.0)
    force = both(grade(-v1.p_end, 2.5 * FORCE_UVS, 1.0), grade(depth, 1.2 * DEEP_UV, 10.0))
    deep = both(grade(-v1.p_end, FORCE_UVS, 1.0), grade(depth, 0.75 * DEEP_UV, 12.0))
    left = either([both(grade(lasts, P_LONG_MS, 5.0), deep), force])
    right = either([grade(two.p, P_TALL_UV, 25.0), grade(v1.p, P_TALL_V1_UV, 25.0)])
    why = (f"P lasts {lasts:.0f} ms", f"V1: ends {mv(depth)} below the line, terminal force {-v1.p_end:.1f} µV·s")
    both_signs = lasts >= P_LONG_MS and force >= 0.5
    return [
        Verdict("LAO/LAE", left, left >= 0.5, why, "probable" if both_signs else "possible"),
        Verdict(
            "RAO/RAE",
            right,
            two.p > P_TALL_UV or v1.p > P_TALL_V1_UV,
            (f"P {mv(two.p)} in II, {mv(v1.p)} in V1",),
            "probable" if two.p > P_TALL_UV else "possible",
        ),
    ]
