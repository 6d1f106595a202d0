"""Files of unknown origin, read within bounds: what is too long, is no plain file or cannot be opened is refused.

The limits are those of docs/formats.md: a file of the text and vendor formats holds minutes, one of WFDB and EDF up to
a day (24 h × 12 leads × 250 Hz = 259 million samples).
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import BinaryIO

from feldsher_signal.formats.error import FormatError

MAX_BYTES = 1 << 30
"""The longest file that is opened at all: one gibibyte."""
MAX_SAMPLES = 1 << 28
"""The most samples, all leads together, that one recording may have: a day of twelve leads at 250 per second."""
MAX_LEADS = 256
MAX_FS = 1e6
"""No cardiograph samples faster than a million times per second."""


def opened(path: Path) -> tuple[BinaryIO, int]:
    """Return an open file and its length in bytes; FormatError where it is none, or none that can be read.

    Only plain files: a pipe or a device of that name would block or never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise FormatError(path, "file", getattr(error, "strerror", None) or str(error)) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise FormatError(path, "file", "is not a plain file")
    return os.fdopen(handle, "rb"), status.st_size


def whole(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file of at most `limit` bytes; FormatError names the byte where it is longer."""
    stream, size = opened(path)
    with stream:
        if size > limit:
            raise FormatError(path, f"byte {limit}", f"the file has {size} bytes; at most {limit} are read")
        try:
            return stream.read(size)
        except OSError as error:
            raise FormatError(path, "file", error.strerror or str(error)) from error


def start(path: Path, count: int) -> tuple[bytes, int]:
    """Return the first `count` bytes of a file and its length."""
    stream, size = opened(path)
    with stream:
        try:
            return stream.read(count), size
        except OSError as error:
            raise FormatError(path, "file", error.strerror or str(error)) from error


def checked_fs(path: Path, where: str, fs: float) -> float:
    """Return a sampling rate that is one; FormatError naming the field where it is not."""
    if not (math.isfinite(fs) and 0 < fs <= MAX_FS):
        raise FormatError(path, where, f"{fs:g} is not a sampling rate")
    return fs


def checked_size(path: Path, where: str, leads: int, n: int) -> None:
    """Refuse what a file claims to hold before memory is given to it."""
    if not 1 <= leads <= MAX_LEADS:
        raise FormatError(path, where, f"{leads} leads are not between 1 and {MAX_LEADS}")
    if n < 1 or leads * n > MAX_SAMPLES:
        raise FormatError(path, where, f"{leads} leads of {n} samples are not between 1 and {MAX_SAMPLES} samples")


def checked_scale(path: Path, where: str, uv_per_bit: float) -> float:
    """Return the microvolts of one unit; FormatError where no cardiograph could have that resolution (0, NaN, 1e99)."""
    if not 1e-9 <= abs(uv_per_bit) <= 1e6:
        raise FormatError(path, where, f"{uv_per_bit:g} µV per unit is no resolution")
    return uv_per_bit
