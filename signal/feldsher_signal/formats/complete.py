"""Recordings without missing samples, for formats that cannot say that one is missing."""

from __future__ import annotations

import numpy as np

from feldsher_signal.record import MISSING, Recording


def complete(recording: Recording, format: str) -> Recording:  # noqa: A002 (the word of the whole package)
    """Return a recording without its leads that are missing as a whole, cut where no lead has begun or all have ended.

    ValueError names the lead and the second where a sample is missing in between.
    """
    gone = recording.samples == MISSING
    rows = np.flatnonzero(~gone.all(axis=1))
    if not rows.size:
        raise ValueError("samples: all are missing")
    known = np.flatnonzero(~gone[rows].all(axis=0))
    first, last = int(known[0]), int(known[-1]) + 1
    left = np.argwhere(gone[rows, first:last])
    if left.size:
        row, at = int(left[0, 0]), int(left[0, 1]) + first
        lead = recording.leads[int(rows[row])]
        raise ValueError(
            f"lead {lead!r}: the sample at {at / recording.fs:.3f} s is missing, which {format} cannot say"
        )
    base = recording.baseline or (0,) * len(recording.leads)
    return Recording(
        tuple(recording.leads[row] for row in rows.tolist()),
        recording.fs,
        np.ascontiguousarray(recording.samples[rows, first:last]),
        tuple(recording.uv_per_bit[row] for row in rows.tolist()),
        tuple(base[row] for row in rows.tolist()),
    )
