"""Small learned models: logistic regressions and boosted trees from data files, evaluated by one kernel, with reasons.

A model is `models/NAME.json`, written by a training script of benchmarks/ (`learn.py`): a linear part or trees give
log-odds z; the calibration (Platt 1999) makes the probability 1 / (1 + exp(−(a z + b))). NaN is a missing value: the
linear part takes the stated stand-in for it, a tree sends it the stated way. Any row gives the same bits alone or
among others, so stream and batch agree.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from feldsher_signal.jit import kernel

FOLDER = Path(__file__).with_name("models")


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from: `data`: records by data set; `cross_validated`: figures on folds kept from the fit."""

    script: str
    data: dict[str, int]
    examples: int
    positives: int
    seed: int
    sklearn: str
    cross_validated: dict[str, float]
    note: str = ""


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A linear part: Σ weight · (x − mean) / scale, where `missing` stands in for an x that is NaN.

    `limit`: what (x − mean) / scale is held within, so that one wild measurement cannot decide alone; None: nothing.
    """

    weight: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    missing: tuple[float, ...]
    limit: float | None = None


class Trees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Binary trees as arrays over all nodes: left where x ≤ threshold; a leaf has left = −1; `value`: of every node.

    An inner node's value is the mean of its examples, so that each step's change is its feature's share (Saabas 2014).
    """

    root: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing_left: tuple[bool, ...]
    value: tuple[float, ...]


