"""The slow, obvious oracle of model.evaluate: straight from the file's words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from feldsher_signal.model import ModelFile


def parts(file: ModelFile, row: Sequence[float]) -> tuple[float, dict[str, float]]:
    """Return the log-odds before calibration and each feature's share of them."""
    z, share = file.base, dict.fromkeys(file.features, 0.0)
    if file.linear is not None:
        for j, name in enumerate(file.features):
            v = file.linear.missing[j] if math.isnan(row[j]) else row[j]
            v = (v - file.linear.mean[j]) / file.linear.scale[j]
            if file.linear.limit is not None and abs(v) > file.linear.limit:
                v = math.copysign(file.linear.limit, v)
            share[name] += file.linear.weight[j] * v
        z += math.fsum(share.values())
    if file.trees is not None:
        for root in file.trees.root:
            path = [root]
            while file.trees.left[path[-1]] >= 0:
                at = path[-1]
                v = row[file.trees.feature[at]]
                left = file.trees.missing_left[at] if math.isnan(v) else v <= file.trees.threshold[at]
                path.append(file.trees.left[at] if left else file.trees.right[at])
                step = file.trees.value[path[-1]] - file.trees.value[at]
                share[file.features[file.trees.feature[at]]] += step
            z += file.trees.value[path[-1]]
    return z, share


def probability(file: ModelFile, row: Sequence[float]) -> float:
    """Return the calibrated probability."""
    a, b = file.calibration
    return 1 / (1 + math.exp(-(a * parts(file, row)[0] + b)))
