"""Files that hold an electrocardiogram: one door to all formats."""

from __future__ import annotations

from pathlib import Path

from feldsher_signal.formats import wfdb
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import Recording

__all__ = ["FormatError", "read"]


def read(path: str | Path) -> Recording:
    """Return the recording in a file of any format known here; FormatError names the file and the byte or field.

    WFDB: the header (`.hea`), the record's name without it, or a `.dat`/`.mat` that has a header beside it.
    """
    path = Path(path)
    if wfdb.header_of(path) is not None:
        return wfdb.read(path)
    if not path.is_file():
        raise FormatError(path, "file", "does not exist")
    raise FormatError(path, "byte 0", "no format known here")
