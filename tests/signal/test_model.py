"""Learned models: the kernel against its oracle, exact reasons, bits independent of company, faulty files refused."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import naive_model
import numpy as np
import pytest
from feldsher_signal import jit, model
from feldsher_signal.model import Linear, ModelFile, Provenance, Trees
from hypothesis import given, settings
from hypothesis import strategies as st

MADE = Provenance("benchmarks/none.py", {"none": 3}, 3, 1, 0, "none", {"auc": 0.5})
NAMES = ("rate", "qrs", "pr")


def _tree(rng: random.Random, depth: int, rows: list[list[float]]) -> None:
    """Append one random tree to rows of (feature, threshold, left, right, missing_left, value)."""
    at = len(rows)
    rows.append([0, 0.0, -1, -1, 0, rng.gauss(0, 1)])
    if depth and rng.random() < 0.8:
        left = len(rows)
        _tree(rng, depth - 1, rows)
        right = len(rows)
        _tree(rng, depth - 1, rows)
        rows[at][:5] = [rng.randrange(len(NAMES)), rng.gauss(0, 1), left, right, rng.randrange(2)]


def _file(kind: str, seed: int) -> ModelFile:
    rng = random.Random(seed)  # noqa: S311
    k = len(NAMES)
    weight, mean, missing = (tuple(rng.gauss(0, 1) for _ in range(k)) for _ in range(3))
    linear = Linear(weight, mean, tuple(rng.uniform(0.5, 2) for _ in range(k)), missing, rng.choice([None, 0.8]))
    rows: list[list[float]] = []
    roots: list[int] = []
    for _ in range(5):
        roots.append(len(rows))
        _tree(rng, 3, rows)
    columns = list(zip(*rows, strict=True))
    whole = [tuple(int(v) for v in columns[c]) for c in (0, 2, 3)]
    missing = tuple(bool(v) for v in columns[4])
    trees = Trees(tuple(roots), whole[0], columns[1], whole[1], whole[2], missing, columns[5])
    parts = {"linear": linear, "trees": trees}
    parts = {"logistic": {"linear": linear}, "trees": {"trees": trees}}.get(kind, parts)
    rest = {"kind": kind, "features": NAMES, "base": rng.gauss(0, 1), "calibration": (1.3, -0.2), "provenance": MADE}
    return msgspec.convert(msgspec.to_builtins(rest | parts), ModelFile)


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    jit.warm()


@given(st.sampled_from(["logistic", "trees", "both"]), st.integers(0, 200))
@settings(max_examples=60)
def test_kernel_is_the_oracle(kind: str, seed: int) -> None:
    file = _file(kind, seed)
    one = model.decode(msgspec.json.encode(file))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(7, 3))
    x[rng.random(x.shape) < 0.3] = np.nan
    expected = [naive_model.probability(file, row) for row in x.tolist()]
    np.testing.assert_allclose(one.probability(x), expected, rtol=1e-12)
    alone = np.concatenate([one.probability(row[None, :]) for row in x])
    assert alone.tobytes() == one.probability(x).tobytes()


@given(st.sampled_from(["logistic", "trees", "both"]), st.integers(0, 200))
@settings(max_examples=40)
def test_reasons_add_up_and_lead_with_the_strongest(kind: str, seed: int) -> None:
    file = _file(kind, seed)
    one = model.decode(msgspec.json.encode(file))
    row = np.random.default_rng(seed).normal(size=3)
    found = dict(one.reasons(row, most=3))
    z, share = naive_model.parts(file, row.tolist())
    for name, part in share.items():
        assert found.get(name, 0.0) == pytest.approx(1.3 * part, abs=1e-12)
    start = file.base if file.trees is None else file.base + sum(file.trees.value[r] for r in file.trees.root)
    assert start + sum(found.values()) / 1.3 == pytest.approx(z)
    assert [abs(v) for v in found.values()] == sorted((abs(v) for v in found.values()), reverse=True)
    assert len(one.reasons(row, most=1)) <= 1


def test_far_values_stay_probabilities() -> None:
    one = model.decode(msgspec.json.encode(_file("logistic", 1)))
    got = one.probability(np.array([[1e300, -1e300, 0.0], [-1e300, 1e300, 1.0]]))
    assert ((got >= 0) & (got <= 1)).all()


def test_shape_is_checked() -> None:
    one = model.decode(msgspec.json.encode(_file("trees", 1)))
    with pytest.raises(ValueError, match=r"\(n, 3\) wanted"):
        one.probability(np.zeros((2, 4)))
    assert one.probability(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"features": ("rate", "rate", "pr")}, "named twice"),
        ({"kind": "trees"}, "does not agree"),
        ({"linear": Linear((1.0,), (0.0,), (1.0,), (0.0,))}, "3 weights"),
        ({"linear": Linear((1.0,) * 3, (0.0,) * 3, (1.0, 0.0, 1.0), (0.0,) * 3)}, "over 0"),
        ({"base": "much"}, "Expected `float`"),
    ],
)
def test_faulty_linear_files_say_what_is_wrong(change: dict[str, object], says: str) -> None:
    raw = msgspec.json.encode(msgspec.to_builtins(_file("logistic", 2)) | msgspec.to_builtins(change))
    with pytest.raises(ValueError, match=says):
        model.decode(raw, "bad")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"left": (0, -1, -1)}, "do not lie after it"),
        ({"right": (7, -1, -1)}, "do not lie after it"),
        ({"feature": (3, 0, 0)}, "a feature that is not there"),
        ({"root": (5,)}, "a root outside"),
        ({"value": (0.0, 1.0)}, "unequal length"),
    ],
)
def test_faulty_trees_say_what_is_wrong(change: dict[str, tuple[int, ...]], says: str) -> None:
    stump = Trees((0,), (1, 0, 0), (0.5, 0.0, 0.0), (1, -1, -1), (2, -1, -1), (True, True, True), (0.0, 1.0, -1.0))
    file = msgspec.structs.replace(_file("trees", 2), trees=stump)
    assert model.decode(msgspec.json.encode(file)).probability(np.array([[0.0, 0.5, 0.0]]))[0] > 0.5
    broken = msgspec.structs.replace(file, trees=msgspec.structs.replace(stump, **change))
    with pytest.raises(ValueError, match=says):
        model.decode(msgspec.json.encode(broken))


def test_load_keeps_checks_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.json").write_bytes(msgspec.json.encode(_file("logistic", 3)))
    monkeypatch.setattr(model, "FOLDER", tmp_path)
    model.load.cache_clear()
    assert model.names() == ("here",)
    assert model.load("here") is model.load("here")
    assert model.load("here", NAMES).features == NAMES
    with pytest.raises(ValueError, match="there are: here"):
        model.load("gone")
    with pytest.raises(ValueError, match="their order"):
        model.load("here", NAMES[::-1])
    with pytest.raises(ValueError, match="qt; train it again"):
        model.load("here", (*NAMES, "qt"))
    model.load.cache_clear()


def test_every_shipped_model_loads_and_says_where_it_is_from() -> None:
    # positives.json is a table, not a model.
    for name in (name for name in model.names() if name != "positives"):
        one = model.load(name)
        p = one.probability(np.full((1, len(one.features)), math.nan))
        assert 0 <= p[0] <= 1
        assert one.provenance.script.startswith("benchmarks/")
        assert one.provenance.cross_validated
        assert (model.FOLDER / f"{name}.json").stat().st_size < 200_000
