"""From measurements to statements: all rules, their conflicts, their order, the scores and the conclusion."""

from __future__ import annotations

from dataclasses import replace

from feldsher_ehr_core.ecg import Statement

from feldsher_signal import (
    atria,
    conduction,
    electrolytes,
    elevation,
    infarct,
    likelihood,
    qt,
    repolarisation,
    reversal,
    rhythm,
    sgarbossa,
    signs,
    standstill,
    voltage,
)
from feldsher_signal.conflicts import settle
from feldsher_signal.findings import Findings, Verdict, both, either, grade
from feldsher_signal.paediatric import is_child, rates
from feldsher_signal.registry import FIRST, LAST, REGISTRY, SUPERCLASSES

RULES = (
    signs,
    reversal,
    rhythm,
    standstill,
    conduction,
    voltage,
    atria,
    qt,
    elevation,
    repolarisation,
    sgarbossa,
    electrolytes,
    infarct,
)
"""Each judges the findings by itself; conflicts are settled afterwards."""
BENIGN = frozenset((*(c for c, e in REGISTRY.items() if e.severity in ("normal", "note")), *LAST))
"""Statements beside which an ECG is still normal."""
NORMAL_S = 5.0
"""No shorter recording is called normal: the usual one is of 10 s (house rule)."""


def verdicts(f: Findings) -> list[Verdict]:
    """Return every rule's verdict, conflicts settled."""
    found = [v for rules in RULES for v in rules.judge(f)]
    found = settle(found)
    found = _ischaemia(found)
    found.append(_normal(f, found))
    return likelihood.weigh(f, found)


def _ischaemia(found: list[Verdict]) -> list[Verdict]:
    """Return ischaemia: of the territory that shows it best, or of none where depression and inversion lie apart."""
    by = {v.code: v for v in found}
    down, inverted = by.get("STD_"), by.get("INVT")
    places = [by[code] for code in repolarisation.TERRITORIES if code in by]
    best = max(places, key=lambda v: v.score, default=None)
    if down is None or inverted is None or best is None:
        return found
    together = down.stated and inverted.stated
    score = max(either([0.7 * down.score, 0.7 * inverted.score]), both(down.score, inverted.score))
    local = together and best.score >= 0.5
    whole = Verdict("ISC_", score, together and not local, (*down.because, *inverted.because), "possible")
    return [*(replace(v, stated=True) if local and v is best else v for v in found), whole]


def _normal(f: Findings, found: list[Verdict]) -> Verdict:
    """Return NORM: twelve usable leads, sinus rhythm not slow, not fast, nothing else; scored by what others leave."""
    others = [v for v in found if v.code not in BENIGN]
    left = 1.0
    for v in others:
        if v.code not in ("SBRAD", "STACH", "RUND"):
            left *= 1 - 0.85 * min(max(v.score - 0.05, 0.0), 1.0)
        else:
            left *= 1 - 0.3 * v.score
    sinus = any(v.code == "SR" and v.stated for v in found)
    stated = f.twelve and sinus and not any(v.stated for v in others)
    # A child's rate, intervals, axis and voltage are judged by tables where they hold; an adult's need age and sex.
    judged = f.limits is not None or (f.aged and not is_child(f.subject))
    stated = stated and judged and f.samples >= NORMAL_S * f.fs
    limit = rates(f.subject)
    because = (f"sinus rhythm of {limit.slow:.0f}–{limit.fast:.0f}/min, no rule of another statement met",)
    return Verdict("NORM", left if f.r.shape[0] >= 3 else 0.0, stated, because, "probable")


def scores(found: list[Verdict]) -> dict[str, float]:
    """Return the score of every code judged and of the five superclasses (strongest member, others adding a little)."""
    out: dict[str, float] = {}
    for v in found:
        if v.score > out.setdefault(v.code, 0.0):
            out[v.code] = v.score
    left: dict[str, float] = dict.fromkeys(SUPERCLASSES, 1.0)
    for code, value in out.items():
        superclass = _SUPERCLASS.get(code)
        if superclass:
            left[superclass] *= 1 - value
    for superclass, value in left.items():
        # NORM is a statement too; a superclass that was learned keeps its score.
        out.setdefault(superclass, 0.0 if superclass == "NORM" else 1 - value)
    return {
        code: round(value, 4) if 0.0 <= value <= 1.0 else min(max(value, 0.0), 1.0)
        for code, value in sorted(out.items())
    }


_SUPERCLASS = {code: entry.superclass for code, entry in REGISTRY.items()}
_ORDER = {code: k for k, code in enumerate(REGISTRY)}


def _rank(v: Verdict) -> tuple[int, int]:
    place = 0 if v.code in FIRST else 3 if v.code in LAST else 1 if v.critical else 2
    return place, _ORDER[v.code]


def statements(found: list[Verdict]) -> tuple[Statement, ...]:
    """Return what is stated: the recording's faults first, then alarms, then the rest in the registry's order."""
    stated = sorted((v for v in found if v.stated), key=_rank)
    return tuple(
        Statement(v.code, REGISTRY[v.code].text, v.certainty, tuple(x for x in v.because if x), v.critical)
        for v in stated
    )


def _words(s: Statement) -> str:
    """Return a statement as a sentence; what was not judged is named."""
    if s.code in ("LEADNA", "PEDNA", "AGESEX"):
        return f"{s.text}: {', '.join(s.because[1:])}"
    return f"{s.text}{'' if s.certainty == 'definite' else f' ({s.certainty})'}"


def conclusion(said: tuple[Statement, ...], quality_usable: bool) -> str:
    """Return one paragraph: the statements as sentences; always unconfirmed until a doctor signs."""
    if not quality_usable:
        alarms = "".join(f"{_words(s)}. " for s in said if s.critical)
        return f"{alarms}Not interpretable: no usable lead. Unconfirmed."
    words = [_words(s) for s in said if s.code != "PACENA"]
    return (". ".join(words) + ". " if words else "") + "Unconfirmed."


__all__ = ["conclusion", "grade", "scores", "statements", "verdicts"]
