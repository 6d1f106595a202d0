"""What an SCP-ECG file may claim: its own length, and no more samples than it has bits."""

from __future__ import annotations

import struct
from pathlib import Path

import hostile
import pytest
from feldsher_signal.formats import FormatError, scp, scp_guard

RAW = scp.dumps(hostile.small())
SECTION_3 = next(struct.unpack_from("<I", RAW, at + 6)[0] - 1 + 16 for at in range(22, 142, 10) if RAW[at] == 3)


def _with(at: int, raw: bytes) -> bytes:
    return RAW[:at] + raw + RAW[at + len(raw) :]


def test_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(RAW)
    assert scp_guard.checked(path) == RAW


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (RAW + b"\0", rf"byte 2: a record of {len(RAW)} bytes is announced, the file has {len(RAW) + 1}"),
        (_with(2, b"\xff\xff\xff\x7f"), "byte 2: a record of 2147483647 bytes"),
        (_with(SECTION_3 + 2, struct.pack("<II", 1, 0xFFFFFFFF)), rf"byte {SECTION_3}: \d+ samples are announced in"),
        (_with(SECTION_3 + 2, struct.pack("<II", 9, 8)), rf"byte {SECTION_3 + 2}: lead 1 runs from sample 9 to 8"),
        (_with(SECTION_3, b"\xff"), r"runs from sample|samples are announced|ends within"),
        (b"\0" * 5, "byte 5: the file ends within section 0 or 3"),
    ],
)
def test_refused(tmp_path: Path, raw: bytes, match: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=match):
        scp_guard.checked(path)


def test_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.truncate(scp_guard.MAX_BYTES + 1)
    with pytest.raises(FormatError, match=r"at most \d+ are read"):
        scp_guard.checked(path)
