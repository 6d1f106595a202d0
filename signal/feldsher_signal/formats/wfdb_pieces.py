"""A long WFDB record read piece by piece, so that a day needs no more memory than ten minutes.

For records of one signal file in a format whose samples stand by themselves, all at one rate and without skew: what
recorders of a day or a week write. The checksums, which are of the whole, are not compared.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import lead, source, wfdb, wfdb_header, wfdb_samples
from feldsher_signal.formats.wfdb_header import Header

_DIFFERENCES = 8


@dataclass(frozen=True, slots=True)
class Pieces:
    """A record as `ambulatory.Source`: its leads are `columns` of the frames, each with its µV per unit."""

    path: Path
    leads: tuple[str, ...]
    fs: float
    n: int
    header: Header
    columns: tuple[int, ...]
    uv_per_bit: tuple[float, ...]

    def take(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return µV (leads, stop − start), NaN where missing; OSError where the file is gone or cut."""
        signals = self.header.signals
        code, width, offset = signals[0].format, len(signals), signals[0].offset
        packing = wfdb_samples.PACKINGS[code]
        skipped, group = start * width, len(packing.ends)
        first = skipped - skipped % group
        count = stop * width - first
        with self.path.open("rb") as file:
            raw = os.pread(file.fileno(), packing.size(count), offset + first // group * packing.ends[-1])
        if len(raw) < packing.size(count):
            raise OSError(f"{self.path}: the file ends within frame {start} to {stop}")
        flat = wfdb_samples.unpack(code, raw, 0, count)[skipped - first :].reshape(-1, width)
        out = np.empty((len(self.columns), stop - start), np.float32)
        for row, column in enumerate(self.columns):
            values = flat[:, column]
            out[row] = (values - float(signals[column].baseline)) * self.uv_per_bit[row]
            if packing.invalid is not None:
                out[row][values == packing.invalid] = np.nan
        return out


def pieces(path: Path) -> Pieces | None:
    """Return the record at `path` for reading in pieces; None where it is not of the simple kind (read it whole).

    FormatError where the header is wrong or announces more than the file holds.
    """
    found = wfdb_header.header_of(path)
    if found is None:
        return None
    header = wfdb_header.parse(found)
    columns = tuple(k for k, s in enumerate(header.signals) if s.units.lower() in wfdb.MICROVOLTS)
    if header.segments or not columns or not _simple(header):
        return None
    first = header.signals[0]
    inside = wfdb_header.inside(header.path, first.file)
    held = wfdb_samples.PACKINGS[first.format].fits(inside.stat().st_size - first.offset) // len(header.signals)
    if header.frames is not None and held < header.frames:
        return None
    return Pieces(
        inside,
        lead.names(header.signals[k].description for k in columns),
        source.checked_fs(header.path, "sampling frequency", header.fs),
        header.frames or held,
        header,
        columns,
        tuple(wfdb.scale(header, header.signals[k]) for k in columns),
    )


def _simple(header: Header) -> bool:
    """Return whether any stretch of the record can be read by itself."""
    formats, files = {s.format for s in header.signals}, {s.file for s in header.signals}
    plain = all(s.per_frame == 1 and s.skew == 0 for s in header.signals)
    known = formats <= set(wfdb_samples.PACKINGS) - {_DIFFERENCES}
    return plain and known and len(formats) == len(files) == 1
