"""The slow, obvious oracle of evidence.form: each trait by its name, from the leads by name."""

from __future__ import annotations

import math
from collections.abc import Mapping

from feldsher_ehr_core.ecg import STANDARD_LEADS, LeadMatrix

# Kors 1990, by lead.
X = {"V1": -0.13, "V2": 0.05, "V3": -0.01, "V4": 0.14, "V5": 0.06, "V6": 0.54, "I": 0.38, "II": -0.07}
Y = {"V1": 0.06, "V2": -0.02, "V3": -0.05, "V4": 0.06, "V5": -0.17, "V6": 0.13, "I": -0.07, "II": 0.93}
Z = {"V1": -0.43, "V2": -0.06, "V3": -0.14, "V4": -0.20, "V5": -0.11, "V6": 0.31, "I": 0.11, "II": -0.23}


def by_lead(m: LeadMatrix) -> dict[str, float]:
    """Return one lead's traits."""
    q, r = -m.q / 1000, max(m.r, m.r2) / 1000
    s = max(-m.s, -m.s2) / 1000
    return {
        "Q": q,
        "Q lasts": m.q_ms,
        "Q/R": q / (q + r + 0.001),
        "R": r,
        "S": s if r > 0 else max(s, q),
        "R′": m.r2 / 1000,
        "R peak": m.peak_ms,
        "ST60": m.st60 / 1000,
        "ST80": m.st80 / 1000,
        "T": m.t / 1000,
        "T′": m.t2 / 1000,
        "T/R": min(max(m.t / 1000 / max(r, 0.2), -1), 1.5),
        "ST slope": m.st_slope,
    }


def form(matrix: Mapping[str, LeadMatrix], male: float, qrs_ms: float, axis: float, axis_t: float) -> dict[str, float]:
    """Return every trait of the leads alone and together."""
    one = {lead: by_lead(matrix[lead]) for lead in STANDARD_LEADS}
    out = {f"{kind} in {lead}": value for lead, found in one.items() for kind, value in found.items()}
    vectors: dict[str, list[float]] = {}
    for name, area in (("QRS", "qrs_area"), ("T", "t_area")):
        vectors[name] = [sum(k * getattr(matrix[lead], area) for lead, k in way.items()) for way in (X, Y, Z)]
        out |= dict(zip((f"{name} left", f"{name} down", f"{name} back"), vectors[name], strict=True))
    qrs, t = vectors["QRS"], vectors["T"]
    out["QRS-T angle"] = math.degrees(math.acos(sum(a * b for a, b in zip(qrs, t, strict=True)) / math.hypot(*qrs) / math.hypot(*t)))  # fmt: skip # noqa: E501
    out["gradient"] = math.hypot(*(a + b for a, b in zip(qrs, t, strict=True)))
    out["T size"] = math.hypot(*t)
    out["left axis"] = max(-axis, 0) if axis > -120 else 60
    out["right axis"] = max(axis - 75, 0)
    out["T axis off"] = abs((axis_t - 40 + 180) % 360 - 180)

    def of(kind: str, leads: str) -> list[float]:
        return [one[lead][kind] for lead in leads.split()]

    out["Sokolow"] = one["V1"]["S"] + max(of("R", "V5 V6"))
    out["Cornell"] = one["aVL"]["R"] + one["V3"]["S"]
    out["Cornell product"] = (out["Cornell"] + (0 if male else 0.8)) * qrs_ms / 100
    out["Peguero"] = max(found["S"] for found in one.values()) + one["V4"]["S"]
    out["P end in V1"] = -min(matrix["V1"].p, matrix["V1"].p2, 0) / 1000
    out["P in II"] = matrix["II"].p / 1000
    out["strain"] = min(of("ST80", "V5 V6"))
    for name, kind, leads in (
        ("T lateral", "T", "I V5 V6"),
        ("T inferior", "T", "II aVF"),
        ("T anterior", "T", "V2 V3 V4"),
        ("T/R lateral", "T/R", "I V5 V6"),
        ("ST80 lateral", "ST80", "I V5 V6"),
        ("ST60 inferior", "ST60", "II aVF"),
        ("ST60 anterior", "ST60", "V2 V3 V4"),
    ):
        out[name] = sum(of(kind, leads)) / len(leads.split())
    out["T lowest lateral"] = min(of("T", "I V5 V6"))
    out["T lowest"] = min(of("T", "I II V3 V4 V5 V6"))
    return out
