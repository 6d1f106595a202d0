"""Train the corrections of P and T edges (refine.py) on experts' marks: ludb (per lead) and qtdb's q1c.

Wants ../shared/ecg/ludb and qtdb, and scikit-learn (see learn.py). `python benchmarks/train_delineation.py` writes
models/edge-*.json; the figures in them are from eight folds that keep recordings together, in ms.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import learn
import msgspec
import numpy as np
from delineation import qtdb_marks, wave_marks
from feldsher_signal import contour, delineate, jit, model, quality, refine, stream
from feldsher_signal.formats import read
from feldsher_signal.model import Linear, ModelFile, Provenance
from feldsher_signal.record import Recording
from numpy.typing import NDArray
from sets import DATA

FOLDS, SEED, PENALTY, NEAR_MS, LIMIT_MS = 8, 0, 300.0, 150.0, 60.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Waves of one kind: traits (n, TRAITS), errors of the edges on and off in ms (NaN = not marked), recordings."""

    x: Floats
    error: Floats
    group: NDArray[np.int64]


def _marked(recording: Recording) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return a recording's marks before correction, and the traits of its P and of its T waves."""
    fs, x = recording.fs, recording.microvolts()
    traced = stream.trace(x, recording.leads, fs)
    usable, r = traced.seen.usable, traced.beats.r
    c = contour.prefix_sums(quality.bridged(x))
    rr = int(np.median(np.diff(r))) if r.shape[0] > 1 else int(fs)
    marks, _ = delineate.uncorrected(c, fs, delineate.Sought(r, usable, rr))
    found: list[Floats] = []
    for wave in (0, 6):
        out = np.empty((r.shape[0], len(recording.leads), len(refine.TRAITS)))
        refine.traits(c, r, int(r[0]) - rr, int(r[-1]) + rr, fs, marks, wave, out)
        found.append(out)
    return marks, found[0], found[1]


def _errors(found: NDArray[np.int64], reference: list[int], fs: float) -> Floats:
    """Return how far the nearest reference is from each mark in ms; NaN where none is near."""
    at = np.array(reference or [-(10**9)])
    gap = at[np.argmin(np.abs(at[:, None] - found[None, :]), axis=0)] - found
    return np.where((np.abs(gap) * 1000 / fs <= NEAR_MS) & (found >= 0), gap * 1000 / fs, np.nan)


def _recordings() -> Iterator[tuple[int, Recording, list[dict[str, list[int]]], tuple[int, int]]]:
    """Yield number, recording, reference points of each lead, and the stretch that is marked."""
    for path in sorted((DATA / "ludb" / "data").glob("*.hea"), key=lambda p: int(p.stem)):
        recording = read(path)
        marked = [wave_marks(path.with_suffix(f".{lead.lower()}")) for lead in recording.leads]
        limits = (min(m[1] for m in marked), max(m[2] for m in marked))
        yield int(path.stem), recording, [m[0] for m in marked], limits
    for k, path in enumerate(sorted((DATA / "qtdb").glob("*.hea"))):
        recording, reference = read(path), qtdb_marks(path.with_suffix(".q1c"))
        yield 1000 + k, recording, [reference] * len(recording.leads), (0, recording.n)
        for channel in range(len(recording.leads)):
            yield 1000 + k, recording.only(channel), [reference], (0, recording.n)


def _collect() -> dict[int, Rows]:
    """Return the rows of P (0) and T (6)."""
    parts: dict[int, list[Rows]] = {0: [], 6: []}
    for number, recording, reference, (first, last) in _recordings():
        marks, p, t = _marked(recording)
        inside = (marks[:, -1, delineate.R] >= first) & (marks[:, -1, delineate.R] <= last)
        for lead, points in enumerate(reference):
            for wave, trait, name in ((0, p, "p"), (6, t, "t")):
                on = _errors(marks[:, lead, wave], points[f"{name}_on"], recording.fs)
                off = _errors(marks[:, lead, wave + 2], points[f"{name}_off"], recording.fs)
                keep = inside & ~np.isnan(trait[:, lead, 0]) & ~(np.isnan(on) & np.isnan(off))
                error = np.stack([on[keep], off[keep]], axis=1)
                parts[wave].append(Rows(trait[keep, lead], error, np.full(int(keep.sum()), number)))
    return {wave: _joined(found) for wave, found in parts.items()}


