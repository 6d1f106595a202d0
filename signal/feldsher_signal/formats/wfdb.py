"""WFDB records (PhysioNet): a text header `.hea` and the signal files that it names.

Source: signal(5) of the WFDB Applications Guide (Moody, MIT). Read: formats 8, 16, 24, 32, 61, 80, 160, 212, 310,
311, several signals in one or more files, byte offsets (so the PhysioNet/CinC challenges' `.mat` files, which are
MATLAB v4 matrices behind 24 bytes), skew, several samples per frame, and records of several segments
(wfdb_segments.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import lead, source, wfdb_header, wfdb_samples, wfdb_segments
from feldsher_signal.formats.content import Content
from feldsher_signal.formats.error import FormatError
from feldsher_signal.formats.wfdb_header import Header, Signal
from feldsher_signal.formats.wfdb_samples import PACKINGS
from feldsher_signal.record import MISSING, Recording

MICROVOLTS = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "v": 1e6, "nv": 1e-3}
"""Microvolts of the units in which a signal is an electrocardiogram."""


def read(path: str | Path) -> Recording:
    """Return the recording alone, as `load` does."""
    return load(path).recording


def load(path: str | Path) -> Content:
    """Return the record of a `.hea` (or of a record name without it); FormatError names file and byte or field.

    Length and checksums are verified. A checksum of 0 counts as not stated: the 2017 challenge writes it everywhere.
    Signals in other units than volts (pressure, respiration), or at another rate than most leads have, are left out;
    at least one lead must remain.
    """
    found = wfdb_header.header_of(Path(path))
    if found is None:
        raise FormatError(path, "file", "no WFDB header (.hea) is there")
    header = wfdb_header.parse(found)
    return wfdb_segments.joined(header, single) if header.segments else single(header)


def single(header: Header) -> Content:
    """Return the record of a header without segments."""
    in_volts = [signal for signal in header.signals if signal.units.lower() in MICROVOLTS]
    if not in_volts:
        raise FormatError(header.path, "units", "no signal is in volts")
    rates = Counter(signal.per_frame for signal in in_volts)
    per_frame = max(rates, key=lambda rate: (rates[rate], rate))
    kept = [k for k, s in enumerate(header.signals) if s in in_volts and s.per_frame == per_frame]
    chosen = [header.signals[k] for k in kept]
    rows = _signals(header, kept)
    recording = Recording(
        leads=lead.names(signal.description for signal in chosen),
        fs=source.checked_fs(header.path, "sampling frequency", header.fs * per_frame),
        samples=rows,
        uv_per_bit=tuple(scale(header, signal) for signal in chosen),
        baseline=tuple(signal.baseline for signal in chosen),
    )
    left_out = tuple(s.description or f"ch{k + 1}" for k, s in enumerate(header.signals) if k not in kept)
    return Content(recording, header.subject, format="WFDB", left_out=left_out)


def scale(header: Header, signal: Signal) -> float:
    """Return the µV of one unit of a signal that is in volts; FormatError where that is no sensible number."""
    where = f"signal {signal.description!r}, gain"
    return source.checked_scale(header.path, where, MICROVOLTS[signal.units.lower()] / signal.gain)


def _signals(header: Header, kept: list[int]) -> NDArray[np.int32]:
    """Return the signals `kept` of the header, int32 (kept, n), MISSING where the format says invalid."""
    groups: dict[str, list[int]] = {}
    for index, signal in enumerate(header.signals):
        groups.setdefault(signal.file, []).append(index)
    rows: dict[int, NDArray[np.int32]] = {}
    for name, members in groups.items():
        if not set(members).isdisjoint(kept):
            rows.update(zip(members, _file(header, name, members), strict=True))
    lengths = sorted({rows[index].size for index in kept})
    if len(lengths) > 1:
        raise FormatError(header.path, "number of samples", f"the signal files are not equally long: {lengths}")
    return np.stack([rows[index] for index in kept])


def _file(header: Header, name: str, members: list[int]) -> list[NDArray[np.int32]]:
    """Return the signals `members` that one file holds interleaved by frames."""
    signals = [header.signals[index] for index in members]
    first = signals[0]
    if len({signal.format for signal in signals}) > 1:
        raise FormatError(header.path, "format", f"{name} is announced in several formats")
    if first.format not in PACKINGS:
        raise FormatError(header.path, "format", f"a record without segments has no signals of format {first.format}")
    path = wfdb_header.inside(header.path, name)
    raw = source.whole(path)
    width = sum(signal.per_frame for signal in signals)
    frames = _frames(path, len(raw), signals, width, header.frames)
    source.checked_size(path, "number of samples", 1, frames * width)
    flat = wfdb_samples.unpack(first.format, raw, first.offset, frames * width).reshape(frames, width)
    rows: list[NDArray[np.int32]] = []
    at = 0
    for signal in signals:
        row = flat[:, at : at + signal.per_frame].ravel()
        at += signal.per_frame
        if signal.format == 8:
            row = (signal.initial + np.cumsum(row, dtype=np.int64)).astype(np.int32)
        _verify(path, signal, row)
        rows.append(_aligned(signal, row))
    length = header.frames or frames
    return [row[: length * signal.per_frame] for row, signal in zip(rows, signals, strict=True)]


def _verify(path: Path, signal: Signal, row: NDArray[np.int32]) -> None:
    """Compare a signal with its checksum: header(5), the 16-bit signed sum of all its samples."""
    total = (int(row.sum(dtype=np.int64)) + 0x8000) % 0x10000 - 0x8000
    if signal.checksum is not None and (total - signal.checksum) % 0x10000:
        raise FormatError(path, f"signal {signal.description!r}", f"checksum {total}, not {signal.checksum}")


def _aligned(signal: Signal, row: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return a signal with MISSING for "no valid sample" and its skew undone: it starts `skew` frames too early."""
    invalid = PACKINGS[signal.format].invalid
    out = row if invalid is None else np.where(row == invalid, MISSING, row)
    early = min(signal.skew * signal.per_frame, row.size)
    return np.concatenate([out[early:], np.full(early, MISSING, np.int32)]) if early else out


def _frames(path: Path, end: int, signals: list[Signal], width: int, stated: int | None) -> int:
    """Return how many frames the file holds; FormatError where that is not what the header states.

    Skewed signals may have their frames before the first beyond the stated length.
    """
    packing, offset = PACKINGS[signals[0].format], signals[0].offset
    size = end - offset
    held = packing.fits(size) // width
    frames = held if stated is None else stated
    if frames < 1 or held < frames:
        raise FormatError(path, f"byte {end}", f"the file ends; {packing.size(frames * width)} bytes were announced")
    most = frames + max(signal.skew for signal in signals)
    # The last group of packed samples may be written whole.
    full = -(-most * width // len(packing.ends)) * packing.ends[-1]
    if size > full:
        needed = packing.size(most * width)
        raise FormatError(path, f"byte {offset + needed}", f"{size - needed} bytes too many")
    return min(held, most)
