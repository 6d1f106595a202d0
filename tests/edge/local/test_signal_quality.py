"""One word for each lead of a running ECG."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_edge.local.signal_quality import SignalQuality, judged
from feldsher_edge.local.words import Piece
from feldsher_signal import synth

FS = 500
CLEAN, _ = synth.ecg(synth.Patient(), seconds=4.0, seed=1)
LEAD_II = [int(v) for v in CLEAN.microvolts()[1, : 2 * FS]]
RNG = np.random.default_rng(1)


def noisy(sd: float) -> list[int | None]:
    return [int(v + n) for v, n in zip(LEAD_II, RNG.normal(0, sd, len(LEAD_II)), strict=True)]


@pytest.mark.parametrize(
    ("uv", "word"),
    [
        (LEAD_II, "good"),
        (noisy(10), "good"),
        (noisy(120), "noisy"),
        ([0] * 1000, "flat"),
        ([v % 29 for v in range(1000)], "flat"),
        ([v * 9 for v in range(1000)], "large"),
        ([*LEAD_II[:900], *([None] * 100)], "holes"),
        ([None] * 1000, "holes"),
        ([], "holes"),
    ],
)
def test_words(uv: list[int | None], word: str) -> None:
    assert judged(uv) == word


def piece(first: int, value: int, device: str = "ecg-1") -> Piece:
    return Piece(device, 500.0, ("I", "II"), first, (tuple(LEAD_II[:100]), (value,) * 100))


def test_only_the_last_two_seconds_count_and_a_new_recording_begins_anew() -> None:
    quality = SignalQuality()
    assert quality.words() == {}
    for i in range(30):
        quality.take(piece(i * 100, 9000 if i < 10 else 0))
    assert quality.words()["II"] == "flat"
    quality.take(piece(3000, 9000))
    assert quality.words()["II"] == "large"
    quality.take(piece(0, 0, "ecg-2"))
    assert quality.words()["II"] == "flat"