def _joined(parts: list[Rows]) -> Rows:
    x = np.concatenate([part.x for part in parts])
    return Rows(x, np.concatenate([part.error for part in parts]), np.concatenate([part.group for part in parts]))


def _short(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values.tolist())


def _ridge(x: Floats, y: Floats) -> tuple[float, Linear]:
    """Return the constant and the linear part of a ridge regression on standardised traits."""
    middle, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < 1e-9] = 1.0
    z, bounded = (x - middle) / scale, np.clip(y, -LIMIT_MS, LIMIT_MS)
    target = z.T @ (bounded - bounded.mean())
    weight = cast("Floats", np.linalg.solve(z.T @ z + PENALTY * np.eye(x.shape[1]), target))
    return float(f"{bounded.mean():.6g}"), Linear(_short(weight), _short(middle), _short(scale), _short(middle))


def _predicted(x: Floats, base: float, part: Linear) -> Floats:
    moved = base + ((x - np.array(part.mean)) / np.array(part.scale)) @ np.array(part.weight)
    return np.clip(moved, -refine.MOST_MS, refine.MOST_MS)


def _fit(edge: str, rows: Rows) -> ModelFile:
    """Return the model of one edge with its errors before and after, in recordings that the fit did not see."""
    y = rows.error[:, 0 if edge.endswith("on") else 1]
    there = ~np.isnan(y)
    x, y, group = rows.x[there], y[there], rows.group[there]
    fold = np.random.default_rng(SEED).permutation(int(group.max()) + 1)[group] % FOLDS
    left = y.copy()
    for k in range(FOLDS):
        left[fold == k] -= _predicted(x[fold == k], *_ridge(x[fold != k], y[fold != k]))
    figures: dict[str, float] = {}
    for name, part in (("ludb", group < 1000), ("qtdb", group >= 1000)):
        if part.any():
            figures[f"{name}_sd_before"] = round(float(y[part].std()), 2)
            figures[f"{name}_sd_after"] = round(float(left[part].std()), 2)
    base, linear = _ridge(x, y)
    data = {"ludb": int(np.unique(group[group < 1000]).size), "qtdb": int(np.unique(group[group >= 1000]).size)}
    note = "A regression: the log-odds are ms that the edge is moved by; the sklearn version does not matter."
    made = Provenance("benchmarks/train_delineation.py", data, int(y.size), 0, SEED, "", figures, note)
    return ModelFile("logistic", refine.TRAITS, base, (1.0, 0.0), made, linear)


def _begin() -> None:
    """Write models that correct nothing where those there are were made for other traits: recordings are read first."""
    nothing = tuple(0.0 for _ in refine.TRAITS)
    linear = Linear(nothing, nothing, tuple(1.0 for _ in refine.TRAITS), nothing)
    made = Provenance("benchmarks/train_delineation.py", {}, 0, 0, SEED, "", {}, "Corrects nothing.")
    for name in (f"edge-{edge}" for edge in refine.EDGES):
        try:
            model.load(name, refine.TRAITS)
        except ValueError:
            learn.write(name, ModelFile("logistic", refine.TRAITS, 0.0, (1.0, 0.0), made, linear))
    model.load.cache_clear()


def main() -> None:
    """Train and write the models, and print their figures."""
    if not (DATA / "ludb").is_dir() or not (DATA / "qtdb").is_dir():
        sys.exit(f"{DATA}: ludb and qtdb are wanted there")
    jit.warm()
    _begin()
    rows = _collect()
    for edge in refine.EDGES:
        file = _fit(edge, rows[0 if edge.startswith("p") else 6])
        print(learn.write(f"edge-{edge}", file).name, msgspec.json.encode(file.provenance).decode())


if __name__ == "__main__":
    main()
