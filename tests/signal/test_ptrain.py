"""The train of P waves: found where the atria beat on their own, none where there are no P waves."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal import ptrain, synth
from feldsher_signal.contour import prefix_sums
from feldsher_signal.jit import warm


def find(name: str, seed: int) -> tuple[ptrain.Train | None, synth.Truth]:
    warm()
    recording, truth = synth.ecg(synth.PRESETS[name], seed=seed)
    r = np.array([b.r for b in truth.beats])
    rows = ptrain.chosen(recording.leads, np.ones(12, np.bool_))
    wide = np.zeros(r.shape[0], np.bool_)
    return ptrain.find(prefix_sums(recording.microvolts()), 500.0, rows, r, wide), truth


@pytest.mark.parametrize("name", ["second_degree_block_1", "second_degree_block_2", "third_degree_block"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p_waves_are_met(name: str, seed: int) -> None:
    train, truth = find(name, seed)
    assert train is not None
    pp = np.median(np.diff(truth.p_peaks)) / 500.0
    assert train.period == pytest.approx(pp, rel=0.05)
    near = [min(abs(p - at) for at in train.at.tolist()) <= 50 for p in truth.p_peaks]
    assert np.mean(near) > 0.8


def test_no_train_without_atria() -> None:
    warm()
    recording, _ = synth.ecg(synth.PRESETS["asystole"], seed=2)
    r = np.arange(500, 5000, 600)
    c = prefix_sums(recording.microvolts())
    assert ptrain.find(c, 500.0, np.array([1, 6, 5]), r, np.zeros(r.shape[0], np.bool_)) is None


def test_wanted_only_where_there_is_a_question() -> None:
    steady, like, none = np.arange(1, 13) * 400, np.full(12, 0.9), np.zeros(12, np.bool_)
    assert not ptrain.wanted(steady, 500.0, 5000, like, none)
    assert ptrain.wanted(steady, 500.0, 5000, like * 0.1, none)
    assert ptrain.wanted(steady * 2, 500.0, 10000, like, none)
    assert ptrain.wanted(np.delete(steady, 5), 500.0, 5000, np.delete(like, 5), np.delete(none, 5))
    assert not ptrain.wanted(steady * 2, 500.0, 40000, like, none)
    assert not ptrain.wanted(steady[:4] * 2, 500.0, 5000, like[:4], none[:4])


def test_form_of_p_waves() -> None:
    height = np.array([[10.0, 5.0], [11.0, 5.0], [-9.0, 4.0], [40.0, 20.0], [10.0, 6.0]])
    train = ptrain.Train(np.arange(5) * 400, np.ones(5, np.bool_), 0.8, height)
    own = np.array([True, True, False, False, False])
    assert train.alike(own).tolist() == [True, True, False, False, True]


def test_what_stands_out() -> None:
    y = np.zeros((1, 200))
    y[0, 96:105] = 50
    out = ptrain.standing_out(y)
    assert int(out[0].argmax()) == 100
    assert out[0, 100] == pytest.approx(50)
    assert not ptrain.standing_out(np.arange(400.0).reshape(2, 200))[:, 20:180].round(6).any()
