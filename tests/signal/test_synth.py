"""Synthetic patients: what their equations promise, measured on the samples that come out."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import synth
from feldsher_signal.record import Recording
from feldsher_signal.synth import PRESETS, Noise, Patient
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_noise_moves_no_beat() -> None:
    quiet = synth.ecg(replace(PRESETS["ventricular_ectopy"], noise=CLEAN), seed=1)[1]
    assert quiet == synth.ecg(replace(PRESETS["ventricular_ectopy"], noise=PRESETS["noisy"].noise), seed=1)[1]


@pytest.mark.parametrize("name", ["normal", "lbbb", "atrial_fibrillation", "noisy", "paced"])
def test_einthoven_and_goldberger(name: str) -> None:
    recording, _ = synth.ecg(PRESETS[name])
    i, ii, iii, avr, avl, avf = (_lead(recording, lead) for lead in STANDARD_LEADS[:6])
    assert np.abs(i + iii - ii).max() <= 2
    assert np.abs(avr + avl + avf).max() <= 2
    assert np.abs(avf - (ii + iii) / 2).max() <= 2


@settings(max_examples=25, deadline=None)
@given(st.integers(-170, 170), st.sampled_from(["normal", "LBBB", "RBBB"]))
def test_the_axis_is_the_one_asked_for(axis: int, conduction: synth.Form) -> None:
    patient = Patient(axis=axis, conduction=conduction, noise=CLEAN, t_mv=0.0, rr_sd=0.0)
    recording, truth = synth.ecg(patient, seconds=3)
    wave = truth.waves[1]
    assert wave.qrs_on is not None
    assert wave.qrs_off is not None
    area = [float(_lead(recording, lead)[wave.qrs_on : wave.qrs_off].sum()) for lead in ("I", "aVF")]
    measured = math.degrees(math.atan2(area[1] * 2 / math.sqrt(3), area[0]))
    # The T wave of a block, which overlaps the end of its QRS, turns it by a few degrees.
    assert abs((measured - axis + 180) % 360 - 180) < 6


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


@given(st.floats(40, 180))
@settings(max_examples=20, deadline=None)
def test_rate(rate: float) -> None:
    _, truth = synth.ecg(Patient(rate=rate, rr_sd=0.0, pr=120, p_dur=80), seconds=20)
    assert truth.measurements.rate == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize(
    ("name", "kinds"), [("bigeminy", "NV"), ("supraventricular_tachycardia", "S"), ("paced", "Q"), ("normal", "N")]
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


@pytest.mark.parametrize(
    ("region", "lead", "sign"),
    [
        ("anterior", "V2", 1),
        ("lateral", "V5", 1),
        ("inferior", "aVF", 1),
        ("posterior", "V2", -1),
        ("diffuse", "II", 1),
    ],
)
def test_st_shift_is_in_millivolts_of_its_lead(region: synth.Region, lead: str, sign: int) -> None:
    patient = Patient(noise=CLEAN, t_mv=0.0, rr_sd=0.0, rate=60)
    shifted, truth = synth.ecg(replace(patient, st={region: 0.25}), fs=1000)
    level, _ = synth.ecg(patient, fs=1000)
    at = [wave.qrs_off + 40 for wave in truth.waves[1:-1] if wave.qrs_off is not None]
    assert (_lead(shifted, lead) - _lead(level, lead))[at] == pytest.approx(sign * 250, abs=6)
    before = [wave.qrs_on - 20 for wave in truth.waves[1:-1] if wave.qrs_on is not None]
    assert (_lead(shifted, lead) - _lead(level, lead))[before] == pytest.approx(0, abs=2)


def test_bundle_branch_blocks_in_v1() -> None:
    """RBBB ends upwards in V1 and down in I and V6; LBBB is down in V1 and up in I and V6 throughout."""
    for name, late in (("rbbb", 1), ("lbbb", -1)):
        recording, truth = synth.ecg(replace(PRESETS[name], noise=CLEAN))
        wave = truth.waves[2]
        assert wave.qrs_on is not None
        assert wave.qrs_off is not None
        assert wave.qrs_off - wave.qrs_on >= 60
        at = wave.qrs_on + round(0.68 * (wave.qrs_off - wave.qrs_on))
        assert late * _lead(recording, "V1")[at] > 150
        assert late * _lead(recording, "V6")[at] < -150
        assert late * _lead(recording, "I")[at] < -150


def test_spikes_stand_out() -> None:
    recording, truth = synth.ecg(PRESETS["paced"])
    assert len(truth.spikes) >= 9
    steps = np.abs(np.diff(_lead(recording, "II")))
    assert set(truth.spikes) <= {int(i) + 1 for i in np.flatnonzero(steps > 1000)}


def test_mains_is_at_its_frequency() -> None:
    for hz in (50.0, 60.0):
        recording, _ = synth.ecg(Patient(rhythm="asystole", noise=Noise(mains=50, mains_hz=hz)))
        spectrum = np.abs(np.fft.rfft(_lead(recording, "V4")))
        assert np.fft.rfftfreq(recording.n, 1 / recording.fs)[int(np.argmax(spectrum))] == pytest.approx(hz, abs=0.1)


def test_noise_is_as_loud_as_asked() -> None:
    asystole = Patient(rhythm="asystole")
    for noise, low, high in (
        (Noise(white=10), 9, 18),
        (Noise(white=0, muscle=30), 25, 60),
        (Noise(white=0, baseline=300), 80, 400),
        (Noise(white=0, motion=800), 20, 800),
    ):
        recording, _ = synth.ecg(replace(asystole, noise=noise), seconds=20)
        assert low < float(_lead(recording, "V3").std()) < high


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
