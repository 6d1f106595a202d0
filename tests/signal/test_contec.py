"""Contec .ECG: the device's own file against the table beside it, hand-made files, and what is none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from feldsher_signal.formats import FormatError, contec, load
from feldsher_signal.record import MISSING

REAL = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats" / "0000050.ECG"


def _file(frames: list[list[int]], sex: int = 255, age: int = 0) -> bytes:
    head = b"0000011\0\0\0" + b"2020-11-12 18:09:05\0" + b"\0\0" + b"Ivanova\0" + bytes([sex, age, 0])
    return head + b"".join(struct.pack("<8H", *frame) for frame in frames) + bytes(37)


def test_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(_file([[2058, 2050, *range(2048, 2054)], [2038, 0x6800, *[0x6800] * 6]], sex=0, age=44))
    held = load(path)
    assert (held.subject.age, held.subject.sex, held.format) == (44, "female", "Contec ECG")
    assert "Ivanova" not in repr(held)
    leads = dict(zip(held.recording.leads, held.recording.microvolts().tolist(), strict=True))
    assert [leads[name][0] for name in ("I", "II", "III", "aVR", "aVL", "aVF")] == [40.0, 50.0, 10.0, -45.0, 15.0, 30.0]
    assert [leads[f"V{k}"][0] for k in range(1, 7)] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    second = held.recording.samples[:, 1]
    assert [name for name, value in zip(held.recording.leads, second, strict=True) if value != MISSING] == ["II"]


def test_unknown_age_and_sex(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(_file([[2048] * 8]))
    assert load(path).subject == load(path).subject.__class__()


def test_one_byte_more_is_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(_file([[2048] * 8]) + b"\0")
    with pytest.raises(FormatError, match="no format known here"):
        load(path)
    with pytest.raises(FormatError, match=r"byte 0: is no \.ECG file"):
        contec.load(path)


@pytest.mark.skipif(not REAL.is_file(), reason=f"NO SAMPLES OF FOREIGN FORMATS: {REAL} is absent")
def test_the_devices_file_is_the_table_beside_it() -> None:
    recording = load(REAL).recording
    table = [line.split(",")[:6] for line in Path(f"{REAL}.csv").read_text().splitlines()]
    units = np.array(table, float)
    found = (recording.microvolts() / 5.0)[:6].T
    assert recording.leads[:6] == ("I", "II", "III", "aVR", "aVL", "aVF")
    assert np.array_equal(found[:, :3], units[:, :3])
    # The table rounds the augmented leads' halves.
    assert np.abs(found - units).max() <= 0.5
    assert (recording.samples[6:] == MISSING).all()
