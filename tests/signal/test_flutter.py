"""Flutter is stated at whole and changing conduction, takes sinus rhythm's place, and is not seen in its neighbours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from feldsher_signal import flutter, rhythm, synth
from feldsher_signal.fwaves import FWaves
from feldsher_signal.interpret import interpret
from patients import codes, findings, interpreted

WAVES = FWaves(0.8, 0.21, 2.0, 0.01, 110.0)


def said(waves: FWaves) -> bool:
    return flutter.judge(replace(findings(rr=(210,) * 20), waves=waves)).stated


@pytest.mark.parametrize(("rate", "ratio"), [(75, 4), (100, 3), (150, 2)])
def test_synthetic_flutter(rate: int, ratio: int) -> None:
    recording, _ = synth.ecg(synth.Patient(rate=rate, rhythm="atrial_flutter"), seed=3)
    result = interpret(recording)
    assert not codes(result) & {"SR", "STACH", "SVTAC", "RUND", "AFIB", "1AVB", "2AVB"}
    (one,) = (s for s in result.statements if s.code == "AFLT")
    assert f"conduction {ratio}:1" in one.because[-1]
    assert {s.code for s in result.rhythm} == {"AFLT"}


def test_limits() -> None:
    assert said(WAVES)
    assert not said(replace(WAVES, alike=0.35))
    assert not said(replace(WAVES, size=30.0))
    assert not said(replace(WAVES, ratio=2.5))
    assert said(replace(WAVES, ratio=2.5, spread=0.2))
    assert not said(replace(WAVES, ratio=3.0, alike=0.5))
    assert not said(replace(WAVES, period=0.18, ratio=1.8))


def test_fast_flutter_alarms() -> None:
    fast = replace(findings(rr=(190,) * 20), waves=replace(WAVES, period=0.19))
    assert flutter.judge(fast).critical
    assert not flutter.judge(replace(findings(), waves=replace(WAVES, ratio=4.0))).critical
    assert {s.code for s in rhythm.spans(fast)} == {"AFLT"}


def test_nothing_between_the_beats() -> None:
    assert flutter.judge(findings()).score == 0.0


@pytest.mark.parametrize(
    "name",
    [
        "normal",
        "tachycardia",
        "noisy",
        "atrial_fibrillation",
        "supraventricular_tachycardia",
        "ventricular_tachycardia",
        "second_degree_block_1",
        "second_degree_block_2",
        "third_degree_block",
        "first_degree_block",
        "hyperkalaemia",
    ],
)
def test_neighbours_are_not(name: str) -> None:
    if name == "hyperkalaemia":
        tall = synth.Patient(rate=120, pr=200, t={"anterior": 0.8, "inferior": 0.6})
        assert "AFLT" not in codes(interpret(synth.ecg(tall, seed=2)[0]))
    else:
        assert "AFLT" not in codes(interpreted(name)[2])


def test_flutter_waves_are_no_p_waves() -> None:
    recording, _ = synth.ecg(synth.Patient(rate=150, rhythm="atrial_flutter"), seed=3)
    result = interpret(recording)
    assert result.measurements.pr is None
    assert result.waves
    assert all(wave.p_peak is None for wave in result.waves)


def test_small_waves_count_only_where_intervals_change() -> None:
    small = replace(WAVES, alike=0.35, size=30.0, ratio=3.3)
    assert not said(replace(small, spread=0.05))
    assert said(replace(small, spread=0.15))
    assert not said(replace(small, spread=0.15, alike=0.25))
    assert not said(replace(small, spread=0.15, size=20.0))
