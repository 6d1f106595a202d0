"""How results are compared with references: matching, error statistics, ROC area with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Tally:
    """Matches, misses, false ones, and the errors of the matches in ms."""

    hits: int = 0
    missed: int = 0
    false: int = 0
    errors: list[float] = field(default_factory=list[float])

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        self.hits += other.hits
        self.missed += other.missed
        self.false += other.false
        self.errors += other.errors

    def summary(self) -> dict[str, float]:
        """Return sensitivity, positive predictive value and error rate in %, mean and SD of the errors in ms."""
        reference, found = self.hits + self.missed, self.hits + self.false
        errors = np.array(self.errors or [math.nan])
        return {
            "reference": reference,
            "se": _percent(self.hits, reference),
            "ppv": _percent(self.hits, found),
            "error_rate": _percent(self.missed + self.false, reference),
            "mean_ms": round(float(errors.mean()), 2),
            "sd_ms": round(float(errors.std()), 2),
            "median_abs_ms": round(float(np.median(np.abs(errors))), 2),
            "p95_abs_ms": round(float(np.percentile(np.abs(errors), 95)), 1),
        }


def _percent(part: float, whole: float) -> float:
    return round(100.0 * part / whole, 3) if whole else math.nan


def match(found: Sequence[int], reference: Sequence[int], fs: float, tolerance_ms: float = 150.0) -> Tally:
    """Return the one-to-one match of sorted samples: each reference with the nearest unused one in tolerance."""
    reach = tolerance_ms * fs / 1000
    used = [False] * len(found)
    tally, low = Tally(), 0
    for at in reference:
        while low < len(found) and found[low] < at - reach:
            low += 1
        best, k = -1, low
        while k < len(found) and found[k] <= at + reach:
            if not used[k] and (best < 0 or abs(found[k] - at) < abs(found[best] - at)):
                best = k
            k += 1
        if best < 0:
            tally.missed += 1
        else:
            used[best] = True
            tally.hits += 1
            tally.errors.append((found[best] - at) * 1000 / fs)
    tally.false = used.count(False)
    return tally


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the area under the ROC curve and its 95 % interval (Hanley & McNeil 1982); NaN without both classes."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return math.nan, math.nan, math.nan
    higher = scores[truth][:, None] - scores[~truth][None, :]
    area = float(((higher > 0).sum() + 0.5 * (higher == 0).sum()) / (positive * negative))
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (positive - 1) * (q1 - area**2) + (negative - 1) * (q2 - area**2)
    half = 1.96 * math.sqrt(max(variance, 0.0) / (positive * negative))
    return round(area, 3), round(max(area - half, 0.0), 3), round(min(area + half, 1.0), 3)


def binary(stated: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return positives, sensitivity, specificity, positive predictive value (%) and F1."""
    tp, fp = int((stated & truth).sum()), int((stated & ~truth).sum())
    fn, tn = int((~stated & truth).sum()), int((~stated & ~truth).sum())
    return {
        "positives": tp + fn,
        "se": _percent(tp, tp + fn),
        "sp": _percent(tn, tn + fp),
        "ppv": _percent(tp, tp + fp),
        "f1": round(2 * tp / (2 * tp + fp + fn), 3) if tp + fp + fn else math.nan,
    }


def reliability(probability: NDArray[np.float64], truth: NDArray[np.bool_], bins: int = 5) -> dict[str, Any]:
    """Return how far probabilities can be taken at their word: Brier score, slope and a table by equal ranges.

    `slope`, `offset`: of the logistic regression of truth on log-odds (Cox 1958): 1 and 0 when calibrated; under 1 =
    over-confident. `bins`: for each range mean probability, share true and how many.
    """
    p = np.clip(probability, 1e-4, 1 - 1e-4)
    design = np.stack([np.log(p / (1 - p)), np.ones_like(p)], axis=1)
    theta = np.array([1.0, 0.0])
    for _ in range(50):
        q = 1 / (1 + np.exp(-np.clip(design @ theta, -30, 30)))
        hessian = design.T @ (design * (q * (1 - q) + 1e-9)[:, None])
        theta += np.clip(np.linalg.solve(hessian, design.T @ (truth - q)), -1, 1)
    which = np.minimum((probability * bins).astype(int), bins - 1)
    table = [
        (
            round(float(probability[which == k].mean()), 2),
            round(float(truth[which == k].mean()), 2),
            int((which == k).sum()),
        )
        for k in range(bins)
        if (which == k).any()
    ]
    brier = round(float(np.mean((probability - truth) ** 2)), 4)
    return {"brier": brier, "slope": round(float(theta[0]), 2), "offset": round(float(theta[1]), 2), "bins": table}
