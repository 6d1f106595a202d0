"""From measurements to statements: all rules, their conflicts, their order, the scores and the conclusion."""

from __future__ import annotations

from dataclasses import replace

from feldsher_ehr_core.ecg import Statement

from feldsher_signal import conduction, infarct, repolarisation, rhythm, signs, voltage
from feldsher_signal.findings import Findings, Verdict, both, either, grade
from feldsher_signal.registry import FIRST, LAST, REGISTRY, SUPERCLASSES

_FORM = ("LVH", "VCLVH", "IMI", "ASMI", "AMI", "ALMI", "LMI", "QWAVE", "STE_", "STEMI", "STD_", "INVT", "NDT", "IVCD")
"""What only normally conducted beats can show: statements of form, from voltage, Q waves, ST and T."""
SUPPRESSED: dict[str, tuple[str, ...]] = {
    "CLBBB": _FORM,
    "CRBBB": ("STEMI", "INVT", "NDT", "RVH", "IVCD"),
    "IVCD": ("STEMI", "STD_"),
    "PACE": _FORM,
    "LVH": ("STEMI", "STD_", "INVT", "ISC_"),
    "VCLVH": ("STEMI",),
    "AFIB": ("1AVB", "LAO/LAE", "RAO/RAE", "WPW"),
    "VTAC": ("SR", "SBRAD", "STACH"),
    "LAFB": ("LAD",),
    "LPFB": ("RAD", "LMI"),
    "WPW": ("IMI", "ASMI", "AMI", "ALMI", "LMI", "QWAVE", "IVCD", "CLBBB", "ILBBB"),
}
"""What a statement takes away from others, because it explains what they would be stated from: AHA/ACCF/HRS 2009 parts
III–VI (no hypertrophy by voltage and no infarct by Q in left bundle branch block, secondary ST–T changes)."""
DISORDERED = ("VFIB", "WCT")
"""Without organised complexes, or without knowing where they come from, nothing is said of their form."""
REVERSED_HIDES = (
    "LAD",
    "RAD",
    "XAD",
    "LAFB",
    "LPFB",
    "IMI",
    "LMI",
    "QWAVE",
    "STE_",
    "STEMI",
    "INVT",
    "STD_",
    "RVH",
    "ISC_",
)
"""Not stated when limb electrodes seem to be in each other's place."""
KEPT = frozenset((*FIRST, *LAST, "VFIB", "WCT", "ASYST", "PAUSE", "PACE"))
"""What is still said when complexes are disordered."""
BENIGN = frozenset(("SR", "SARRH", *LAST))
"""Statements beside which an ECG is still normal."""
ATHLETE = 50.0
"""A sinus rate of 50 and more is read as normal: normal limits of resting rate, Mason 2007 and Spodick 1992 (50–90)."""


def verdicts(f: Findings) -> list[Verdict]:
    """Return every rule's verdict, conflicts settled."""
    found = [*signs.judge(f), *rhythm.judge(f), *conduction.judge(f), *voltage.judge(f)]
    found += [*repolarisation.judge(f), *infarct.judge(f)]
    found = _settle(found)
    found.append(_ischaemia(found))
    found.append(_normal(f, found))
    return found


def _settle(found: list[Verdict]) -> list[Verdict]:
    """Take back what other statements explain, and lower its score."""
    hidden: dict[str, str] = {}
    for v in found:
        if v.stated:
            for code in SUPPRESSED.get(v.code, ()):
                hidden.setdefault(code, v.code)
            if v.code in ("REVARM", "REVLEG"):
                hidden |= dict.fromkeys(REVERSED_HIDES, v.code)
            if v.code in DISORDERED:
                hidden |= dict.fromkeys((c for c in REGISTRY if c not in KEPT and c != v.code), v.code)
    return [replace(v, stated=False, critical=False, score=0.4 * v.score) if v.code in hidden else v for v in found]


def _ischaemia(found: list[Verdict]) -> Verdict:
    by = {v.code: v for v in found}
    down, inverted = by.get("STD_"), by.get("INVT")
    score = either([0.7 * v.score for v in (down, inverted) if v is not None])
    if down is None or inverted is None:
        return Verdict("ISC_", score)
    together = down.stated and inverted.stated
    score = max(score, both(down.score, inverted.score))
    return Verdict("ISC_", score, together, (*down.because, *inverted.because), "possible")


def _normal(f: Findings, found: list[Verdict]) -> Verdict:
    """Return NORM: twelve usable leads, sinus rhythm at 50–100, nothing else; scored by what the others leave."""
    others = [v for v in found if v.code not in BENIGN]
    left = 1.0
    for v in others:
        if v.code not in ("SBRAD", "STACH", "RUND"):
            left *= 1 - 0.85 * min(max(v.score - 0.05, 0.0), 1.0)
        else:
            left *= 1 - 0.3 * v.score
    calm = f.measured.rate is not None and f.measured.rate >= ATHLETE
    sinus = any(v.code == "SR" or (v.code == "SBRAD" and calm) for v in found if v.stated)
    stated = f.twelve and sinus and not any(v.stated and v.code != "SBRAD" for v in others)
    because = (f"sinus rhythm of {ATHLETE:.0f}–100/min, no rule of another statement met",)
    return Verdict("NORM", left if f.r.shape[0] >= 3 else 0.0, stated, because, "probable")


def scores(found: list[Verdict]) -> dict[str, float]:
    """Return the score of every code judged and of the five superclasses (strongest member, others adding a little)."""
    out: dict[str, float] = {}
    for v in found:
        out[v.code] = max(out.get(v.code, 0.0), v.score)
    for superclass in SUPERCLASSES:
        left = 1.0
        for code, value in out.items():
            if code in REGISTRY and REGISTRY[code].superclass == superclass:
                left *= 1 - value
        out[superclass] = out.get("NORM", 0.0) if superclass == "NORM" else 1 - left
    return {code: round(min(max(value, 0.0), 1.0), 4) for code, value in sorted(out.items())}


def _rank(v: Verdict) -> tuple[int, int]:
    order = list(REGISTRY)
    place = 0 if v.code in FIRST else 3 if v.code in LAST else 1 if v.critical else 2
    return place, order.index(v.code)


def statements(found: list[Verdict]) -> tuple[Statement, ...]:
    """Return what is stated: the recording's faults first, then alarms, then the rest in the registry's order."""
    stated = sorted((v for v in found if v.stated), key=_rank)
    return tuple(
        Statement(v.code, REGISTRY[v.code].text, v.certainty, tuple(x for x in v.because if x), v.critical)
        for v in stated
    )


def conclusion(said: tuple[Statement, ...], quality_usable: bool) -> str:
    """Return one paragraph: the statements as sentences; always unconfirmed until a doctor signs."""
    if not quality_usable:
        return "Not interpretable: no usable lead. Unconfirmed."
    words = [f"{s.text}{'' if s.certainty == 'definite' else f' ({s.certainty})'}" for s in said if s.code not in LAST]
    return (". ".join(words) + ". " if words else "") + "Unconfirmed."


__all__ = ["conclusion", "grade", "scores", "statements", "verdicts"]
