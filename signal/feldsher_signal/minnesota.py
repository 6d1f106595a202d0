"""Minnesota codes from the measurement matrix and the statements.

Prineas, Crow & Zhang, The Minnesota Code Manual of Electrocardiographic Findings, 2nd ed. 2010. Of codes in one group
and site the most severe is given. Not coded: 1-3-8, 4-3/4-4, 6-4-2, 6-6, 7-1-2/7-2-2, 7-10, 8-1-4, 8-6, 9-4, 9-7-2
(what changes from beat to beat, or is not measured). One median beat stands for "the majority of beats".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from feldsher_ehr_core.ecg import LeadMatrix

from feldsher_signal.findings import Findings, Verdict

LATERAL, INFERIOR, ANTERIOR = ("I", "aVL", "V6"), ("II", "III", "aVF"), ("V1", "V2", "V3", "V4", "V5")
WIDE = ("7-1-1", "7-2-1", "7-4", "7-8", "6-4-1", "6-8")
"""In their presence axis, R, ST and T are not coded."""
STATED = {
    "AFIB": "8-3-1",
    "PAC": "8-1-1",
    "PVC": "8-1-2",
    "VTAC": "8-2-3",
    "VFIB": "8-2-1",
    "ASYST": "8-2-1",
    "IVR": "8-2-2",
    "VESC": "8-2-2",
    "SVTAC": "8-4-1",
    "JUNC": "8-4-1",
    "ATR": "8-4-1",
    "PSVT": "8-4-2",
    "3AVB": "6-1",
    "2AVB": "6-2-2",
    "WPW": "6-4-1",
    "PACE": "6-8",
    "APACE": "6-8",
    "CLBBB": "7-1-1",
    "CRBBB": "7-2-1",
    "IRBBB": "7-3",
    "IVCD": "7-4",
    "ILBBB": "7-6",
    "BRUG1": "7-9-1",
    "EARLY": "9-7-1",
    "REVARM": "9-8-1",
    "REVLEG": "9-8-1",
    "REVFLAT": "9-8-1",
    "NOTREAD": "9-8-1",
    "NOISE": "9-8-4",
}
"""Statements whose rule is the code's own, or stricter."""
PR_LONG_MS, PR_SHORT_MS, FAST, SLOW = 220.0, 120.0, 100.0, 50.0


def codes(f: Findings, found: Iterable[Verdict]) -> tuple[str, ...]:
    """Return the codes of a recording in their order, such as `7-2-1`; () where nothing could be read."""
    if f.r.shape[0] < 3 or not f.matrix:
        return ()
    stated = {v.code for v in found if v.stated}
    out = {STATED[code] for code in stated if code in STATED}
    if {"CRBBB", "LAFB"} <= stated:
        out = (out - {"7-2-1"}) | {"7-8"}
    if {"8-1-1", "8-1-2"} <= out:
        out = (out - {"8-1-1", "8-1-2"}) | {"8-1-3"}
    out |= _intervals(f, stated)
    if not out & {"6-4-1", "6-8", "8-2-1"}:
        out |= _q(f, "7-1-1" in out)
    if not out & set(WIDE):
        out |= {*_voltage(f), *_axis(f), *_st(f), *_t(f), *_raised(f)}
    return tuple(sorted(out, key=lambda code: [int(part) for part in code.split("-")]))


def _intervals(f: Findings, stated: set[str]) -> set[str]:
    """Return codes of PR, of the sinus rate and of the P wave."""
    pr, rate, out = f.measured.pr, f.measured.rate, set[str]()
    if pr is not None and f.p_share > 0.5 and not stated & {"AFIB", "3AVB"}:
        out |= {"6-3"} if pr >= PR_LONG_MS else set()
        out |= {"6-5"} if pr < PR_SHORT_MS and "WPW" not in stated else set()
    if rate is not None and stated & {"SR", "STACH", "SBRAD"}:
        out |= {"8-7"} if rate >= FAST else {"8-8"} if rate <= SLOW else set()
    if f.p_share > 0.5:
        out |= {"9-3"} if any(f.matrix[x].p >= 250 for x in INFERIOR if x in f.matrix) else set()
        v1 = f.matrix.get("V1")
        out |= {"9-6"} if v1 is not None and min(v1.p, v1.p2) <= -100 and v1.p_end <= -4 else set()
    return out


def _worst(ranks: Iterable[str]) -> set[str]:
    """Return the most severe code of a group; none of none."""
    found = sorted(ranks)
    return {found[0]} if found else set()


def _of_q(m: LeadMatrix) -> str:
    """Return the code of a Q wave by its ratio to R and its duration; "" where it is none."""
    if -m.q < 100 or m.r <= 0:
        return ""
    if m.q_ms >= 40:
        return "1-1-2"
    part = -m.q / m.r
    if m.q_ms >= 30:
        return "1-1-1" if part >= 1 / 3 else "1-2-2"
    if m.q_ms >= 20 and part >= 0.2:
        return "1-2-1" if part >= 1 / 3 else "1-3-1"
    return ""


def _qs(m: LeadMatrix | None) -> bool:
    return m is not None and m.q <= -100 and m.r <= 0


