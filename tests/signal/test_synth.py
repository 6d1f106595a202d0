"""Synthetic patients: what their equations promise, measured on the samples that come out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import synth
from feldsher_signal.record import Recording
from feldsher_signal.synth import PRESETS, Noise, Patient
from numpy.typing import NDArray

CLEAN = Noise(white=0.0)


def _lead(recording: Recording, name: str) -> NDArray[np.float32]:
    return recording.microvolts()[recording.leads.index(name)]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_recording(name: str) -> None:
    recording, truth = synth.ecg(PRESETS[name], seed=3)
    assert recording.leads == STANDARD_LEADS
    assert recording.samples.shape == (12, 5000)
    assert recording.samples.dtype == np.int32
    assert [wave.beat for wave in truth.waves] == list(range(len(truth.beats)))
    assert all(a.r < b.r for a, b in pairwise(truth.beats))
    for wave in truth.waves:
        order = [
            wave.p_on,
            wave.p_peak,
            wave.p_off,
            wave.qrs_on,
            wave.r,
            wave.qrs_off,
            wave.t_on,
            wave.t_peak,
            wave.t_off,
        ]
        present = [each for each in order if each is not None]
        assert present == sorted(present)


def test_seed_decides_everything() -> None:
    first, second = synth.ecg(PRESETS["noisy"], seed=5), synth.ecg(PRESETS["noisy"], seed=5)
    assert np.array_equal(first[0].samples, second[0].samples)
    assert first[1] == second[1]
    assert not np.array_equal(first[0].samples, synth.ecg(PRESETS["noisy"], seed=6)[0].samples)


@pytest.mark.parametrize("name", ["normal", "lbbb", "atrial_fibrillation", "noisy", "paced"])
def test_einthoven_and_goldberger(name: str) -> None:
    recording, _ = synth.ecg(PRESETS[name])
    i, ii, iii, avr, avl, avf = (_lead(recording, lead) for lead in STANDARD_LEADS[:6])
    assert np.abs(i + iii - ii).max() <= 2
    assert np.abs(avr + avl + avf).max() <= 2
    assert np.abs(avf - (ii + iii) / 2).max() <= 2


def test_intervals_are_in_the_samples() -> None:
    """Between the waves there is nothing; at their peaks there is what was asked for."""
    patient = Patient(noise=CLEAN, rate=60, rr_sd=0.0, pr=180, p_dur=100, qrs=90, qt=400)
    recording, truth = synth.ecg(patient, fs=1000)
    size = np.abs(recording.microvolts()).max(axis=0)
    for wave in truth.waves[1:-1]:
        assert wave.p_on is not None
        assert wave.p_off is not None
        assert wave.qrs_on is not None
        assert wave.qrs_off is not None
        assert wave.t_on is not None
        assert wave.t_off is not None
        assert wave.qrs_on - wave.p_on == pytest.approx(180, abs=1)
        assert wave.p_off - wave.p_on == pytest.approx(100, abs=1)
        assert wave.qrs_off - wave.qrs_on == pytest.approx(90, abs=1)
        assert wave.t_off - wave.qrs_on == pytest.approx(400, abs=1)
        for quiet in ((wave.p_off + 8, wave.qrs_on - 8), (wave.t_off + 20, wave.t_off + 200)):
            assert size[quiet[0] : quiet[1]].max() < 30
        for busy in ((wave.p_on, wave.p_off), (wave.qrs_on, wave.qrs_off), (wave.t_on, wave.t_off)):
            assert size[busy[0] : busy[1]].max() > 90


def test_r_is_where_the_vector_is_longest() -> None:
    recording, truth = synth.ecg(Patient(noise=CLEAN))
    length = np.sqrt((recording.microvolts().astype(np.float64) ** 2).sum(axis=0))
    for beat in truth.beats[1:-1]:
        nearby = slice(beat.r - 40, beat.r + 40)
        # The sum over leads weighs the axes as the leads do, so the two maxima may differ by some milliseconds.
        assert abs(int(np.argmax(length[nearby])) - 40) <= 8


def test_spikes_stand_out() -> None:
    recording, truth = synth.ecg(PRESETS["paced"])
    assert len(truth.spikes) >= 9
    steps = np.abs(np.diff(_lead(recording, "II")))
    assert set(truth.spikes) <= {int(i) + 1 for i in np.flatnonzero(steps > 1000)}


def test_loose_and_swapped_electrodes() -> None:
    loose, _ = synth.ecg(PRESETS["limb_off"])
    assert [lead for lead in loose.leads if (_lead(loose, lead) == synth.RAIL_UV).all()] == [
        lead for lead in STANDARD_LEADS if lead != "II"
    ]
    normal, _ = synth.ecg(Patient(noise=CLEAN))
    swapped, _ = synth.ecg(Patient(noise=CLEAN, swapped=("RA", "LA")))
    assert np.array_equal(_lead(swapped, "I"), -_lead(normal, "I"))
    assert np.array_equal(_lead(swapped, "aVR"), _lead(normal, "aVL"))
    assert np.array_equal(_lead(swapped, "V5"), _lead(normal, "V5"))


def test_scale_and_impossible_requests() -> None:
    fine, _ = synth.ecg(Patient(noise=CLEAN), uv_per_bit=0.25)
    coarse, _ = synth.ecg(Patient(noise=CLEAN))
    assert np.abs(fine.microvolts() - coarse.microvolts()).max() <= 0.75
    for seconds, fs, scale in ((0.0, 500.0, 1.0), (1.0, 0.0, 1.0), (1.0, 500.0, 0.0)):
        with pytest.raises(ValueError, match="cannot be sampled"):
            synth.ecg(Patient(), seconds, fs, uv_per_bit=scale)
