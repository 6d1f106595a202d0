"""P waves are there when what precedes the QRS repeats."""

from __future__ import annotations

import naive
import numpy as np
from feldsher_signal import contour, presence
from hypothesis import given, settings
from hypothesis import strategies as st
from patients import interpreted


def test_likeness_is_the_correlation_with_the_neighbours() -> None:
    rng = np.random.default_rng(3)
    fs, beats = 250.0, 14
    x = rng.normal(0, 100, (2, 3000)).astype(np.float32)
    on = np.array([120 + 200 * k for k in range(beats)])
    fit = rng.random(beats) < 0.7
    found = presence.p_likeness(contour.prefix_sums(x), fs, on, fit, np.array([True, True]))
    back, gap, step = round(0.26 * fs), round(0.016 * fs), 2
    points = (back - gap) // step
    rows: list[list[float]] = []
    for at in on:
        row: list[float] = []
        for lead in x:
            first = at - gap - points * step
            values = np.array([naive.mean(lead, first + i * step, first + (i + 1) * step) for i in range(points)])
            straight = np.polynomial.Polynomial.fit(np.arange(points), values, 1)
            row += (values - straight(np.arange(points))).tolist()
        rows.append(row)
    expected = naive.likeness(np.array(rows), fit.tolist(), presence.NEIGHBOURS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_sinus_repeats_and_fibrillation_does_not() -> None:
    for name, present in (("normal", True), ("first_degree_block", True), ("atrial_fibrillation", False)):
        _, _, result = interpreted(name)
        beats = [w for w in result.waves if w.lead == "global"][1:]
        share = sum(w.p_peak is not None for w in beats) / len(beats)
        assert share > 0.9 if present else share < 0.2


@given(st.lists(st.floats(-1, 1), max_size=40))
@settings(max_examples=40)
def test_present_needs_own_likeness(like: list[float]) -> None:
    found = presence.p_present(np.array(like), 400 * np.arange(len(like)), 12)
    assert found.shape == (len(like),)
    if len(like) >= 3:
        assert not found[np.array(like) < presence.OWN].any()


def test_irregular_beats_must_be_more_alike_in_many_leads() -> None:
    like, regular = np.full(20, 0.7), 400 * np.arange(20)
    irregular = np.cumsum(np.where(np.arange(20) % 2, 300, 500))
    assert presence.p_present(like, regular, 12).all()
    assert not presence.p_present(like, irregular, 12).any()
    assert presence.p_present(like, irregular, 2).all()
    assert presence.p_present(np.full(20, 0.9), irregular, 12).all()
