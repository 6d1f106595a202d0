"""Accuracy of delineation against the marks of ludb (every lead) and qtdb (its cardiologist's, q1c).

Called by accuracy.py (sets `ludb` and `qtdb`); train_delineation.py reads the same marks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from feldsher_signal.delineate import POINTS
from feldsher_signal.formats import marks, read
from feldsher_signal.interpret import interpret
from scoring import Tally, match
from sets import annotated_headers, where

Report = dict[str, Any]


def wave_marks(path: Path) -> tuple[dict[str, list[int]], int, int]:
    """Return one lead's reference points, and the first and last marked sample."""
    found = marks.read(path)
    out: dict[str, list[int]] = {point: [] for point in POINTS}
    for k, m in enumerate(found):
        if m.symbol in ("p", "N", "t"):
            first = 3 * ("p", "N", "t").index(m.symbol)
            out[POINTS[first + 1]].append(m.at)
            if k > 0 and found[k - 1].symbol == "(":
                out[POINTS[first]].append(found[k - 1].at)
            if k + 1 < len(found) and found[k + 1].symbol == ")":
                out[POINTS[first + 2]].append(found[k + 1].at)
    return out, found[0].at, found[-1].at


def _tuned(header: Path) -> bool:
    """Return whether a record of ludb chose parameters of delineation."""
    return header.stem.isdigit() and int(header.stem) % 4 == 1


def _ludb(headers: list[Path]) -> Report:
    total = {point: Tally() for point in POINTS}
    for header in headers:
        recording = read(header)
        result = interpret(recording)
        for lead in recording.leads:
            reference, first, last = wave_marks(header.with_suffix(f".{lead.lower()}"))
            waves = [w for w in result.waves if w.lead == lead]
            for point in POINTS:
                found = sorted(v for w in waves if (v := getattr(w, point)) is not None and first <= v <= last)
                total[point].add(match(found, reference[point], recording.fs))
    return {point: tally.summary() for point, tally in total.items()}


def ludb(data: Path) -> Report:
    """Delineation in all twelve leads, between the first and last mark; ids ≡ 1 (mod 4) chose those of QRS alone.

    P and T were settled and corrected (refine) on all of these records: neither half is held out for them.
    """
    folder = where(data, "ludb")
    headers = annotated_headers(folder / "data" if (folder / "data").is_dir() else folder, ".i")
    return {
        "QRS tuned on": _ludb([h for h in headers if _tuned(h)]),
        "QRS not tuned on": _ludb([h for h in headers if not _tuned(h)]),
    }


def qtdb_marks(path: Path) -> dict[str, list[int]]:
    """Return the q1c reference points: T ends where there are two T waves are the last."""
    out: dict[str, list[int]] = {point: [] for point in POINTS}
    found = marks.read(path)
    for k, m in enumerate(found):
        if m.symbol == "(":
            kind = next((x.symbol for x in found[k + 1 : k + 3] if x.symbol in "pNt"), "")
            if kind in ("p", "N"):
                out[{"p": "p_on", "N": "qrs_on"}[kind]].append(m.at)
        elif m.symbol == ")":
            kind = next((x.symbol for x in reversed(found[max(k - 2, 0) : k]) if x.symbol in "pNtu"), "")
            if kind in ("p", "N", "t"):
                out[{"p": "p_off", "N": "qrs_off", "t": "t_off"}[kind]].append(m.at)
        elif m.symbol in ("p", "t"):
            out["p_peak" if m.symbol == "p" else "t_peak"].append(m.at)
    return out


def qtdb(data: Path) -> Report:
    """Delineation on QTDB's q1c marks: the better of both leads by mark (Martínez 2004), averages over records."""
    kept: dict[str, list[tuple[float, float]]] = {point: [] for point in POINTS}
    counts = {point: Tally() for point in POINTS}
    for header in annotated_headers(where(data, "qtdb"), ".q1c"):
        recording = read(header)
        reference = qtdb_marks(header.with_suffix(".q1c"))
        leads = [interpret(recording, channel=k).waves for k in range(len(recording.leads))]
        for point in POINTS:
            errors: list[float] = []
            for at in reference[point]:
                near = [v - at for waves in leads for w in waves if (v := getattr(w, point)) is not None]
                best = min(near, key=abs, default=10**6) * 1000 / recording.fs
                counts[point].hits += abs(best) <= 150
                counts[point].missed += abs(best) > 150
                errors += [best] if abs(best) <= 150 else []
            if len(errors) > 1:
                kept[point].append((float(np.mean(errors)), float(np.std(errors))))
    return {
        point: {
            "reference": counts[point].hits + counts[point].missed,
            "se": counts[point].summary()["se"],
            "mean_ms": round(float(np.mean([m for m, _ in kept[point]])), 2),
            "sd_ms": round(float(np.mean([s for _, s in kept[point]])), 2),
        }
        for point in POINTS
        if kept[point]
    }
