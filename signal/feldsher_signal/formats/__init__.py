"""Files that hold an electrocardiogram: one door to all formats."""

from __future__ import annotations

from pathlib import Path

from feldsher_signal.formats import contec, edf, foreign, own, source, table, wfdb, wfdb_header
from feldsher_signal.formats.content import Content, Filters
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import Recording

__all__ = ["Content", "Filters", "FormatError", "load", "read"]

_SNIFFED = 4096


def read(path: str | Path) -> Recording:
    """Return the recording in a file of any format known here; FormatError names the file and the byte or field."""
    return load(path).recording


def load(path: str | Path) -> Content:
    """Return what a file of any format known here says: recording, age and sex, filters; FormatError as `read`.

    WFDB: the header (`.hea`), the record's name without it, or a `.dat`/`.mat` that has a header beside it. All other
    formats are told by their content, never by their name.
    """
    path = Path(path)
    if wfdb_header.header_of(path) is not None:
        return wfdb.load(path)
    start, size = source.start(path, _SNIFFED)
    if start.startswith(own.MAGIC):
        return Content(own.read(path), format="feldsher record")
    if edf.is_one(start):
        return edf.load(path)
    if contec.is_one(start, size):
        return contec.load(path)
    if table.is_one(start):
        return table.load(path)
    return foreign.load(path)
