"""The whole pipeline: never a crash, whatever the length, rate, leads or damage; the contract's fields."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS, Interpretation, Subject
from feldsher_signal import synth
from feldsher_signal.formats import read
from feldsher_signal.interpret import FS_RANGE, interpret
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patients import codes, interpreted

REAL = Path(__file__).parents[2].parent / "shared" / "ecg"


def checked(recording: Recording, **options: int) -> Interpretation:
    """Interpret, and hold what every interpretation must hold."""
    result = interpret(recording, Subject(60, "female"), **options)
    assert msgspec.json.decode(msgspec.json.encode(result), type=Interpretation) == result
    assert all(0 <= b.r < recording.n for b in result.beats)
    assert all(a.r < b.r for a, b in zip(result.beats, result.beats[1:], strict=False))
    assert all(0 <= w.beat < len(result.beats) for w in result.waves)
    assert set(result.quality.leads) == set(result.leads)
    assert all(math.isfinite(v) for v in result.scores.values())
    assert result.conclusion.endswith("Unconfirmed.")
    return result


@given(
    n=st.sampled_from([1, 2, 3, 7, 50, 99, 333, 1200]),
    leads=st.sampled_from([1, 2, 3, 12]),
    fs=st.sampled_from([100.0, 128.0, 250.0, 333.3, 500.0, 1000.0, 2000.0]),
    seed=st.integers(0, 10_000),
    damage=st.sampled_from(["none", "missing", "rail", "flat", "spikes", "all missing"]),
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
def test_never_a_crash(n: int, leads: int, fs: float, seed: int, damage: str) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 300, (leads, n)).astype(np.int32)
    if damage == "missing":
        samples[rng.random((leads, n)) < 0.5] = MISSING
    elif damage == "rail":
        samples[:, n // 3 :] = 32767
    elif damage == "flat":
        samples[:] = 0
    elif damage == "spikes":
        samples[:, ::37] = 2**30
    elif damage == "all missing":
        samples[:] = MISSING
    names = STANDARD_LEADS[:leads] if leads != 3 else ("V1", "V9", "ch3")
    checked(Recording(names, fs, samples, (1.0,) * leads))


@pytest.mark.parametrize("name", sorted(synth.PRESETS))
@pytest.mark.parametrize("fs", [100.0, 1000.0])
def test_every_synthetic_patient(name: str, fs: float) -> None:
    recording, _ = synth.ecg(synth.PRESETS[name], seconds=6, fs=fs, seed=1)
    checked(recording)


@pytest.mark.parametrize("channel", [0, 1, 11])
def test_one_channel_alone(channel: int) -> None:
    recording, truth, _ = interpreted("normal")
    result = checked(recording, channel=channel)
    assert result.leads == (recording.leads[channel],)
    assert len(result.beats) == len(truth.beats)
    assert {w.lead for w in result.waves} == {"global", recording.leads[channel]}
    assert result.measurements.axis_qrs is None


def test_the_same_patient_sampled_otherwise_is_the_same_patient() -> None:
    for fs in (250.0, 1000.0):
        recording, truth = synth.ecg(synth.PRESETS["first_degree_block"], fs=fs, seed=3)
        found, real = checked(recording).measurements, truth.measurements
        assert found.pr == pytest.approx(real.pr, abs=10)
        assert found.qrs == pytest.approx(real.qrs, abs=10)
        assert found.qt == pytest.approx(real.qt, abs=14)


def test_scale_and_baseline_units() -> None:
    recording, _, result = interpreted("normal")
    coarse = Recording(recording.leads, recording.fs, recording.samples * 4 + 7, (0.25,) * 12, (7,) * 12)
    assert interpret(coarse, Subject(50, "male")) == result


def test_silence_in_the_middle_is_said_and_makes_no_beats_and_no_pause() -> None:
    recording, _ = synth.ecg(synth.Patient(), seconds=20, seed=2)
    samples = recording.samples.copy()
    samples[:, 4000:7000] = MISSING
    result = checked(Recording(recording.leads, recording.fs, samples, recording.uv_per_bit))
    assert ("all", 4000, 7000) in [(s.lead, s.start, s.end) for s in result.quality.segments]
    assert not [b for b in result.beats if 4000 <= b.r < 7000]
    assert "PAUSE" not in codes(result)
    assert "SBRAD" not in codes(result)
    assert "SARRH" not in codes(result)
    assert result.measurements.rate == pytest.approx(70.0, abs=2.0)


@pytest.mark.parametrize("fs", [0.0, 99.0, 2001.0, float("nan")])
def test_other_rates_are_refused_by_name(fs: float) -> None:
    with pytest.raises(ValueError, match=r"fs: .*outside"):
        interpret(Recording(("I",), fs, np.zeros((1, 10), np.int32), (1.0,)))
    assert FS_RANGE == (100.0, 2000.0)


def test_an_empty_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        interpret(Recording(("I",), 500.0, np.zeros((1, 0), np.int32), (1.0,)))


def test_half_an_hour() -> None:
    recording, truth = synth.ecg(synth.Patient(rate=72), seconds=1800, fs=250, seed=1)
    result = checked(recording.only(1))
    assert abs(len(result.beats) - len(truth.beats)) <= 2


def test_real_normals_raise_no_alarm() -> None:
    headers = sorted((REAL / "ptbxl" / "records500" / "00000").glob("*.hea"))[:40]
    if not headers:
        pytest.skip(f"real recordings absent: {REAL}")
    results = [checked(read(header)) for header in headers]
    assert all(len(r.beats) >= 5 for r in results)
    assert sum(any(s.critical for s in r.statements) for r in results) <= 2
