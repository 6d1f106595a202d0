"""Shapes of beats: rows are means, likes are grouped across pieces, P waves repeat."""

from __future__ import annotations

import naive_ambulatory as naive
import numpy as np
import pytest
from feldsher_signal import shapes, synth
from feldsher_signal.shapes import Groups

RNG = np.random.default_rng(3)


def test_rows_are_means_without_their_mean() -> None:
    x = RNG.normal(0, 100, (2, 200)).astype(np.float32)
    r, before = np.array([50, 100, 3, 198], np.int64), np.array([10, 12, 10, 10], np.int64)
    out = np.empty((4, 10), np.float32)
    shapes.rows(x, np.array([True, True]), r, before, 4, out)
    for k in range(2):
        for lead in range(2):
            a = r[k] - before[k]
            means = x[lead, a : a + 20].reshape(5, 4).mean(axis=1)
            np.testing.assert_allclose(out[k, 5 * lead : 5 * lead + 5], means - means.mean(), atol=1e-3)
    # A stretch that leaves the signal, and a lead that is off, are nothing.
    assert not out[2:].any()
    shapes.rows(x, np.array([False, True]), r, before, 4, out)
    assert not out[:, :5].any()
    assert out[0, 5:].any()


def test_repeats_is_the_plain_correlation() -> None:
    stretches = RNG.normal(0, 30, (25, 14)).astype(np.float32)
    stretches -= stretches.reshape(25, 2, 7).mean(axis=2).repeat(7, axis=1)
    fit = RNG.random(25) < 0.8
    out = np.empty(25, np.float32)
    shapes.repeats(stretches.copy(), fit, 7, out)
    expected = naive.repeats(stretches.tolist(), fit.tolist(), 7, shapes.NEIGHBOURS)
    assert out.tolist() == pytest.approx(expected, abs=1e-4)


def test_two_forms_are_two_groups_with_their_widths_across_pieces() -> None:
    recording, truth = synth.ecg(synth.Patient(pvc=0.2, noise=synth.Noise(white=5)), seconds=120, fs=360, seed=4)
    x = recording.microvolts()[1:2]
    on, groups = np.array([True]), Groups(1, 360.0)
    beats = [b for b in truth.beats if 60 < b.r < recording.n - 120]
    half = recording.n // 2
    labels: list[int] = []
    for a, b in ((0, half), (half, recording.n)):
        own = np.array([beat.r - max(a - 200, 0) for beat in beats if a <= beat.r < b], np.int64)
        labels += groups.add(np.ascontiguousarray(x[:, max(a - 200, 0) : b + 200]), on, own).tolist()
    kinds = np.array([beat.kind for beat in beats])
    found = np.array(labels)
    usual, odd = np.bincount(found[kinds == "N"]).argmax(), np.bincount(found[kinds == "V"]).argmax()
    assert usual != odd
    assert (found[kinds == "N"] == usual).mean() > 0.98
    assert (found[kinds == "V"] == odd).mean() > 0.95
    assert groups.width[usual] == pytest.approx(92, abs=15)
    assert groups.width[odd] > groups.width[usual] + 30
    assert groups.likeness()[usual, odd] < 0.8


@pytest.mark.parametrize(("name", "there"), [("normal", True), ("atrial_fibrillation", False)])
def test_p_waves_repeat_in_sinus_rhythm_only(name: str, there: bool) -> None:
    recording, truth = synth.ecg(synth.PRESETS[name], seconds=60, fs=360, seed=4)
    x, on, groups = recording.microvolts()[1:2], np.array([True]), Groups(1, 360.0)
    r = np.array([beat.r for beat in truth.beats if 200 < beat.r < recording.n - 200], np.int64)
    label = groups.add(x, on, r)
    like = float(np.median(groups.p_likeness(x, on, r, label)))
    assert (like > 0.8) == there
    assert (like < 0.5) == (not there)


def test_when_places_run_out_the_nearest_group_takes_a_beat() -> None:
    noise = RNG.normal(0, 1, (400, 30)).astype(np.float32)
    leaders, size = np.zeros((shapes.GROUPS, 30), np.float32), np.zeros(shapes.GROUPS, np.int64)
    label = np.empty(400, np.int64)
    count = shapes.join(noise, leaders, size, 0, label)
    assert count == shapes.GROUPS
    assert size.sum() == 400
    assert np.bincount(label, minlength=count).tolist() == size.tolist()
    assert np.isfinite(leaders).all()


def test_no_beats_and_no_signal_are_borne() -> None:
    groups = Groups(1, 250.0)
    empty = np.zeros(0, np.int64)
    x = np.zeros((1, 2000), np.float32)
    assert groups.add(x, np.array([True]), empty).size == 0
    label = groups.add(x, np.array([True]), np.array([300, 800, 1300]))
    assert np.isfinite(groups.p_likeness(x, np.array([True]), np.array([300, 800, 1300]), label)).all()
