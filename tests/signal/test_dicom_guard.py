"""DICOM that pydicom never gets to see: deflated (which has no bound), compressed, too long, or of no stated syntax."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import hostile
import pytest
from feldsher_signal.formats import FormatError, dicom_guard, load

pytest.importorskip("pydicom")
RAW = hostile.written()["r.dcm"]
SYNTAX = b"1.2.840.10008.1.2.1\0"


@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.4.50", b"9.9"])
def test_other_syntaxes(tmp_path: Path, syntax: bytes) -> None:
    path = tmp_path / "x"
    at = RAW.index(SYNTAX)
    path.write_bytes(RAW[: at - 2] + len(syntax).to_bytes(2, "little") + syntax + RAW[at + len(SYNTAX) :])
    with pytest.raises(FormatError, match=r"\(0002,0010\): transfer syntax [\d.]+ is not read"):
        load(path)


def test_none_and_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(RAW.replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x10\x00XX"))
    with pytest.raises(FormatError, match="of none stated"):
        load(path)
    with path.open("wb") as stream:
        stream.truncate(dicom_guard.MAX_BYTES + 1)
    with pytest.raises(FormatError, match=r"at most \d+ are read"):
        dicom_guard.checked(path)


def test_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(RAW)
    assert dicom_guard.checked(path) == RAW


def test_an_element_that_claims_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    tracemalloc.start()
    top = RAW.index(b"\x08\x00\x60\x00CS") + 4
    path.write_bytes(RAW[:top] + b"OB\0\0\xf0\xff\xff\xff" + RAW[top + 8 :])
    with pytest.raises(FormatError, match=r"byte \d+: 4294967280 bytes are announced where the file ends"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
