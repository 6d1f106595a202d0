"""The boosted trees: they learn what is there, weights count, the file gives the same answers."""

from __future__ import annotations

import boost
import learn
import numpy as np
from feldsher_signal.model import Provenance

MADE = Provenance("", {}, 0, 0, 0, "", {})


def test_learns_a_rule_of_two_features_and_ignores_the_third() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (3000, 3))
    y = (x[:, 0] > 0.3) & (x[:, 1] < 0.5)
    how = boost.Settings(trees=60, columns=1.0)
    file = boost.fitted(x[:2000], y[:2000], np.ones(2000), ("a", "b", "c"), how, MADE)
    z = learn.log_odds(file, x[2000:])
    assert ((z > 0) == y[2000:]).mean() > 0.97
    assert file.trees is not None
    used = [f for f, left in zip(file.trees.feature, file.trees.left, strict=True) if left >= 0]
    assert used.count(2) < 0.2 * len(used)


def test_weights_count_and_the_same_seed_gives_the_same_file() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (500, 2))
    y = np.arange(500) % 2 == 0
    heavy = np.where(y, 9.0, 1.0)
    how = boost.Settings(trees=3)
    one, two = (boost.fitted(x, y, heavy, ("a", "b"), how, MADE) for _ in range(2))
    assert one == two
    assert abs(one.base - np.log(9.0)) < 1e-9
