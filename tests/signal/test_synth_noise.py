"""Disturbances of the electrodes: as loud as asked, at their frequency, and nothing else touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feldsher_signal import synth
from feldsher_signal.record import Recording
from feldsher_signal.synth import PRESETS, Noise, Patient
from numpy.typing import NDArray

CLEAN = Noise(white=0.0)


def _lead(recording: Recording, name: str) -> NDArray[np.float32]:
    return recording.microvolts()[recording.leads.index(name)]


def test_noise_moves_no_beat() -> None:
    quiet = synth.ecg(replace(PRESETS["ventricular_ectopy"], noise=CLEAN), seed=1)[1]
    assert quiet == synth.ecg(replace(PRESETS["ventricular_ectopy"], noise=PRESETS["noisy"].noise), seed=1)[1]


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
