"""Beat classes: the prevailing group, the vote of a group, and the whole on synthetic and real patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feldsher_signal import beat_columns, beats, model, synth
from feldsher_signal.formats import marks, read
from feldsher_signal.interpret import interpret
from patients import interpreted

MITDB = Path(__file__).parents[2].parent / "shared" / "ecg" / "mitdb"


def test_the_prevailing_group_is_narrow_and_in_time_rather_than_frequent() -> None:
    label = np.array([0] * 12 + [1] * 14)
    early, width = np.where(label == 1, 0.7, 1.2), np.where(label == 1, 160.0, 90.0)
    assert beats.prevailing(label, early, width) == 0
    assert beats.prevailing(label, np.ones(26), np.full(26, 95.0)) == 1


def test_a_group_votes() -> None:
    z = np.array([4.0, 4.0, -1.0, -6.0])
    voted = beats.voted(z, np.array([0, 0, 0, 1]))
    assert voted[2] > 0
    # The group's mean is bounded, the beat's own evidence is not.
    assert voted[3] == pytest.approx(-5.5)


@pytest.mark.parametrize("name", ["ventricular", "supraventricular"])
def test_models_are_made_for_these_traits(name: str) -> None:
    learned = model.load(name)
    assert set(learned.features) <= set(beat_columns.NAMES)
    assert learned.provenance.cross_validated["both_V_se"] > 85


def test_too_few_to_judge() -> None:
    few = beats.unjudged(2)
    assert few.kinds == ("N", "N")
    assert few.usual.all()


@pytest.mark.parametrize("name", ["normal", "lbbb", "ventricular_ectopy", "bigeminy", "noisy"])
def test_synthetic_patients(name: str) -> None:
    _, truth, result = interpreted(name)
    said = {b.r: b.kind for b in result.beats}
    for beat in truth.beats:
        assert said[min(said, key=lambda r, at=beat.r: abs(r - at))] == beat.kind


def test_ectopic_beats_say_why_and_normal_ones_do_not() -> None:
    _, _, result = interpreted("ventricular_ectopy")
    seen = [b.because for b in result.beats if b.kind == "V"]
    assert seen
    for why in seen:
        assert why is not None
        assert why.interval < 0.87
        assert why.likeness < 0.8
        assert (why.qrs_ms or 0.0) > (why.usual_qrs_ms or 0.0) + 20
    assert all(b.because is None for b in result.beats if b.kind == "N")
    recording, _ = synth.ecg(synth.PRESETS["atrial_ectopy"], seconds=10, fs=500, seed=0)
    early = [b.because for b in interpret(recording).beats if b.kind == "S"]
    assert all(why is not None and why.interval < 0.9 < why.likeness for why in early)
    assert early


# Traps of MIT-BIH by name, minutes, the least share of V found and the most false V: bigeminy whose ectopic beats
# outnumber the normal ones' clean groups, pre-excitation that comes and goes, couplets.
@pytest.mark.parametrize(("name", "share", "false"), [("119", 0.98, 2), ("230", 0.0, 2), ("208", 0.95, 25)])
def test_traps(name: str, share: float, false: int) -> None:
    header = MITDB / f"{name}.hea"
    if not header.exists():
        pytest.skip(f"ABSENT: {header}")
    recording = read(header)
    at = {m.at: m.symbol for m in marks.beats(marks.read(header.with_suffix(".atr")))}
    reference = np.array(sorted(at))
    found, wrong = set[int](), 0
    for beat in interpret(recording).beats:
        near = int(reference[np.argmin(np.abs(reference - beat.r))])
        if beat.kind == "V":
            found.add(near)
            wrong += at[near] not in "VF"
    real = [k for k, symbol in at.items() if symbol == "V"]
    assert len(found & set(real)) >= share * len(real)
    assert wrong <= false
