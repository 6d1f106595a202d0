"""Writer of WFDB records: a header, one signal file in format 16, 212 or 32 with checksums, and the marks as `.atr`.

Source: header(5) and signal(5) of the WFDB Applications Guide (Moody, MIT). Lossless: the samples, baselines and scales
are those of the recording; a missing sample is the format's lowest code.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import marks, wfdb_samples
from feldsher_signal.formats.content import Content
from feldsher_signal.record import MISSING, Recording

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BITS = {212: 12, 16: 16, 32: 32}
_PACK = {212: wfdb_samples.pack212, 16: wfdb_samples.pack16, 32: wfdb_samples.pack32}


def dumps(held: Content, name: str, format: int | None = None) -> dict[str, bytes]:  # noqa: A002 (header(5)'s word)
    """Return the files of a record, by suffix, `.hea` last; ValueError names what a format or name cannot hold.

    `format`: 16, 212 or 32; without it 16 where the samples fit, else 32.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: {name!r} is no WFDB record name (letters, digits, _ and -)")
    recording = held.recording
    code = format or (16 if _fits(recording, 16) else 32)
    if code not in _PACK or not _fits(recording, code):
        raise ValueError(f"samples: do not fit format {code} of WFDB (±{(1 << (_BITS.get(code, 1) - 1)) - 1} units)")
    stored = np.where(recording.samples == MISSING, -(1 << (_BITS[code] - 1)), recording.samples).astype(np.int32)
    files = {".dat": _PACK[code](np.ascontiguousarray(stored.T).ravel())}
    if held.marks:
        files[".atr"] = marks.dumps(held.marks)
    return files | {".hea": _header(held, name, code, stored).encode()}


def _fits(recording: Recording, code: int) -> bool:
    """Return whether all samples are above the lowest code of a format, which means that one is missing."""
    known = recording.samples[recording.samples != MISSING]
    most = (1 << (_BITS[code] - 1)) - 1
    return not known.size or (int(known.min()) >= -most and int(known.max()) <= most)


def _header(held: Content, name: str, code: int, stored: NDArray[np.int32]) -> str:
    recording = held.recording
    lines = [f"{name} {len(recording.leads)} {recording.fs!r} {recording.n}"]
    base = recording.baseline or (0,) * len(recording.leads)
    for row, lead, scale, zero in zip(stored, recording.leads, recording.uv_per_bit, base, strict=True):
        total = (int(row.sum(dtype=np.int64)) + 0x8000) % 0x10000 - 0x8000
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in lead).split())
        lines.append(f"{name}.dat {code} {_gain(scale)}({zero})/uV {_BITS[code]} 0 {row[0]} {total} 0 {text}")
    if held.subject.age is not None:
        lines.append(f"# <age>: {held.subject.age}")
    if held.subject.sex != "unknown":
        lines.append(f"# <sex>: {'M' if held.subject.sex == 'male' else 'F'}")
    return "\n".join(lines) + "\n"


def _gain(uv_per_bit: float) -> str:
    """Return the units per microvolt, of the nearest numbers the one whose inverse is the scale again."""
    gain = 1.0 / uv_per_bit
    near = (gain, np.nextafter(gain, np.inf), np.nextafter(gain, -np.inf))
    return np.format_float_positional(
        next((each for each in near if 1.0 / each == uv_per_bit), gain), unique=True, trim="0"
    )
