"""What a DICOM file may be before pydicom reads it: of bounded length, and not deflated, which has no bound."""

from __future__ import annotations

import re
from pathlib import Path

from feldsher_signal.formats import source
from feldsher_signal.formats.error import FormatError

MAX_BYTES = 64 << 20
_SYNTAX = re.compile(rb"\x02\x00\x10\x00UI..([0-9.]+)", re.DOTALL)
_READ = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


def checked(path: Path) -> bytes:
    """Return the bytes of a DICOM file in one of the three plain transfer syntaxes; FormatError where it is another."""
    raw = source.whole(path, MAX_BYTES)
    found = _SYNTAX.search(raw, 132, 4096)
    syntax = found[1].decode() if found else ""
    if syntax not in _READ:
        raise FormatError(path, "(0002,0010)", f"transfer syntax {syntax or 'of none stated'} is not read")
    return raw