def _q(f: Findings, left_block: bool) -> set[str]:
    """Return the Q and QS codes of the three sites, the most severe of each."""
    m = f.matrix
    if all(x.q > -100 for x in m.values()):
        return set()
    lateral = [_of_q(m[x]) for x in ("I", "V6") if x in m]
    inferior = [_of_q(m["II"])] if "II" in m else []
    anterior = [_of_q(m[x]) for x in ("V2", "V3", "V4", "V5") if x in m]
    avl, three, avf = m.get("aVL"), m.get("III"), m.get("aVF")
    if avl is not None and avl.r >= 300 and avl.q <= -100:
        lateral.append("1-1-3" if avl.q_ms >= 40 else "1-3-3" if avl.q_ms >= 30 else "")
    if avf is not None and avf.q <= -100:
        longest = (50, "1-1"), (40, "1-2"), (30, "1-3")
        inferior += [next((f"{rank}-5" for ms, rank in longest if avf.q_ms >= ms), "")]
        if three is not None:
            inferior += [next((f"{rank}-4" for ms, rank in longest if three.q_ms >= ms), "")]
    if not left_block:
        lateral.append("1-2-3" if _qs(m.get("I")) else "")
        inferior.append("1-2-3" if _qs(m.get("II")) else "1-3-6" if _qs(three) and _qs(avf) else "")
        row = [_qs(m.get(x)) for x in ("V1", "V2", "V3", "V4")]
        anterior.append("1-1-7" if all(row) else "1-2-7" if all(row[:3]) else "1-3-2" if all(row[:2]) else "")
    chest = ("V1", "V2", "V3", "V4", "V5", "V6")
    for right, left in itertools.pairwise(chest):
        if right in m and m[right].r > 0 and m[right].q >= 0 and _qs(m.get(left)):
            anterior.append("1-1-6")
    return {code for site in (lateral, inferior, anterior) for code in _worst(c for c in site if c)}


def _axis(f: Findings) -> set[str]:
    axis = f.measured.axis_qrs
    if axis is None:
        return {"2-5"} if f.has("I", "aVF") else set()
    if "9-1" in _low(f):
        return set()
    turned = axis % 360
    if 270 <= turned <= 330:
        return {"2-1"}
    if 120 <= turned <= 210:
        return {"2-2"}
    if 90 <= turned < 120:
        return {"2-3"}
    return {"2-4"} if 210 < turned < 270 else set()


def _low(f: Findings) -> set[str]:
    limb = [f.matrix[x].peak_to_peak for x in ("I", "II", "III") if x in f.matrix]
    chest = [f.matrix[x].peak_to_peak for x in (*ANTERIOR, "V6") if x in f.matrix]
    low = (len(limb) == 3 and max(limb) < 500) or (len(chest) == 6 and max(chest) < 1000)
    return {"9-1"} if low else set()


def _voltage(f: Findings) -> set[str]:
    m = {x: f.matrix[x].r for x in f.matrix}
    limits = {"V5": 2600, "V6": 2600, "I": 2000, "II": 2000, "III": 2000, "aVF": 2000, "aVL": 1200}
    left = any(m.get(x, 0.0) > top for x, top in limits.items())
    v1, out = f.matrix.get("V1"), _low(f)
    right = v1 is not None and v1.r >= 500 and v1.r >= -min(v1.s, v1.q)
    right = right and any(-f.matrix[x].s > f.matrix[x].r for x in (*ANTERIOR[1:], "V6") if x in f.matrix)
    if left or right:
        return out | ({"3-4"} if left and right else {"3-1"} if left else {"3-2"})
    s1 = -min(v1.s, v1.q) if v1 is not None else 0.0
    tall = 1500 < m.get("I", 0.0) <= 2000 or max(m.get("V5", 0.0), m.get("V6", 0.0)) + s1 > 3500
    return out | ({"3-3"} if tall else set())


def _st(f: Findings) -> set[str]:
    """Return ST depression by J, horizontal or falling, the most severe of each site."""
    out = set[str]()
    for site in (LATERAL, ("II", "aVF"), ANTERIOR):
        found: list[str] = []
        for m in (f.matrix[x] for x in site if x in f.matrix):
            flat, depth = m.st_slope <= 0.25, -m.j
            if depth >= 50 and flat:
                found.append("4-1-1" if depth >= 200 else "4-1-2" if depth >= 100 else "4-2")
        out |= _worst(found)
    return out


def _t(f: Findings) -> set[str]:
    """Return negative and flat T waves, the most severe of each site."""
    out = set[str]()
    for site in (LATERAL, ("II", "aVF"), ANTERIOR[1:]):
        found: list[str] = []
        for lead in (x for x in site if x in f.matrix):
            m = f.matrix[lead]
            if (lead == "aVL" and m.r < 500) or (lead == "aVF" and m.qrs_area <= 0):
                continue
            lowest = min(m.t, m.t2, 0.0)
            if lowest <= -100:
                found.append("5-1" if lowest <= -500 else "5-2")
            elif m.t <= 0 and lead not in ("aVF", "V2"):
                found.append("5-3")
            elif 0 < m.t < m.r / 20 and m.r >= 1000 and lead not in ("aVF", "V2"):
                found.append("5-4")
        out |= _worst(found)
    return out


def _raised(f: Findings) -> set[str]:
    """Return ST elevation and tall T waves."""
    limit = {**dict.fromkeys((*LATERAL, *INFERIOR, "V5"), 100), **dict.fromkeys(ANTERIOR[:4], 200)}
    raised = any(min(f.matrix[x].st60, f.matrix[x].j) >= top for x, top in limit.items() if x in f.matrix)
    tall = any(m.t > 1200 for lead, m in f.matrix.items() if lead != "aVR")
    return {code for code, met in (("9-2", raised), ("9-5", tall)) if met}
