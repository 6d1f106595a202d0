"""Files that hold an electrocardiogram: one door to all formats."""

from __future__ import annotations

from pathlib import Path

from feldsher_signal.formats import foreign, own, wfdb
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import Recording

__all__ = ["FormatError", "read"]


def read(path: str | Path) -> Recording:
    """Return the recording in a file of any format known here; FormatError names the file and the byte or field.

    WFDB: the header (`.hea`), the record's name without it, or a `.dat`/`.mat` that has a header beside it. All other
    formats are told by their content, never by their name.
    """
    path = Path(path)
    if wfdb.header_of(path) is not None:
        return wfdb.read(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(len(own.MAGIC))
    except OSError as error:
        raise FormatError(path, "file", error.strerror or str(error)) from error
    return own.read(path) if start.startswith(own.MAGIC) else foreign.read(path)
