"""How results are scored: matching, ROC area, whether probabilities can be taken at their word."""

from __future__ import annotations

import numpy as np
import pytest
from scoring import auc, binary, match, reliability


def test_match_is_one_to_one_within_the_tolerance() -> None:
    tally = match([100, 140, 500, 900], [110, 480, 700], 1000.0)
    assert (tally.hits, tally.missed, tally.false) == (2, 1, 2)
    assert tally.errors == [-10.0, 20.0]


def test_area_counts_pairs_in_order() -> None:
    truth = np.array([True, False, True, False])
    assert auc(np.array([0.9, 0.1, 0.4, 0.6]), truth)[0] == 0.75
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), truth)[0] == 0.5


def test_binary_shares() -> None:
    got = binary(np.array([True, True, False, False]), np.array([True, False, True, False]))
    assert (got["se"], got["sp"], got["ppv"], got["f1"]) == (50.0, 50.0, 50.0, 0.5)


@pytest.mark.parametrize("sharper", [1.0, 2.0])
def test_reliability_sees_over_confidence(sharper: float) -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(0, 1.5, 20_000)
    truth = rng.random(z.size) < 1 / (1 + np.exp(-z))
    said = 1 / (1 + np.exp(-sharper * z))
    got = reliability(said, truth)
    assert got["slope"] == pytest.approx(1 / sharper, abs=0.05)
    assert got["offset"] == pytest.approx(0, abs=0.05)
    assert got["brier"] == pytest.approx(float(np.mean((said - truth) ** 2)), abs=1e-4)
    assert sum(count for _, _, count in got["bins"]) == z.size
    if sharper == 1.0:
        assert all(abs(mean - share) < 0.05 for mean, share, _ in got["bins"])
