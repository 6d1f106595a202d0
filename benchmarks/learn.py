"""What the training scripts (train_*.py) share: fits by scikit-learn, honest cross-validation, model files.

Wants scikit-learn, which the product never imports: `uv pip install scikit-learn` into an environment of its own.
Figures are from folds that keep groups (patients, records) together; calibration is fitted on those folds' log-odds.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from feldsher_signal import model
from feldsher_signal.model import Linear, ModelFile, Provenance, Trees
from numpy.typing import NDArray
from scoring import auc, reliability

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


class Fit(Protocol):
    """From rows and labels, and the rows' weights if they differ, to a model."""

    def __call__(self, x: Floats, y: Truth, weight: Floats | None = None, /) -> ModelFile:  # noqa: D102
        ...


_UNSET = Provenance("", {}, 0, 0, 0, "", {})


def sklearn(part: str = "") -> Any:
    """Return scikit-learn or one of its parts; where it is not installed, the script stops and says so."""
    try:
        return importlib.import_module(f"sklearn.{part}" if part else "sklearn")
    except ImportError:
        sys.exit(
            "scikit-learn is not installed here: training wants it (uv pip install scikit-learn), the product does not"
        )


def logistic(
    features: tuple[str, ...],
    c: float = 0.1,
    l1_ratio: float = 0.0,
    balanced: bool = False,
    limit: float | None = None,
    ease: Mapping[str, float] | None = None,
) -> Fit:
    """Return a fit of a logistic regression on standardised features, a missing value standing at its feature's median.

    `c`: inverse strength of the penalty; `l1_ratio`: 0 ridge … 1 lasso; `limit`: standard deviations to hold values in;
    `ease`: how many times less some features are penalised, for what is known to be worth more than one measurement.
    """
    lighter = np.sqrt([(ease or {}).get(feature, 1.0) for feature in features])

    def fit(x: Floats, y: Truth, weight: Floats | None = None, /) -> ModelFile:
        middle = np.array([np.median(v[~np.isnan(v)]) if (~np.isnan(v)).any() else 0.0 for v in x.T])
        filled = np.where(np.isnan(x), middle, x)
        mean, scale = filled.mean(axis=0), filled.std(axis=0)
        scale[scale < 1e-9] = 1.0
        solver = {"solver": "saga", "l1_ratio": l1_ratio} if l1_ratio else {}
        fitted = sklearn("linear_model").LogisticRegression(
            C=c, max_iter=5000, class_weight="balanced" if balanced else None, random_state=0, **solver
        )
        held = np.inf if limit is None else limit
        fitted.fit(lighter * np.clip((filled - mean) / scale, -held, held), y, weight)
        linear = Linear(_short(lighter * fitted.coef_[0]), _short(mean), _short(scale), _short(middle), limit)
        return ModelFile("logistic", features, float(fitted.intercept_[0]), (1.0, 0.0), _UNSET, linear)

    return fit


def trees(features: tuple[str, ...], seed: int = 0, balanced: bool = False, **settings: Any) -> Fit:
    """Return a fit of gradient-boosted trees (HistGradientBoostingClassifier with `settings`), NaN allowed."""

    def fit(x: Floats, y: Truth, weight: Floats | None = None, /) -> ModelFile:
        fitted = sklearn("ensemble").HistGradientBoostingClassifier(
            random_state=seed, early_stopping=False, class_weight="balanced" if balanced else None, **settings
        )
        fitted.fit(x, y, weight)
        rows: list[tuple[float, ...]] = []
        roots: list[int] = []
        for (predictor,) in fitted._predictors:
            roots.append(len(rows))
            rows += _nodes(predictor.nodes, len(rows))
        columns = [list(c) for c in zip(*rows, strict=True)]
        feature, left, right = ([int(v) for v in columns[k]] for k in (0, 2, 3))
        exported = Trees(
            tuple(roots),
            tuple(feature),
            tuple(float(v) for v in columns[1]),
            tuple(left),
            tuple(right),
            tuple(bool(v) for v in columns[4]),
            _short(columns[5]),
        )
        base = float(np.ravel(fitted._baseline_prediction)[0])
        return ModelFile("trees", features, base, (1.0, 0.0), _UNSET, trees=exported)

    return fit


def _nodes(nodes: Any, start: int) -> list[tuple[float, ...]]:
    """Return one tree's nodes as rows (feature, threshold, left, right, missing_left, value), inner values as means."""
    value = [float(v) for v in nodes["value"]]
    for k in range(len(nodes) - 1, -1, -1):
        if not nodes["is_leaf"][k]:
            a, b = int(nodes["left"][k]), int(nodes["right"][k])
            na, nb = float(nodes["count"][a]), float(nodes["count"][b])
            value[k] = (na * value[a] + nb * value[b]) / (na + nb)
    out: list[tuple[float, ...]] = []
    for k, node in enumerate(nodes):
        if node["is_leaf"]:
            out.append((0, 0.0, -1, -1, 0, value[k]))
        else:
            children = (start + int(node["left"]), start + int(node["right"]))
            at = min(float(node["num_threshold"]), sys.float_info.max)
            out.append((int(node["feature_idx"]), at, *children, int(node["missing_go_to_left"]), value[k]))
    return out