class ModelFile(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The data file: log-odds = base + linear part + trees; `calibration`: a, b of Platt's rule."""

    kind: Literal["logistic", "trees", "both"]
    features: tuple[str, ...]
    base: float
    calibration: tuple[float, float]
    provenance: Provenance
    linear: Linear | None = None
    trees: Trees | None = None


@kernel(
    "void(f8[:, ::1], f8, f8, f8, f8, f8[::1], f8[::1], f8[::1], f8[::1], "
    "i8[::1], i8[::1], f8[::1], i8[::1], i8[::1], b1[::1], f8[::1], f8[:, ::1], f8[::1])"
)
def evaluate(
    x: NDArray[np.float64],
    base: float,
    a: float,
    b: float,
    limit: float,
    weight: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    missing: NDArray[np.float64],
    root: NDArray[np.int64],
    feature: NDArray[np.int64],
    threshold: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    missing_left: NDArray[np.bool_],
    value: NDArray[np.float64],
    parts: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write each row's log-odds by feature (n, k; before calibration) into `parts` and its probability into `out`."""
    for row in range(x.shape[0]):
        z = base
        for j in range(x.shape[1]):
            parts[row, j] = 0.0
        for j in range(weight.shape[0]):
            v = missing[j] if np.isnan(x[row, j]) else x[row, j]
            parts[row, j] = weight[j] * min(max((v - mean[j]) / scale[j], -limit), limit)
            z += parts[row, j]
        for tree in range(root.shape[0]):
            node = root[tree]
            while left[node] >= 0:
                j = feature[node]
                v = x[row, j]
                down = missing_left[node] if np.isnan(v) else v <= threshold[node]
                after = left[node] if down else right[node]
                parts[row, j] += value[after] - value[node]
                node = after
            z += value[node]
        out[row] = 1.0 / (1.0 + math.exp(-min(max(a * z + b, -700.0), 700.0)))


@dataclass(frozen=True, slots=True)
class Model:
    """A model ready to use: `features` in the order of the columns it wants, and where it comes from."""

    name: str
    features: tuple[str, ...]
    provenance: Provenance
    base: float
    calibration: tuple[float, float]
    limit: float
    arrays: tuple[NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_], ...]

    def _evaluated(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise ValueError(f"{self.name}: x of shape {x.shape}, (n, {len(self.features)}) wanted")
        rows = np.ascontiguousarray(x, np.float64)
        parts, out = np.empty(rows.shape), np.empty(rows.shape[0])
        evaluate(rows, self.base, *self.calibration, self.limit, *self.arrays, parts, out)  # type: ignore[arg-type]
        return parts, out

    def probability(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each row of x (n, features), NaN = missing; ValueError on another shape."""
        return self._evaluated(x)[1]

    def reasons(self, row: NDArray[np.float64], most: int = 3) -> tuple[tuple[str, float], ...]:
        """Return what moved one row (features,) most: feature and calibrated log-odds against the average case.

        Exact in a linear part; along the path taken in trees (Saabas 2014). Strongest first, none of no effect.
        """
        parts = (self.calibration[0] * self._evaluated(np.asarray(row, np.float64)[None, :])[0][0]).tolist()
        order = sorted(range(len(parts)), key=lambda j: -abs(parts[j]))
        return tuple((self.features[j], parts[j]) for j in order[:most] if parts[j])


def names() -> tuple[str, ...]:
    """Return the models there are."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


@functools.cache
def load(name: str, features: tuple[str, ...] | None = None) -> Model:
    """Return a model by name, kept after the first call; with `features`, those it must be made for, in order.

    ValueError where there is no such model, its file is faulty, or it was made for other features.
    """
    path = FOLDER / f"{name}.json"
    if name not in names():
        raise ValueError(f"{name}: no such model, there are: {', '.join(names()) or 'none'}")
    model = decode(path.read_bytes(), name)
    if features is not None and model.features != features:
        odd = sorted(set(model.features) ^ set(features)) or ["their order"]
        raise ValueError(f"{name}: made for other features: {', '.join(odd)}; train it again")
    return model


def decode(data: bytes, name: str = "model") -> Model:
    """Return the model that a file's bytes hold; ValueError says what is wrong with them."""
    try:
        file = msgspec.json.decode(data, type=ModelFile)
    except msgspec.DecodeError as error:
        raise ValueError(f"{name}: {error}") from error
    faults = _faults(file)
    if faults:
        raise ValueError(f"{name}: {'; '.join(faults)}")
    linear, trees = file.linear or Linear((), (), (), ()), file.trees or Trees((), (), (), (), (), (), ())
    arrays = (
        *(np.array(v, np.float64) for v in (linear.weight, linear.mean, linear.scale, linear.missing)),
        np.array(trees.root, np.int64),
        np.array(trees.feature, np.int64),
        np.array(trees.threshold, np.float64),
        np.array(trees.left, np.int64),
        np.array(trees.right, np.int64),
        np.array(trees.missing_left, np.bool_),
        np.array(trees.value, np.float64),
    )
    limit = math.inf if linear.limit is None else linear.limit
    return Model(name, file.features, file.provenance, file.base, file.calibration, limit, arrays)


def _faults(file: ModelFile) -> list[str]:
    """Return what would make an evaluation wrong, endless or out of bounds."""
    out: list[str] = []
    k = len(file.features)
    if not k or len(set(file.features)) != k:
        out.append("features: none, or one named twice")
    if (file.linear is not None, file.trees is not None) != (file.kind != "trees", file.kind != "logistic"):
        out.append(f"kind: {file.kind} does not agree with the parts given")
    if file.linear is not None:
        columns = (file.linear.weight, file.linear.mean, file.linear.scale, file.linear.missing)
        if any(len(column) != k for column in columns):
            out.append(f"linear: {k} weights, means, scales and missing values wanted")
        if any(v <= 0 for v in file.linear.scale) or (file.linear.limit or 1.0) <= 0:
            out.append("linear: scales and limit must be over 0")
    return out + (_tree_faults(file.trees, k) if file.trees is not None else [])


def _tree_faults(trees: Trees, k: int) -> list[str]:
    n = len(trees.value)
    if {len(trees.feature), len(trees.threshold), len(trees.left), len(trees.right), len(trees.missing_left)} != {n}:
        return ["trees: arrays of unequal length"]
    if any(not 0 <= at < n for at in trees.root):
        return ["trees: a root outside"]
    for node, (left, right) in enumerate(zip(trees.left, trees.right, strict=True)):
        if left >= 0 and not (node < left < n and node < right < n):
            return [f"trees: the children of node {node} do not lie after it"]
        if left >= 0 and not 0 <= trees.feature[node] < k:
            return [f"trees: node {node} asks for a feature that is not there"]
    return []
