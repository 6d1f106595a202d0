"""Gradient-boosted trees of fixed depth with weighted examples, in kernels: seconds where other trainers take minutes.

Newton boosting on the logistic loss (Friedman 2001; Chen & Guestrin 2016) over quantile bins, deterministic by its
seed. scikit-learn's trainer spins in OpenMP on a shared machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from feldsher_signal.model import ModelFile, Provenance, Trees
from numpy.typing import NDArray

BINS = 64
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is grown: `penalty` on leaf values, `least` weight in a leaf, `columns` share of features a tree."""

    trees: int = 120
    depth: int = 2
    rate: float = 0.1
    penalty: float = 5.0
    least: float = 2.0
    columns: float = 0.4
    seed: int = 0


@numba.njit(cache=True)
def _binned(x: Any, edges: Any, out: Any) -> None:
    for j in range(x.shape[1]):
        for i in range(x.shape[0]):
            low, high = 0, edges.shape[1]
            while low < high:
                middle = (low + high) // 2
                if edges[j, middle] < x[i, j]:
                    low = middle + 1
                else:
                    high = middle
            out[j, i] = low


@numba.njit(cache=True, fastmath=True)
def _split(
    bins: Any, g: Any, h: Any, node: Any, nodes: int, used: Any, penalty: float, least: float, best: Any
) -> None:
    """Write each node's best split (gain, feature, bin) and its sums of gradients."""
    hist = np.zeros((nodes, BINS, 2))
    best[:nodes] = 0.0
    best[:nodes, 1] = -1.0
    for i in range(g.shape[0]):
        best[node[i], 3] += g[i]
        best[node[i], 4] += h[i]
    for j in range(bins.shape[0]):
        if not used[j]:
            continue
        hist[:] = 0.0
        for i in range(g.shape[0]):
            hist[node[i], bins[j, i], 0] += g[i]
            hist[node[i], bins[j, i], 1] += h[i]
        for k in range(nodes):
            a, b, sum_g, sum_h = 0.0, 0.0, best[k, 3], best[k, 4]
            for cut in range(BINS - 1):
                a += hist[k, cut, 0]
                b += hist[k, cut, 1]
                if b < least or sum_h - b < least:
                    continue
                gain = a * a / (b + penalty) + (sum_g - a) ** 2 / (sum_h - b + penalty)
                gain -= sum_g * sum_g / (sum_h + penalty)
                if gain > best[k, 0]:
                    best[k, 0], best[k, 1], best[k, 2] = gain, j, cut


@numba.njit(cache=True, fastmath=True)
def _grown(bins: Any, y: Any, w: Any, base: float, depth: int, rate: float, penalty: float, least: float, used: Any,
           feature: Any, cut: Any, value: Any) -> None:  # fmt: skip
    """Grow all trees; `value` (trees, nodes) holds the mean answer of inner nodes too."""
    n, last = y.shape[0], 1 << depth
    z, g, h, node, best = np.full(n, base), np.empty(n), np.empty(n), np.empty(n, np.int64), np.zeros((last, 5))
    for t in range(feature.shape[0]):
        for i in range(n):
            p = 1.0 / (1.0 + math.exp(-z[i]))
            g[i], h[i], node[i] = w[i] * (p - y[i]), w[i] * p * (1 - p), 0
        for level in range(depth + 1):
            nodes = 1 << level
            _split(bins, g, h, node, nodes, used[t] & (level < depth), penalty, least, best)
            for k in range(nodes):
                at = nodes - 1 + k
                value[t, at] = -rate * best[k, 3] / (best[k, 4] + penalty)
                feature[t, at], cut[t, at] = int(best[k, 1]), int(best[k, 2])
            if level < depth:
                for i in range(n):
                    j = feature[t, nodes - 1 + node[i]]
                    right = j >= 0 and bins[j, i] > cut[t, nodes - 1 + node[i]]
                    node[i] = 2 * node[i] + right
        for i in range(n):
            z[i] += value[t, last - 1 + node[i]]


def fitted(
    x: Floats, y: NDArray[np.bool_], w: Floats, names: tuple[str, ...], how: Settings, made: Provenance
) -> ModelFile:
    """Return the model of examples x (n, features) of weights w, without NaN."""
    edges = np.ascontiguousarray(np.quantile(x, np.linspace(0, 1, BINS + 1)[1:-1], axis=0).T)
    bins = np.empty((x.shape[1], x.shape[0]), np.uint8)
    _binned(x, edges, bins)
    w = w / w.mean()
    share = float(np.average(y, weights=w))
    base, nodes = math.log(share / (1 - share)), (1 << (how.depth + 1)) - 1
    used = np.random.default_rng(how.seed).random((how.trees, x.shape[1])) < how.columns
    feature, cut = np.full((how.trees, nodes), -1), np.zeros((how.trees, nodes), np.int64)
    value = np.zeros((how.trees, nodes))
    _grown(bins, y.astype(float), w, base, how.depth, how.rate, how.penalty, how.least, used, feature, cut, value)
    return ModelFile("trees", names, base, (1.0, 0.0), made, trees=_exported(feature, cut, value, edges))


def _exported(feature: NDArray[np.int64], cut: NDArray[np.int64], value: Floats, edges: Floats) -> Trees:
    """Return the trees without the branches that no example reached."""
    rows: list[list[float]] = []

    def put(t: int, at: int) -> int:
        me = len(rows)
        j = int(feature[t, at]) if 2 * at + 1 < feature.shape[1] else -1
        rows.append([max(j, 0), 0.0, -1, -1, float(f"{value[t, at]:.5g}")])
        if j >= 0:
            rows[me][1] = float(f"{edges[j, cut[t, at]]:.6g}")
            rows[me][2], rows[me][3] = put(t, 2 * at + 1), put(t, 2 * at + 2)
        return me

    roots = tuple(put(t, 0) for t in range(feature.shape[0]))
    f, threshold, left, right, values = (tuple(c) for c in zip(*rows, strict=True))
    ints = (tuple(int(v) for v in c) for c in (f, left, right))
    f, left, right = ints
    return Trees(roots, f, threshold, left, right, (True,) * len(rows), values)
