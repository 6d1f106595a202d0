"""Train the model of atrial fibrillation: `python benchmarks/train_rhythm.py [--data DIR]` (environment: learn.py).

Wants cinc2017, mitdb, ptbxl and ludb in `../shared/ecg`. A window is positive when it is labelled fibrillation
(cinc2017: A; mitdb: rhythm annotation AFIB over 80 % of it; PTB-XL: AFIB; LUDB: atrial fibrillation); flutter and noise
are of neither class. Figures first from even rows of cinc2017 (with the rest) on its odd rows, then cross-validated by
record; the model written is fitted on all.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import learn
import msgspec
import numpy as np
from feldsher_signal.fibrillation import FEATURES, STATED
from feldsher_signal.formats import marks, read
from feldsher_signal.interpret import windows_of
from feldsher_signal.model import ModelFile, Provenance
from numpy.typing import NDArray
from scoring import binary
from sets import DATA

RISES = ("irregular", "turns", "entropy")
FALLS = ("cluster", "again_2", "again_3", "ectopic", "p_like", "p_seen", "p_clear", "unclear")
"""What can speak only for fibrillation, and only against it: trees are held to that, as few windows teach much."""
KEPT_WINDOWS = 24
"""Windows kept of a long recording, spread evenly, four times as many of those in fibrillation."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Windows of one recording: features, truth (True = fibrillation)."""

    record: str
    x: NDArray[np.float64]
    y: NDArray[np.bool_]


def _cinc(data: Path) -> Iterator[Rows]:
    with (data / "cinc2017" / "REFERENCE.csv").open(encoding="utf-8") as lines:
        for name, label in csv.reader(lines):
            if label != "~":
                x = windows_of(read(data / "cinc2017" / f"{name}.hea"))[1]
                yield Rows(name, x, np.array([label == "A"] * len(x), np.bool_))


def _share(start: int, end: int, spans: list[tuple[int, int]]) -> float:
    return sum(max(min(end, b) - max(start, a), 0) for a, b in spans) / max(end - start, 1)


def _mitdb(data: Path) -> Iterator[Rows]:
    for header in sorted((data / "mitdb").glob("*.hea")):
        recording = read(header)
        changes = [(m.at, m.text) for m in marks.read(header.with_suffix(".atr")) if m.symbol == "+"]
        ends = [*(at for at, _ in changes[1:]), recording.n]
        by: dict[str, list[tuple[int, int]]] = {"(AFIB": [], "(AFL": []}
        for (at, name), end in zip(changes, ends, strict=True):
            by.setdefault(name.strip("\0 "), []).append((at, end))
        at, x, r = windows_of(recording)
        stretch = [(int(r[a]), int(r[b - 1])) for a, b in at.tolist()]
        af = np.array([_share(a, b, by["(AFIB"]) for a, b in stretch])
        flutter = np.array([_share(a, b, by["(AFL"]) for a, b in stretch])
        keep: list[int] = []
        for chosen, most in ((af > 0.8, 4 * KEPT_WINDOWS), ((af < 0.1) & (flutter < 0.1), KEPT_WINDOWS)):
            index = np.flatnonzero(chosen)
            count = min(most, index.size)
            keep += [int(index[k * index.size // count]) for k in range(count)]
        yield Rows(header.stem, x[keep], af[keep] > 0.8)


def _ptbxl(data: Path) -> Iterator[Rows]:
    with (data / "ptbxl" / "ptbxl_database.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            codes = ast.literal_eval(row["scp_codes"])
            if "AFLT" not in codes:
                x = windows_of(read(data / "ptbxl" / f"{row['filename_hr']}.hea"))[1]
                yield Rows(f"ptbxl {row['ecg_id']}", x, np.array(["AFIB" in codes] * len(x), np.bool_))


def _ludb(data: Path) -> Iterator[Rows]:
    with (data / "ludb" / "ludb.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            header = data / "ludb" / "data" / f"{row['ID'].strip()}.hea"
            if header.exists() and "flutter" not in row["Rhythms"]:
                x = windows_of(read(header))[1]
                yield Rows(f"ludb {row['ID']}", x, np.array(["fibrillation" in row["Rhythms"]] * len(x), np.bool_))


def _both(x: learn.Floats, y: learn.Truth, weight: learn.Floats | None = None, /) -> ModelFile:
    """Return the mean log-odds of a logistic regression and of trees that move one way: their errors differ."""
    ways = [(name in RISES) - (name in FALLS) for name in FEATURES]
    settings: dict[str, Any] = {"max_iter": 120, "learning_rate": 0.06, "max_depth": 3, "min_samples_leaf": 15}
    grown = learn.trees(FEATURES, l2_regularization=5.0, max_features=0.4, monotonic_cst=ways, **settings)
    a, b = learn.logistic(FEATURES, c=3.0)(x, y, weight), grown(x, y, weight)
    if a.linear is None or b.trees is None:
        raise TypeError("a regression without weights, or no trees")
    linear = msgspec.structs.replace(a.linear, weight=tuple(0.5 * w for w in a.linear.weight))
    trees = msgspec.structs.replace(b.trees, value=tuple(float(f"{0.5 * v:.6g}") for v in b.trees.value))
    return ModelFile("both", FEATURES, 0.5 * (a.base + b.base), (1.0, 0.0), a.provenance, linear, trees)


def main() -> None:
    """Train, say how good it is, write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    data: Path = parser.parse_args().data
    sets = {"cinc2017": _cinc, "mitdb": _mitdb, "ptbxl": _ptbxl, "ludb": _ludb}
    absent = [name for name in sets if not (data / name).is_dir()]
    if absent:
        sys.exit(f"absent under {data}: {', '.join(absent)}")
    rows: dict[str, list[Rows]] = {name: list(maker(data)) for name, maker in sets.items()}
    every = [one for found in rows.values() for one in found]
    x, y = np.concatenate([one.x for one in every]), np.concatenate([one.y for one in every])
    groups = np.concatenate([np.full(one.y.shape[0], k) for k, one in enumerate(every)])
    name = np.concatenate([np.full(one.y.shape[0], of) for of, found in rows.items() for one in found])
    # Odd rows of cinc2017 by their place in REFERENCE.csv without noise, as benchmarks/accuracy.py counts.
    odd: set[str] = {one.record for k, one in enumerate(rows["cinc2017"]) if k % 2}
    held = np.array([every[int(g)].record in odd for g in groups])
    half = learn.log_odds(_both(x[~held], y[~held]), x[held])
    made = Provenance("benchmarks/train_rhythm.py", {of: len(found) for of, found in rows.items()}, 0, 0, 0, "", {})
    file = learn.train(_both, x, y, groups, made, n=10, repeats=3)
    a, b = file.calibration
    print("fitted without odd rows of cinc2017, on them:", binary(1 / (1 + np.exp(-(a * half + b))) >= STATED, y[held]))
    z = learn.kept(_both, x, y, groups, n=10, repeats=1)
    for of in rows:
        p = 1 / (1 + np.exp(-(a * z[0, name == of] + b)))
        print("cross-validated,", of, binary(p >= STATED, y[name == of]))
    print(learn.write("fibrillation", file), file.provenance)


if __name__ == "__main__":
    main()
