"""Who lies on the virtual cardiograph: a file that is played, or a synthetic patient."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import numpy as np
from feldsher_signal import formats, frame, synth
from feldsher_signal.record import Recording
from numpy.typing import NDArray


class Source(Protocol):
    """What a kit's amplifier sees."""

    @property
    def off(self) -> int:
        """Electrodes that do not touch, bits as frame.ELECTRODES."""
        ...

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        """Return `n` samples of the kit's channels, int32 (8, n) in units of `uv_per_bit` microvolts, at `fs`."""
        ...


class SyntheticPatient:
    """A patient made of equations; every recording is a new stretch of the same heart."""

    def __init__(self, patient: synth.Patient, seed: int) -> None:
        self._patient = patient
        self._seed = seed

    @property
    def off(self) -> int:
        """Electrodes that do not touch."""
        return sum(1 << frame.ELECTRODES.index(name) for name in self._patient.off)

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        """Return the next stretch."""
        recording, _ = synth.ecg(self._patient, n / fs, fs, self._seed)
        self._seed += 1
        return _units(recording, _rows(recording), uv_per_bit)


def synthetic(name: str, seed: int) -> SyntheticPatient:
    """Return the synthetic patient of that name (feldsher_signal.synth.PRESETS); ValueError lists the names."""
    if name not in synth.PRESETS:
        raise ValueError(f"patient: {name!r} is none of {', '.join(sorted(synth.PRESETS))}")
    return SyntheticPatient(synth.PRESETS[name], seed)


class FilePatient:
    """A recording from a file, played from its beginning each time and repeated where it is too short.

    Its leads I, II and V1 to V6 are what the amplifier sees, a sample that is missing there is 0. A lead that the file
    lacks is an electrode that is off: LA for I, LL for II. `resampled`: whether its rate had to be changed.
    """

    def __init__(self, path: str | Path) -> None:
        self._recording = formats.read(path)
        self._rows = _rows(self._recording)
        if not any(row is not None for row in self._rows):
            raise ValueError(f"{path}: none of the leads {', '.join(frame.CHANNELS)}")
        self.resampled = False

    @property
    def off(self) -> int:
        """Electrodes of the leads that the file lacks."""
        missing = [name for name, row in zip(frame.CHANNELS, self._rows, strict=True) if row is None]
        return sum(1 << frame.ELECTRODES.index({"I": "LA", "II": "LL"}.get(name, name)) for name in missing)

    def units(self, n: int, fs: float, uv_per_bit: float) -> NDArray[np.int32]:
        """Return the first `n` samples at `fs`, interpolated linearly only where the file's rate differs."""
        eight = _units(self._recording, self._rows, uv_per_bit)
        self.resampled = not math.isclose(self._recording.fs, fs)
        if self.resampled:
            eight = _resampled(eight, self._recording.fs, fs)
        return np.resize(eight.T, (n, eight.shape[0])).T if eight.shape[1] < n else eight[:, :n]


def _rows(recording: Recording) -> list[int | None]:
    names = [name.upper() for name in recording.leads]
    return [names.index(name) if name in names else None for name in frame.CHANNELS]


def _units(recording: Recording, rows: list[int | None], uv_per_bit: float) -> NDArray[np.int32]:
    microvolts = np.nan_to_num(recording.microvolts(), nan=0.0)
    eight = np.zeros((len(rows), recording.n), dtype=np.float64)
    for channel, row in enumerate(rows):
        if row is not None:
            eight[channel] = microvolts[row]
    limited = np.clip(np.rint(eight / uv_per_bit), -frame.FULL_SCALE - 1, frame.FULL_SCALE)
    return limited.astype(np.int32)


def _resampled(eight: NDArray[np.int32], was: float, fs: float) -> NDArray[np.int32]:
    at = np.arange(int(eight.shape[1] * fs / was), dtype=np.float64) * (was / fs)
    sampled = np.arange(eight.shape[1], dtype=np.float64)
    out = np.empty((eight.shape[0], at.size), dtype=np.int32)
    for channel in range(eight.shape[0]):
        row: NDArray[np.float64] = eight[channel].astype(np.float64)
        out[channel] = np.rint(np.interp(at, sampled, row))
    return out
