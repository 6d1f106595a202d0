"""When synthetic hearts beat: kinds, pauses, irregularity, block."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from feldsher_signal import synth
from feldsher_signal.record import Recording
from feldsher_signal.synth import PRESETS, Patient
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def _lead(recording: Recording, name: str) -> NDArray[np.float32]:
    return recording.microvolts()[recording.leads.index(name)]


@given(st.floats(40, 180))
@settings(max_examples=8)
def test_rate(rate: float) -> None:
    _, truth = synth.ecg(Patient(rate=rate, rr_sd=0.0, pr=120, p_dur=80), seconds=20)
    assert truth.measurements.rate == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("bigeminy", "NV"),
        ("trigeminy", "NVN"),
        ("supraventricular_tachycardia", "S"),
        ("paced", "Q"),
        ("normal", "N"),
        ("junctional", "N"),
        ("ventricular_escape", "V"),
    ],
)
def test_kinds(name: str, kinds: str) -> None:
    _, truth = synth.ecg(PRESETS[name], seconds=30)
    found = "".join(beat.kind for beat in truth.beats)
    assert found in kinds * len(found)


def test_a_ventricular_beat_pauses_fully_and_an_atrial_one_resets() -> None:
    for preset, kind, pause in (("ventricular_ectopy", "V", 2.0), ("atrial_ectopy", "S", None)):
        patient = replace(PRESETS[preset], rr_sd=0.0)
        _, truth = synth.ecg(patient, seconds=120, seed=2)
        r = [beat.r / 500 for beat in truth.beats]
        kinds = [beat.kind for beat in truth.beats]
        cycle = 60 / patient.rate
        found = [i for i in range(1, len(r) - 1) if kinds[i - 1 : i + 2] == ["N", kind, "N"]]
        assert len(found) > 5
        for i in found:
            assert r[i] - r[i - 1] < 0.8 * cycle
            assert ((r[i + 1] - r[i - 1]) / cycle == pytest.approx(2.0, abs=0.02)) == (pause is not None)


def test_runs_are_as_long_and_as_fast_as_asked() -> None:
    _, truth = synth.ecg(PRESETS["ventricular_runs"], seconds=60, seed=2)
    kinds = "".join(beat.kind for beat in truth.beats)
    runs = [m.span() for m in re.finditer("(?<=N)V+(?=N)", kinds)]
    assert len(runs) > 4
    for a, b in runs:
        assert b - a == PRESETS["ventricular_runs"].pvc_run
        assert (truth.beats[b - 1].r - truth.beats[a].r) / (b - 1 - a) == pytest.approx(200, abs=1)


def test_exit_block_leaves_intervals_of_two_cycles() -> None:
    _, truth = synth.ecg(replace(PRESETS["sinus_pause"], rr_sd=0.0), seconds=60)
    rr = np.diff([beat.r for beat in truth.beats]) / 500 * PRESETS["sinus_pause"].rate / 60
    assert set(np.rint(rr).astype(int).tolist()) == {1, 2}
    assert np.diff(np.flatnonzero(np.rint(rr) == 2)).tolist() == [5] * (int((rr > 1.5).sum()) - 1)


def test_junctional_atria_follow_or_are_hidden() -> None:
    _, hidden = synth.ecg(PRESETS["junctional"], seconds=20)
    _, behind = synth.ecg(PRESETS["accelerated_junctional"], seconds=20)
    assert hidden.p_peaks == ()
    assert all(wave.p_on is None for wave in (*hidden.waves, *behind.waves))
    r = np.array([beat.r for beat in behind.beats])
    after = np.array(behind.p_peaks)[:, None] - r[None, :]
    assert ((after > 50) & (after < 100)).any(axis=1).all()


def test_fibrillation_has_no_p_and_no_order() -> None:
    recording, truth = synth.ecg(PRESETS["atrial_fibrillation"], seconds=120)
    rr = np.diff([beat.r for beat in truth.beats]) / recording.fs
    assert truth.p_peaks == ()
    assert 0.17 < float(rr.std() / rr.mean()) < 0.32
    assert abs(float(np.corrcoef(rr[:-1], rr[1:])[0, 1])) < 0.25
    assert rr.min() > 0.25
    v1 = _lead(recording, "V1")
    pauses = [
        v1[wave.t_off + 50 : following.qrs_on - 20]
        for wave, following in pairwise(truth.waves)
        if wave.t_off is not None and following.qrs_on is not None and following.qrs_on - wave.t_off > 200
    ]
    assert len(pauses) > 5
    assert all(60 < float(np.ptp(pause)) < 400 for pause in pauses)


def test_heart_block_counts() -> None:
    for name, conducted in (("second_degree_block_1", 3 / 4), ("second_degree_block_2", 3 / 4)):
        _, truth = synth.ecg(PRESETS[name], seconds=60)
        assert len(truth.beats) / len(truth.p_peaks) == pytest.approx(conducted, abs=0.03)
    _, first = synth.ecg(PRESETS["second_degree_block_1"], seconds=30)
    pr = [w.qrs_on - w.p_on for w in first.waves if w.qrs_on is not None and w.p_on is not None]
    assert max(pr) - min(pr) > 50
    _, second = synth.ecg(PRESETS["second_degree_block_2"], seconds=30)
    pr = [w.qrs_on - w.p_on for w in second.waves if w.qrs_on is not None and w.p_on is not None]
    assert max(pr) - min(pr) <= 1
    _, third = synth.ecg(PRESETS["third_degree_block"], seconds=60)
    assert len(third.p_peaks) / 60 == pytest.approx(82 / 60, abs=0.05)
    assert len(third.beats) / 60 == pytest.approx(38 / 60, abs=0.05)
