"""Rhythm labels of the data sets, as spans and as the engine's codes."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from feldsher_signal.formats import marks
from numpy.typing import NDArray
from sets import where

Span = tuple[int, int, str]
PTBXL = frozenset(("SR", "AFIB", "AFLT", "STACH", "SBRAD", "SARRH", "PACE", "SVARR", "BIGU", "TRIGU", "SVTAC", "PSVT"))
"""PTB-XL's rhythm codes; beside them those of early beats and of AV block."""
BESIDE = frozenset(("PAC", "PVC", "1AVB", "2AVB", "3AVB"))
LUDB = {
    "Sinus rhythm": "SR",
    "Sinus bradycardia": "SBRAD",
    "Sinus tachycardia": "STACH",
    "Sinus arrhythmia": "SARRH",
    "Atrial fibrillation": "AFIB",
    "Atrial flutter": "AFLT",
}
SAME: dict[str, set[str]] = {"SR": {"SR", "SARRH"}}
"""What counts as said: physicians write sinus arrhythmia in place of sinus rhythm."""


def annotated(path: Path, samples: int) -> list[Span]:
    """Return the rhythm annotations of a WFDB annotation file as spans, named without their bracket."""
    changes = [(m.at, m.text.strip("(\0 ")) for m in marks.read(path) if m.symbol == "+"]
    ends = [*(at for at, _ in changes), samples][1:]
    return [(at, end, name) for (at, name), end in zip(changes, ends, strict=True)]


def at_samples(spans: list[Span], at: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the name that holds at each of the samples `at`, in order; "" where none does."""
    out = np.full(at.shape[0], "", "U8")
    for start, end, name in spans:
        out[np.searchsorted(at, start) : np.searchsorted(at, end)] = name
    return out


def ptbxl(data: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield PTB-XL's headers with their rhythm codes, early beats and AV blocks; none where the folder is absent."""
    table = where(data, "ptbxl") / "ptbxl_database.csv"
    if table.exists():
        with table.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                codes = set(ast.literal_eval(row["scp_codes"])) & (PTBXL | BESIDE)
                yield where(data, "ptbxl") / f"{row['filename_hr']}.hea", codes


def ludb(data: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield LUDB's headers with the codes of their rhythms; none where the folder is absent."""
    table = where(data, "ludb") / "ludb.csv"
    if table.exists():
        with table.open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                header = where(data, "ludb") / "data" / f"{row['ID'].strip()}.hea"
                if header.exists():
                    yield header, {code for name, code in LUDB.items() if name.lower() in row["Rhythms"].lower()}
