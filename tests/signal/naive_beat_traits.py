"""Slow, obvious oracles of the kernels of beat_timing, beat_shape and beat_traits."""

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


def early_usual(rr: list[float], usual: list[bool], early: list[float]) -> list[float]:
    """Return each interval over the median of the nearest ones between usual beats that are in time."""
    plain = [k for k in range(1, len(usual)) if usual[k] and usual[k - 1] and early[k] > 0.87]
    out: list[float] = []
    for k in range(len(usual)):
        near = min(range(len(plain)), key=lambda j, k=k: (abs(plain[j] - k), -j), default=-1)
        around = [rr[j - 1] for j in plain[max(near - 15, 0) : near + 16]]
        own = rr[k - 1] if k > 0 else float(np.median(rr[:21]))
        out.append(own / float(np.median(around)) if plain else early[k])
    return out


def best_correlation(own: np.ndarray, usual: np.ndarray, first: int, reach: int) -> float:
    """Return the best correlation of one lead's beat with the usual one over shifts."""
    shifts = range(first - reach, first + reach + 1)
    return max(float(np.corrcoef(own, usual[s : s + own.shape[0]])[0, 1]) for s in shifts)
