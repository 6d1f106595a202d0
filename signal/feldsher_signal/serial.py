"""A recording beside an earlier one of the same person: what is new, what has gone, what changed by more than chance.

Words of comparison: AHA/ACC/HRS 2007 part II (Mason). A limit is about twice what recordings of an unchanged heart
differ by; its source stands beside it. Statements near their limit come and go with noise, so one is new or resolved
only where its score moved by STEP as well.
"""

from __future__ import annotations

import itertools
from typing import Literal

from feldsher_ehr_core.ecg import Change, Comparison, Interpretation, LeadMatrix, Measurements, Statement

from feldsher_signal.findings import CHEST, FRONTAL
from feldsher_signal.registry import REGISTRY

_HOUSE = "house rule: twice IEC 60601-2-25's mean tolerance"
LIMITS: dict[str, tuple[float, str]] = {
    "rate": (20.0, "house rule"),
    "pr": (20.0, _HOUSE),
    "p_dur": (20.0, _HOUSE),
    "qrs": (20.0, _HOUSE),
    "qtc_fridericia": (60.0, "ICH E14 (2005): over 60 ms; 30 ms and more are listed beside a QTc that is long"),
    "axis_qrs": (30.0, "house rule"),
    "axis_t": (60.0, "house rule"),
}
QTC_STEP_MS, QTC_LONG_MS = 30.0, 450.0
ST_UP_UV, ST_DOWN_UV = 100.0, 50.0
"""New elevation of 0.1 mV, new depression of 0.05 mV, in two contiguous leads: Thygesen 2018."""
T_UV = 100.0
"""A T wave that turned over: 0.1 mV on both sides, in two contiguous leads (Thygesen 2018: inversion > 0.1 mV)."""
STEP = 0.15
"""How far a score has to move, so that a statement is new or resolved (house rule)."""
KINDS: dict[str, tuple[str, ...]] = {
    "Significant change in rhythm": ("rhythm", "ectopy"),
    "New conduction abnormality": ("conduction",),
    "New or worsened ischaemia or infarction": ("infarction",),
    "Significant repolarisation change": ("repolarisation",),
}
"""Words of part II and the categories of statements that they are said for."""


def compare(previous: Interpretation, current: Interpretation) -> Comparison:
    """Return what changed from the previous interpretation to the current one."""
    notes = _notes(previous, current)
    before, now = _said(previous), _said(current)
    new = [code for code in now if code not in before and _moved(code, previous, current, 1)]
    gone = [code for code in before if code not in now and _moved(code, previous, current, -1)]
    kept = [code for code in now if code not in new]
    kept += [code for code in before if code not in now and code not in gone]
    changed = (*_measured(previous.measurements, current.measurements), *_waves(previous.matrix, current.matrix))
    alarms = {s.code for s in previous.statements if s.critical}
    critical = any(s.critical and s.code not in alarms for s in current.statements)
    text = _conclusion(new, gone, changed, now | before, notes)
    return Comparison(tuple(new), tuple(gone), tuple(kept), changed, critical, notes, text)


def _said(result: Interpretation) -> dict[str, Statement]:
    """Return the statements of the heart; those of the recording itself are no finding."""
    return {s.code: s for s in result.statements if _category(s.code) != "recording"}


def _category(code: str) -> str:
    return REGISTRY[code].category if code in REGISTRY else ""


def _moved(code: str, previous: Interpretation, current: Interpretation, way: Literal[1, -1]) -> bool:
    """Say whether a statement's score moved far enough; where one was not judged, the statement alone decides."""
    a, b = previous.scores.get(code), current.scores.get(code)
    return a is None or b is None or way * (b - a) >= STEP


def _notes(previous: Interpretation, current: Interpretation) -> tuple[str, ...]:
    """Return what limits the comparison."""
    out: list[str] = []
    for name, result in (("previous", previous), ("current", current)):
        lost = [s.text for s in result.statements if _category(s.code) == "recording" and s.code != "PACENA"]
        out += [f"{name} recording: {text}" for text in lost]
    missing = sorted(set(previous.matrix) ^ set(current.matrix))
    if missing:
        out.append(f"in one of them only: {', '.join(missing)}")
    return tuple(out)


def _measured(a: Measurements, b: Measurements) -> list[Change]:
    """Return the global measurements that changed, and those that one recording alone has."""
    out: list[Change] = []
    for name, (limit, source) in LIMITS.items():
        before, after = getattr(a, name), getattr(b, name)
        if before is None or after is None:
            if name in ("pr", "axis_qrs") and before is not after:
                out.append(Change(name, before, after, limit, source))
            continue
        moved = abs(after - before)
        if name.startswith("axis"):
            moved = min(moved, 360.0 - moved)
        long = name == "qtc_fridericia" and max(before, after) >= QTC_LONG_MS and moved >= QTC_STEP_MS
        if moved >= limit or long:
            out.append(Change(name, before, after, QTC_STEP_MS if long and moved < limit else limit, source))
    return out


def _waves(a: dict[str, LeadMatrix], b: dict[str, LeadMatrix]) -> list[Change]:
    """Return ST and T of the leads whose neighbours changed with them."""
    both = [lead for lead in b if lead in a]
    up = {x: b[x].j - a[x].j for x in both if b[x].j - a[x].j >= ST_UP_UV}
    down = {x: b[x].j - a[x].j for x in both if a[x].j - b[x].j >= ST_DOWN_UV and b[x].j < 0}
    turned = {x: b[x].t for x in both if a[x].t * b[x].t < 0 and min(abs(a[x].t), abs(b[x].t)) >= T_UV}
    out: list[Change] = []
    for moved, limit, point in ((up, ST_UP_UV, "j"), (down, ST_DOWN_UV, "j"), (turned, T_UV, "t")):
        for lead in _neighbouring(set(moved)):
            before, after = float(getattr(a[lead], point)), float(getattr(b[lead], point))
            out.append(Change(f"{point} {lead}", before, after, limit, "Thygesen 2018"))
    return out


def _neighbouring(leads: set[str]) -> list[str]:
    """Return the leads that have a contiguous one among them, in anatomical order."""
    rows = (FRONTAL, CHEST)
    pairs = [pair for row in rows for pair in itertools.pairwise(row) if leads.issuperset(pair)]
    found = {x for pair in pairs for x in pair}
    return [x for row in rows for x in row if x in found]


def _conclusion(
    new: list[str],
    gone: list[str],
    changed: tuple[Change, ...],
    said: dict[str, Statement],
    notes: tuple[str, ...],
) -> str:
    """Return one paragraph in part II's words; always unconfirmed."""
    weighty = [code for code in new if REGISTRY[code].severity not in ("normal", "note")] if new else []
    kinds = {word for word, of in KINDS.items() if any(_category(code) in of for code in weighty)}
    if any(c.what[:2] in ("j ", "t ") for c in changed):
        kinds.add("Significant repolarisation change")
    words = [word for word in KINDS if word in kinds]
    if not (new or gone or changed):
        words.append("No significant change")
    for name, codes in (("New", new), ("Resolved", gone)):
        if codes:
            words.append(f"{name}: {', '.join(said[code].text for code in codes)}")
    if changed:
        words.append("Changed: " + ", ".join(f"{c.what} {_number(c.before)} → {_number(c.after)}" for c in changed))
    return ". ".join((*words, *notes)) + ". Unconfirmed."


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f}"
