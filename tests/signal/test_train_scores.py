"""The training script and the models shipped agree: each learned score is made from just what the script weighs."""

from __future__ import annotations

import pytest
import train_scores
from feldsher_signal import likelihood, model
from feldsher_signal.evidence import FEATURES
from feldsher_signal.registry import SUPERCLASSES


def test_every_learned_score_has_its_recipe() -> None:
    assert set(train_scores.WEIGHED) == set(likelihood.LEARNED) >= set(SUPERCLASSES)


@pytest.mark.parametrize("name", train_scores.WEIGHED)
def test_models_are_made_by_the_recipes(name: str) -> None:
    recipe = train_scores.WEIGHED[name]
    assert set(recipe.features) <= set(FEATURES)
    one = model.load(likelihood.LEARNED[name], recipe.features)
    assert one.limit == recipe.limit
    assert one.provenance.script == "benchmarks/train_scores.py"
    assert one.provenance.positives >= 19
    assert one.provenance.cross_validated["auc"] > 0.85
    assert 0.5 < one.provenance.cross_validated["slope"] < 1.5
