"""Heart vectors on the leads: axis, ST shift by region, bundle branch blocks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from feldsher_signal import synth
from feldsher_signal.record import Recording
from feldsher_signal.synth import PRESETS, Noise, Patient
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

CLEAN = Noise(white=0.0)


def _lead(recording: Recording, name: str) -> NDArray[np.float32]:
    return recording.microvolts()[recording.leads.index(name)]


@settings(max_examples=25)
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
