"""Long recordings made of synthetic stretches, with what is in them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from feldsher_ehr_core.ecg import Beat
from feldsher_signal import synth
from feldsher_signal.record import Recording
from numpy.typing import NDArray


@lru_cache(maxsize=8)
def stretch(name: str, seconds: int, fs: float = 250.0, seed: int = 2) -> tuple[Recording, tuple[Beat, ...]]:
    """Return lead II of a preset and its beats."""
    recording, truth = synth.ecg(synth.PRESETS[name], seconds=seconds, fs=fs, seed=seed)
    return recording.only(1), truth.beats


def joined(*parts: tuple[str, int]) -> tuple[Recording, list[Beat]]:
    """Return stretches (preset, seconds) one after the other as one recording, and all their beats."""
    samples, beats, at = list[NDArray[np.int32]](), list[Beat](), 0
    for name, seconds in parts:
        recording, own = stretch(name, seconds)
        samples.append(recording.samples)
        beats += [Beat(beat.r + at, beat.kind) for beat in own]
        at += recording.n
    first = stretch(*parts[0])[0]
    return Recording(first.leads, first.fs, np.concatenate(samples, axis=1), first.uv_per_bit, first.baseline), beats
