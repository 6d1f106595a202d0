"""What a DICOM file may be before ecgdatakit reads it.

It is of bounded length, not deflated (which has no bound), and has no element that claims more bytes than are left: a
buffered file would set aside the memory for them at once.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

from feldsher_signal.formats import source
from feldsher_signal.formats.error import FormatError

MAX_BYTES = 64 << 20
_SYNTAX = re.compile(rb"\x02\x00\x10\x00UI..([0-9.]+)", re.DOTALL)
_READ = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
# A reader asks for a little more than there is to find the end.
_HARMLESS = 1 << 16


class _Bounded(io.BytesIO):
    """The bytes of a file that refuse to be asked for far more than they are."""

    def __init__(self, path: Path, raw: bytes) -> None:
        super().__init__(raw)
        self.path = path
        self.size = len(raw)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.size - self.tell() + _HARMLESS:
            raise FormatError(self.path, f"byte {self.tell()}", f"{size} bytes are announced where the file ends")
        return super().read(size)


def checked(path: Path) -> bytes:
    """Return the bytes of a DICOM file in one of the three plain transfer syntaxes; FormatError where it is another."""
    raw = source.whole(path, MAX_BYTES)
    found = _SYNTAX.search(raw, 132, 4096)
    syntax = found[1].decode() if found else ""
    if syntax not in _READ:
        raise FormatError(path, "(0002,0010)", f"transfer syntax {syntax or 'of none stated'} is not read")
    try:
        import pydicom  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise FormatError(path, "format", "DICOM needs `pip install feldsher[formats]`") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmread(_Bounded(path, raw))  # pyright: ignore[reportUnknownMemberType]
    except FormatError:
        raise
    except Exception as error:
        # Whatever pydicom stumbles over may quote a value: only its kind is told.
        raise FormatError(path, "DICOM", f"cannot be decoded ({type(error).__name__})") from None
    return raw
