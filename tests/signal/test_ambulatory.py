"""A long recording: its beats are those of its truth and of the short way, whatever the pieces it is read in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from days import joined, stretch
from feldsher_signal import ambulatory
from feldsher_signal.ambulatory import Stored, Whole, find
from feldsher_signal.interpret import interpret
from feldsher_signal.record import MISSING, Recording
from numpy.typing import NDArray

MITDB = Path(__file__).parents[2].parent / "shared/ecg/mitdb"


def _near(found: NDArray[np.int64], truth: NDArray[np.int64], within: int) -> NDArray[np.int64]:
    """Return for each true beat the nearest found one's number, −1 where none is near."""
    at = np.clip(np.searchsorted(found, truth), 1, found.size - 1)
    at -= truth - found[at - 1] < found[at] - truth
    return np.where(np.abs(found[at] - truth) <= within, at, -1)


def test_beats_and_classes() -> None:
    recording, beats = joined(("normal", 300), ("ventricular_ectopy", 900), ("sinus_arrhythmia", 300))
    found = find(Whole(recording))
    truth = np.array([beat.r for beat in beats if 100 < beat.r < recording.n - 100])
    kinds = np.array([ord(beat.kind) for beat in beats if 100 < beat.r < recording.n - 100])
    at = _near(found.r, truth, 20)
    assert (at >= 0).mean() > 0.999
    assert abs(found.r.size - truth.size) <= 3
    ventricular = kinds == ord("V")
    assert ventricular.sum() > 100
    assert (found.kinds[at[ventricular]] == ord("V")).mean() > 0.97
    assert (found.kinds[at[~ventricular]] == ord("V")).mean() < 0.002
    assert found.usual_ms == pytest.approx(92, abs=15)


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    recording, _ = joined(("normal", 300), ("ventricular_ectopy", 300))
    whole = find(Whole(recording))
    monkeypatch.setattr(ambulatory, "PIECE_S", 100.0)
    pieces = find(Whole(recording))
    assert (np.diff(pieces.r) > 0).all()
    assert abs(pieces.r.size - whole.r.size) <= 1
    same = _near(pieces.r, whole.r, 0)
    assert (same >= 0).mean() > 0.995
    assert (pieces.kinds[same[same >= 0]] == whole.kinds[same >= 0]).mean() > 0.995
    assert pieces.bad.shape == whole.bad.shape


def test_samples_in_a_file_give_the_same(tmp_path: Path) -> None:
    recording, _ = stretch("ventricular_ectopy", 120)
    np.save(tmp_path / "day.npy", recording.samples.astype(np.int16))
    mapped = np.load(tmp_path / "day.npy", mmap_mode="r")
    stored, whole = find(Stored(mapped, ("II",), 250.0, (1.0,))), find(Whole(recording))
    assert stored.r.tolist() == whole.r.tolist()
    assert stored.kinds.tolist() == whole.kinds.tolist()
    taken = Stored(np.array([[5, -7, 5]], np.int16), ("II",), 250.0, (2.0,), missing=-7).take(0, 3)
    assert taken[0, [0, 2]].tolist() == [10, 10]
    assert np.isnan(taken[0, 1])


def test_what_is_missing_or_flat_is_not_judged_and_no_interval_spans_it() -> None:
    recording, _ = joined(("normal", 120), ("normal", 120))
    samples = recording.samples.copy()
    samples[:, 30 * 250 : 50 * 250] = MISSING
    samples[:, 80 * 250 : 100 * 250] = 17
    found = find(Whole(Recording(recording.leads, 250.0, samples, recording.uv_per_bit, recording.baseline)))
    assert found.bad[31:49].all()
    assert found.bad[81:99].all()
    assert found.bad.sum() <= 44
    gaps = np.diff(found.r) > 15 * 250
    assert gaps.sum() == 2
    assert not found.whole[gaps].any()
    assert found.whole.mean() > 0.95


def test_a_recording_in_which_nothing_can_be_judged() -> None:
    found = find(Whole(Recording(("II",), 250.0, np.zeros((1, 60_000), np.int32), (1.0,))))
    assert found.r.size == 0
    assert found.bad.all()
    assert found.bad.size == 240


@pytest.mark.parametrize("seconds", [0.5, 1, 3, 12])
def test_short_ones_are_borne(seconds: float) -> None:
    recording, _ = stretch("normal", 60)
    short = Recording(recording.leads, 250.0, recording.samples[:, : int(250 * seconds)], recording.uv_per_bit)
    found = find(Whole(short))
    assert found.r.size <= 20
    assert found.bad.size == max(1, -(-int(250 * seconds) // 250))


def test_refused() -> None:
    for samples, fs in ((np.zeros((1, 0), np.int32), 250.0), (np.zeros((1, 100), np.int32), 50.0)):
        with pytest.raises(ValueError, match=r"samples|fs"):
            find(Whole(Recording(("II",), fs, samples, (1.0,))))


@pytest.mark.skipif(not MITDB.exists(), reason=f"real recordings are not at {MITDB}")
@pytest.mark.parametrize("name", ["119", "205", "220"])
def test_the_same_beats_as_the_short_way_on_real_recordings(name: str) -> None:
    from feldsher_signal.formats import read  # noqa: PLC0415 - only where there is something to read

    recording = read(MITDB / f"{name}.hea").only(0)
    found, short = find(Whole(recording)), interpret(recording)
    r = np.array([beat.r for beat in short.beats])
    at = _near(found.r, r, 10)
    assert (at >= 0).mean() > 0.995
    kinds = np.array([ord(beat.kind) for beat in short.beats])
    assert (found.kinds[at[at >= 0]] == kinds[at >= 0]).mean() > 0.98
