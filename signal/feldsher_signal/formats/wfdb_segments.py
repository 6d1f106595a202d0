"""WFDB records of several segments, joined into one recording: what a segment does not have is missing there.

Source: header(5) of the WFDB Applications Guide. Fixed layout: every segment has the same signals. Variable layout: the
first segment has no samples and describes all signals; the others have some of them each. `~` is a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import lead, source, wfdb_header
from feldsher_signal.formats.content import Content
from feldsher_signal.formats.error import FormatError
from feldsher_signal.formats.wfdb_header import GAP, Header
from feldsher_signal.record import MISSING, Recording

# Segments of one lead may differ in gain: they are then brought to a 16th of the finest, wrong by 1/32 of it at most.
_FINER = 16
_MAX_UNITS = 1 << 31


def joined(header: Header, single: Callable[[Header], Content]) -> Content:
    """Return the record of a header with segments, each read by `single`; FormatError names file and field."""
    layout = _layout(header)
    total = sum(frames for _, frames in header.segments)
    if header.frames is not None and header.frames != total:
        raise FormatError(header.path, "number of samples", f"{header.frames} are stated, the segments have {total}")
    source.checked_size(header.path, "number of samples", max(len(layout), 1), total)
    parts: list[tuple[int, Recording]] = []
    left_out: list[str] = []
    at = 0
    for name, frames in header.segments:
        if name != GAP and frames:
            part = single(_segment(header, name, frames))
            parts.append((at, part.recording))
            left_out += part.left_out
        at += frames
    if not parts:
        raise FormatError(header.path, "segments", "none has samples")
    return Content(
        _merged(header.path, parts, layout, header.fs, total),
        header.subject,
        format="WFDB",
        left_out=tuple(dict.fromkeys(left_out)),
    )


def _layout(header: Header) -> tuple[str, ...]:
    """Return the leads of a variable layout in its order; of a fixed layout none, its segments say them."""
    name, frames = header.segments[0]
    if frames or name == GAP:
        return ()
    described = wfdb_header.parse(wfdb_header.inside(header.path, f"{name}.hea"))
    return lead.names(signal.description for signal in described.signals)


def _segment(header: Header, name: str, frames: int) -> Header:
    """Return the header of a segment, which must agree with the record that names it."""
    found = wfdb_header.parse(wfdb_header.inside(header.path, f"{name}.hea"))
    if found.segments:
        raise FormatError(found.path, "record name", "a segment cannot have segments")
    if found.frames not in (None, frames):
        raise FormatError(found.path, "number of samples", f"{found.frames}, but {frames} in {header.path.name}")
    if found.fs != header.fs:
        raise FormatError(found.path, "sampling frequency", f"{found.fs:g}, but {header.fs:g} in {header.path.name}")
    return found


def _merged(
    path: Path, parts: list[tuple[int, Recording]], layout: tuple[str, ...], frame_rate: float, total: int
) -> Recording:
    """Return the segments as one recording of `total` frames."""
    rates = {part.fs for _, part in parts}
    if len(rates) > 1:
        raise FormatError(path, "samples per frame", "the segments' leads have different sampling rates")
    fs = rates.pop()
    per_frame = round(fs / frame_rate)
    held = list(dict.fromkeys(name for _, part in parts for name in part.leads))
    leads = tuple(sorted(held, key=lambda name: layout.index(name) if name in layout else len(layout)))
    source.checked_size(path, "number of samples", len(leads), total * per_frame)
    scales = {name: _scale(name, [part for _, part in parts if name in part.leads]) for name in leads}
    samples = np.full((len(leads), total * per_frame), MISSING, np.int32)
    for start, part in parts:
        for row, name in enumerate(part.leads):
            first = start * per_frame
            samples[leads.index(name), first : first + part.n] = _rescaled(path, part.only(row), *scales[name])
    return Recording(
        leads, fs, samples, tuple(scales[name][0] for name in leads), tuple(scales[name][1] for name in leads)
    )


def _scale(name: str, parts: list[Recording]) -> tuple[float, int]:
    """Return the microvolts per unit and the baseline that a lead has in all of its segments, or can be brought to."""
    found: set[tuple[float, int]] = set()
    for part in parts:
        row = part.leads.index(name)
        found.add((part.uv_per_bit[row], part.baseline[row]))
    if len(found) == 1:
        return found.pop()
    return min(abs(uv) for uv, _ in found) / _FINER, 0


def _rescaled(path: Path, lead_alone: Recording, uv_per_bit: float, baseline: int) -> NDArray[np.int32]:
    """Return the samples of one lead in another scale; FormatError where they do not fit it."""
    row, scale, base = lead_alone.samples[0], lead_alone.uv_per_bit[0], lead_alone.baseline[0]
    if (scale, base) == (uv_per_bit, baseline):
        return row
    values = np.rint((row.astype(np.float64) - base) * (scale / uv_per_bit))
    values[row == MISSING] = 0.0
    if np.abs(values).max() >= _MAX_UNITS:
        raise FormatError(path, f"lead {lead_alone.leads[0]!r}", "the segments' gains are too far apart")
    return np.where(row == MISSING, MISSING, values).astype(np.int32)
