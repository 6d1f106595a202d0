"""Statements against the diagnoses of PTB-XL and ludb, code by code, with 95 % intervals; alarms on normal recordings.

Called by accuracy.py (set `statements`). Parameters are fixed; the rules were set from their sources, with PTB-XL's
normal recordings in view for the alarms, so the figures of neither set are those of unseen recordings.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import diagnoses
import numpy as np
from feldsher_ehr_core.ecg import Interpretation
from feldsher_signal.interpret import interpret
from feldsher_signal.registry import REGISTRY
from scoring import auc, binary
from sets import where


class Judged(NamedTuple):
    """One recording judged: its name, the codes that people gave it, and what the engine says."""

    name: str
    codes: frozenset[str]
    result: Interpretation


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % interval of a share in % (Wilson 1927); NaN of none."""
    if not whole:
        return math.nan, math.nan
    z, p = 1.96, part / whole
    middle, reach = p + z * z / (2 * whole), z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    low, high = (100 * (middle + sign * reach) / (1 + z * z / whole) for sign in (-1, 1))
    return round(max(low, 0.0), 1), round(high, 1)


def by_code(cases: list[Judged]) -> dict[str, Any]:
    """Return each code's figures: those that people gave and the engine judges, then what it states beside them."""
    given = {code for case in cases for code in case.codes} & set(REGISTRY)
    said = [{s.code for s in case.result.statements} for case in cases]
    out: dict[str, Any] = {}
    for code in (c for c in REGISTRY if c in given):
        truth = np.array([code in case.codes for case in cases])
        stated = np.array([code in codes for codes in said])
        scores = np.array([case.result.scores.get(code, 0.0) for case in cases])
        hits, right = int((stated & truth).sum()), int((~stated & ~truth).sum())
        out[code] = {
            **binary(stated, truth),
            "se_95": wilson(hits, int(truth.sum())),
            "sp_95": wilson(right, int((~truth).sum())),
            "auc": auc(scores, truth),
        }
    beside = {code: sum(code in codes for codes in said) for code in REGISTRY if code not in given}
    out["stated, never given"] = {code: str(count) for code, count in beside.items() if count}
    return out


def statements(data: Path) -> dict[str, Any]:
    """Return the figures of both sets, and the alarms on recordings that PTB-XL calls normal."""
    found = {
        name: [
            Judged(case.name, frozenset(case.codes), interpret(case.recording, case.subject)) for case in cases(data)
        ]
        for name, cases in (("ptbxl", diagnoses.ptbxl), ("ludb", diagnoses.ludb))
        if where(data, name).is_dir()
    }
    normal = [case for case in found.get("ptbxl", []) if "NORM" in case.codes]
    alarms = {c.name: ", ".join(s.code for s in c.result.statements if s.critical) for c in normal}
    return {
        "normal recordings": len(normal),
        "alarms on them": [f"{name}: {codes}" for name, codes in alarms.items() if codes],
        **{name: by_code(cases) for name, cases in found.items()},
    }
