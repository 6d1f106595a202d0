"""Slow, obvious oracles of beat_traits' kernels."""

from __future__ import annotations

import numpy as np


def around(values: list[float], reach: int, part: float) -> list[float]:
    """Return the quantile of each value's neighbourhood."""
    return [float(np.quantile(values[max(k - reach, 0) : k + reach + 1], part)) for k in range(len(values))]


def means(y: np.ndarray, at: list[int], label: list[int], before: int, clear: int, length: int) -> np.ndarray:
    """Return each group's mean beat, samples near the next beat left out."""
    out = np.zeros((max(label) + 1, y.shape[0], length))
    for g in range(out.shape[0]):
        for i in range(length):
            kept: list[np.ndarray] = []
            for k, a in enumerate(at):
                j = a - before + i
                late = k + 1 < len(at) and j >= at[k + 1] - clear
                if label[k] == g and 0 <= j < y.shape[1] and not late:
                    kept.append(y[:, j])
            if kept:
                out[g, :, i] = np.mean(kept, axis=0)
    return out


def group_medians(table: np.ndarray, label: list[int], source: list[int]) -> np.ndarray:
    """Return by beat its group's median of each source column."""
    groups = np.array(label)
    return np.array([[np.median(table[groups == g, c]) for c in source] for g in label])
