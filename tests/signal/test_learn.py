"""What training scripts share: Platt's rule; the file written is the model fitted (where scikit-learn is present)."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import learn
import msgspec
import numpy as np
import pytest
from feldsher_signal import model
from feldsher_signal.model import Linear, ModelFile, Provenance

MADE = Provenance("benchmarks/none.py", {"none": 300}, 0, 0, 0, "", {})
with_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None,
    reason="scikit-learn is not installed: what the training scripts fit is NOT TESTED here (benchmarks/learn.py)",
)


def test_platt_finds_the_rule_that_made_the_labels() -> None:
    rng = np.random.default_rng(5)
    z = rng.normal(0, 2, 20_000)
    y = rng.random(z.size) < 1 / (1 + np.exp(-(0.6 * z - 0.4)))
    assert learn.platt(z, y) == pytest.approx((0.6, -0.4), abs=0.05)


def test_platt_stays_finite_where_classes_part() -> None:
    z = np.concatenate([np.full(9, -5.0), np.full(9, 5.0)])
    a, b = learn.platt(z, z > 0)
    # Nine of nine are targets of 10/11, not 1.
    assert (a, b) == pytest.approx((math.log(10) / 5, 0), abs=1e-6)


def test_written_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "FOLDER", tmp_path)
    file = ModelFile("logistic", ("a",), 0.5, (1.0, 0.0), MADE, Linear((2.0,), (1.0,), (2.0,), (1.0,)))
    learn.write("one", file)
    x = np.array([[1.0], [3.0]])
    np.testing.assert_allclose(learn.log_odds(file, x), [0.5, 2.5])
    np.testing.assert_allclose(model.load("one").probability(x), 1 / (1 + np.exp([-0.5, -2.5])))
    model.load.cache_clear()


@with_sklearn
@pytest.mark.parametrize("kind", ["logistic", "trees"])
def test_fits_are_exported_exactly_and_kept_folds_are_honest(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 3))
    y = x[:, 0] + 0.5 * rng.normal(size=300) > 0
    x[rng.random(x.shape) < 0.1] = np.nan
    names = ("a", "b", "c")
    fit = learn.logistic(names) if kind == "logistic" else learn.trees(names, max_iter=20, max_depth=3)
    file = learn.train(fit, x, y, np.arange(300) // 2, MADE, repeats=2)
    assert 0.8 < file.provenance.cross_validated["auc"] < 1
    noise = learn.train(fit, x[:, 1:2].repeat(3, axis=1), y, np.arange(300) // 2, MADE, repeats=2)
    assert noise.provenance.cross_validated["auc"] < 0.65
    assert noise.provenance.positives == int(y.sum())
    assert msgspec.json.decode(msgspec.json.encode(file), type=ModelFile) == file


@with_sklearn
def test_trees_say_what_scikit_learn_says() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    x[rng.random(x.shape) < 0.2] = np.nan
    y = np.nan_to_num(x[:, 0], nan=1.0) > 0
    fitted = learn.sklearn("ensemble").HistGradientBoostingClassifier(random_state=0, early_stopping=False, max_iter=15)
    expected = fitted.fit(x, y).predict_proba(x)[:, 1]
    got = learn.ready(learn.trees(("a", "b"), max_iter=15)(x, y)).probability(x)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