def _short(values: Any) -> tuple[float, ...]:
    """Return numbers of eight digits: what the data can carry, in a small file."""
    return tuple(float(f"{float(v):.8g}") for v in values)


def ready(file: ModelFile, name: str = "model") -> model.Model:
    """Return a file's model as the engine would have it."""
    return model.decode(msgspec.json.encode(file), name)


def log_odds(file: ModelFile, x: Floats) -> Floats:
    """Return the log-odds of rows before calibration, by the engine's own kernel."""
    p = ready(msgspec.structs.replace(file, calibration=(1.0, 0.0))).probability(x)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.log(p / (1 - p))


def folds(y: Truth, groups: NDArray[Any], n: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield rows to fit on and rows kept, classes alike in each fold, groups never split."""
    maker = sklearn("model_selection").StratifiedGroupKFold(n_splits=n, shuffle=True, random_state=seed)
    yield from maker.split(np.zeros(y.shape[0]), y, groups)


def kept(
    fit: Fit,
    x: Floats,
    y: Truth,
    groups: NDArray[Any],
    n: int = 5,
    repeats: int = 5,
    seed: int = 1,
    weight: Floats | None = None,
) -> Floats:
    """Return the log-odds of every row by models that did not see its group: (repeats, rows); weights only teach."""
    out = np.full((repeats, y.shape[0]), math.nan)
    for k in range(repeats):
        for seen, unseen in folds(y, groups, n, seed + k):
            out[k, unseen] = log_odds(fit(x[seen], y[seen], None if weight is None else weight[seen]), x[unseen])
    return out


def platt(z: Floats, y: Truth) -> tuple[float, float]:
    """Return a, b of the calibration 1 / (1 + exp(−(a z + b))), with Platt's targets (1999) against over-confidence."""
    positive, negative = int(y.sum()), int((~y).sum())
    target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.stack([z, np.ones_like(z)], axis=1)
    theta = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        hessian = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (target - p))
        theta += step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(theta[0]), float(theta[1])


def figures(z: Floats, y: Truth) -> dict[str, float]:
    """Return the figures of kept log-odds (repeats, rows): AUC, its spread over repeats, its 95 % interval."""
    each = [auc(row, y) for row in z]
    low, high = (float(np.mean([one[k] for one in each])) for k in (1, 2))
    areas = np.array([one[0] for one in each])
    rounded = {"auc": areas.mean(), "auc_sd_of_repeats": areas.std(), "auc_low": low, "auc_high": high}
    return {key: round(float(v), 3) for key, v in rounded.items()}


def calibrated(z: Floats, y: Truth, groups: NDArray[Any], n: int = 5, seed: int = 1) -> Floats:
    """Return the probabilities of kept log-odds (repeats, rows), each calibrated on folds that it is not in."""
    out = np.full(z.shape, math.nan)
    for k, row in enumerate(z):
        for seen, unseen in folds(y, groups, n, seed + k):
            a, b = platt(row[seen], y[seen])
            out[k, unseen] = 1 / (1 + np.exp(-np.clip(a * row[unseen] + b, -700, 700)))
    return out


def train(
    fit: Fit,
    x: Floats,
    y: Truth,
    groups: NDArray[Any],
    made: Provenance,
    n: int = 5,
    repeats: int = 5,
    seed: int = 1,
    weight: Floats | None = None,
) -> ModelFile:
    """Return the model of all rows with calibration and figures from cross-validation; `made` says script and data."""
    z = kept(fit, x, y, groups, n, repeats, seed, weight)
    calibration = platt(z.ravel(), np.tile(y, repeats))
    honest = reliability(calibrated(z, y, groups, n, seed).ravel(), np.tile(y, repeats))
    provenance = msgspec.structs.replace(
        made,
        examples=int(y.shape[0]),
        positives=int(y.sum()),
        seed=seed,
        sklearn=sklearn().__version__,
        cross_validated=made.cross_validated
        | figures(z, y)
        | {key: honest[key] for key in ("brier", "slope", "offset")},
    )
    final = fit(x, y, weight)
    short = (float(f"{calibration[0]:.6g}"), float(f"{calibration[1]:.6g}"))
    return msgspec.structs.replace(final, calibration=short, provenance=provenance)


def write(name: str, file: ModelFile) -> Path:
    """Write a model where the engine loads it from, after checking that it loads; return its path."""
    ready(file, name)
    path = model.FOLDER / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1 if file.trees is None else 0) + b"\n")
    return path
