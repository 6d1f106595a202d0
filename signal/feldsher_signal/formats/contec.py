"""Contec ECG90A `.ECG` files: a header of 43 bytes, samples of eight leads at 800 per second, a footer of 37 bytes.

The layout was found by N. Rigacci (rigacci.org, "Contec ECG90A Electrocardiograph - ECG File Format"): case, time,
name, sex (byte 40: 0 female, 1 male, 255 unknown), age (byte 41, 0 unknown), weight; then II, III, V1 … V6 as unsigned
16-bit little-endian units of 5 µV around 2048, 26624 where an electrode is off. The name is never read; of the case
only an order number of ours that was typed in there.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from feldsher_signal.formats import content, lead, source
from feldsher_signal.formats.content import Content, Label
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

_HEADER, _FOOTER = 43, 37
_STORED = ("II", "III", "V1", "V2", "V3", "V4", "V5", "V6")
_FRAME = 2 * len(_STORED)
_FS = 800.0
_UV_PER_BIT = 5.0
_ZERO, _OFF = 2048, 0x6800
_SEX = {0: "female", 1: "male"}
_TIME = re.compile(rb"\d{4}-\d\d-\d\d [ \d]\d:\d\d:\d\d\0")


def is_one(start: bytes, size: int) -> bool:
    """Return whether a file that starts like this and is `size` bytes long has the shape of this format."""
    framed = size > _HEADER + _FOOTER and (size - _HEADER - _FOOTER) % _FRAME == 0
    return framed and len(start) > _HEADER and start[8:10] == b"\0\0" and _TIME.match(start, 10) is not None


def load(path: Path) -> Content:
    """Return the recording, whole to the device's last sample, with age and sex; FormatError where it is none."""
    raw = source.whole(path)
    if not is_one(raw[: _HEADER + 1], len(raw)):
        raise FormatError(path, "byte 0", "is no .ECG file of a Contec ECG90A")
    count = (len(raw) - _HEADER - _FOOTER) // _FRAME
    stored = np.frombuffer(raw, "<u2", count * len(_STORED), _HEADER).reshape(count, -1).T.astype(np.int32)
    samples = np.where(stored == _OFF, MISSING, stored)
    two, three = samples[0].astype(np.int64), samples[1].astype(np.int64)
    gone = (samples[:2] == MISSING).any(axis=0)
    one = np.where(gone, MISSING, two - three + _ZERO).astype(np.int32)
    leads = ("I", "II", *_STORED[2:])
    rows = np.concatenate([one[None], samples[:1], samples[2:]])
    eight = Recording(leads, _FS, rows, (_UV_PER_BIT,) * len(leads), (_ZERO,) * len(leads))
    return Content(
        lead.twelve(eight),
        content.subject(raw[41] or None, _SEX.get(raw[40])),
        format="Contec ECG",
        label=_label(raw),
    )


def _label(raw: bytes) -> Label:
    """Return the time of recording and the case number, which is an order number where one was typed in."""
    try:
        at = datetime.strptime(raw[10:29].decode("ascii"), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 (the device's own time)
    except ValueError:
        at = None
    return Label(at, "Contec", "ECG90A", orders=content.orders([raw[:8].rstrip(b"\0").decode("latin-1")]))
