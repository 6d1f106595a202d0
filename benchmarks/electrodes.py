"""Electrodes exchanged on paper: PTB-XL's leads as they would have been recorded, and what the engine suspects.

Called by accuracy.py (set `electrodes`). Einthoven's law gives each exchange of limb electrodes; a right arm electrode
on the right leg leaves II flat (the legs lie at one potential). Chest electrodes change places.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import diagnoses
import numpy as np
from feldsher_signal.interpret import interpret
from feldsher_signal.record import Recording
from numpy.typing import NDArray
from statements import wilson

Lead = tuple[tuple[float, str], ...]
_HALF = 0.5
EXCHANGES: dict[str, tuple[str, dict[str, Lead]]] = {
    "none": ("", {}),
    "arms": (
        "REVARM",
        {"I": ((-1, "I"),), "II": ((1, "III"),), "III": ((1, "II"),), "AVR": ((1, "AVL"),), "AVL": ((1, "AVR"),)},
    ),
    "right arm, left leg": (
        "REVLEG",
        {"I": ((-1, "III"),), "II": ((-1, "II"),), "III": ((-1, "I"),), "AVR": ((1, "AVF"),), "AVF": ((1, "AVR"),)},
    ),
    "left arm, left leg": (
        "REVLEFT",
        {"I": ((1, "II"),), "II": ((1, "I"),), "III": ((-1, "III"),), "AVL": ((1, "AVF"),), "AVF": ((1, "AVL"),)},
    ),
    "right arm, right leg": (
        "REVFLAT",
        {"I": ((-1, "III"),), "II": (), "AVR": ((_HALF, "III"),), "AVL": ((-1, "III"),), "AVF": ((_HALF, "III"),)},
    ),
    **{
        f"{a}, {b}": ("REVCHEST", {a: ((1, b),), b: ((1, a),)})
        for a, b in (("V1", "V2"), ("V2", "V3"), ("V3", "V4"), ("V4", "V5"), ("V5", "V6"), ("V1", "V3"))
    },
}
"""By exchange: the code that names it, and what each lead shows: parts of the leads as they should be."""


def exchanged(recording: Recording, leads: dict[str, Lead]) -> Recording:
    """Return a recording whose leads show others (names in capitals); an empty lead shows nothing."""
    row = {lead.upper(): k for k, lead in enumerate(recording.leads)}
    samples: NDArray[np.int32] = recording.samples.copy()
    for lead, parts in leads.items():
        shown = sum((part * recording.samples[row[source]] for part, source in parts), np.zeros(recording.n))
        samples[row[lead]] = np.round(shown)
    return Recording(recording.leads, recording.fs, samples, recording.uv_per_bit, recording.baseline)


def electrodes(data: Path) -> dict[str, Any]:
    """Return by exchange how often it is suspected and named, and how often another one is."""
    cases = list(diagnoses.ptbxl(data))
    out: dict[str, Any] = {}
    for name, (code, leads) in EXCHANGES.items():
        said: Counter[str] = Counter()
        for case in cases:
            result = interpret(exchanged(case.recording, leads), case.subject)
            said.update({s.code for s in result.statements if s.code.startswith(("REV", "DEXTRO"))} or {"nothing"})
        named = said[code] if code else said["nothing"]
        out[name] = {
            "recordings": len(cases),
            "right_percent": round(100 * named / max(len(cases), 1), 1),
            "95": wilson(named, len(cases)),
            "said": ", ".join(f"{k} {v}" for k, v in said.most_common()),
        }
    return out
