"""SCP-ECG as written: checksums, pointers and tags walked by hand, samples read back by ecgdatakit."""

from __future__ import annotations

import binascii
import importlib.util
import struct
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS, Subject
from feldsher_signal.formats import Content, Filters, load, scp
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from recordings import contents

needs_ecgdatakit = pytest.mark.skipif(
    importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED"
)


def _one(samples: list[int], scale: float = 1.0, fs: float = 500.0) -> Content:
    return Content(Recording(("II",), fs, np.array([samples], np.int32), (scale,)))


def _sections(raw: bytes) -> dict[int, bytes]:
    """Walk the record as the standard says: both checksums, the length, section 0 and what it points to."""
    assert struct.unpack_from("<H", raw)[0] == binascii.crc_hqx(raw[2:], 0xFFFF)
    assert struct.unpack_from("<I", raw, 2)[0] == len(raw)
    assert raw[16:22] == b"SCPECG"
    found: dict[int, bytes] = {}
    end = 6 + struct.unpack_from("<I", raw, 10)[0]
    after = end
    for at in range(22, end, 10):
        number, length, index = struct.unpack_from("<HII", raw, at)
        if not length:
            assert index == 0
            continue
        section = raw[index - 1 : index - 1 + length]
        crc, held_number, held_length, version, protocol = struct.unpack_from("<HHIBB", section)
        assert (held_number, held_length, version, protocol) == (number, length, 20, 20)
        assert crc == binascii.crc_hqx(section[2:], 0xFFFF)
        assert length % 2 == 0
        if number:
            assert index - 1 == after
            after += length
        found[number] = section[16:]
    assert after == len(raw)
    return found


def test_structure() -> None:
    held = Content(
        Recording(("I", "aVF", "MLII"), 500.0, np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.int32), (5.0, 5.0, 5.0)),
        Subject(age=44, sex="female"),
        Filters(0.05, 150.0, 50.0),
    )
    sections = _sections(scp.dumps(held, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)))
    assert set(sections) == {0, 1, 2, 3, 6}
    assert struct.unpack_from("<H", sections[2])[0] == 19999
    assert sections[3][:2] == bytes([3, 0x04 | 3 << 3])
    assert [struct.unpack_from("<IIB", sections[3], 2 + 9 * k) for k in range(3)] == [(1, 3, 1), (1, 3, 64), (1, 3, 0)]
    assert struct.unpack_from("<HHBB", sections[6]) == (5000, 2000, 2, 0)
    tags: dict[int, bytes] = {}
    at = 0
    while sections[1][at] != 255:
        tag, length = struct.unpack_from("<BH", sections[1], at)
        tags[tag] = sections[1][at + 3 : at + 3 + length]
        at += 3 + length
    assert tags[2] == b"\0"
    assert tags[4] == struct.pack("<HB", 44, 1)
    assert tags[8] == b"\2"
    assert tags[25] == struct.pack("<HBB", 2024, 5, 6)
    assert tags[26] == bytes([7, 8, 9])
    assert (tags[27], tags[28], tags[29]) == (struct.pack("<H", 5), struct.pack("<H", 150), b"\2")
    assert tags[14][14] == 20
    assert tags[14][36:].count(b"\0") == 5
    assert set(tags) == {2, 4, 8, 14, 25, 26, 27, 28, 29}


def test_the_default_code_bit_by_bit() -> None:
    # Annex C: 0; n ones, a zero and the sign for 1 to 8; 10 bits and 8 or 16 bits beyond. Second differences.
    body = _sections(scp.dumps(_one([0, 1, 1, 9, 4000])))[6]
    size = struct.unpack_from("<H", body, 6)[0]
    bits = "".join(f"{byte:08b}" for byte in body[8 : 8 + size])
    expected = "0" + "100" + "101" + "11111111" + "00" + "1111111111" + f"{3983:016b}"
    assert bits.rstrip("0") == expected.rstrip("0")


@pytest.mark.parametrize(
    ("samples", "order"), [([0, 30000, 0, 30000], 1), ([-32767, 32767, -32767], 0), ([5, 5, 5], 2)]
)
def test_differences_only_where_they_fit_16_bits(samples: list[int], order: int) -> None:
    assert _sections(scp.dumps(_one(samples)))[6][4] == order


@needs_ecgdatakit
@given(contents(gaps=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_is_written_is_read_exactly(tmp_path: Path, held: Content) -> None:
    path = tmp_path / "x"
    path.write_bytes(scp.dumps(held))
    found = load(path)
    assert found.recording.leads == held.recording.leads
    assert (found.recording.fs, found.recording.n) == (held.recording.fs, held.recording.n)
    step, values = scp.common_scale(held.recording)
    assert np.array_equal(found.recording.samples, values)
    assert found.recording.uv_per_bit[0] * 1000 == pytest.approx(step)
    off = np.abs(found.recording.microvolts() - held.recording.microvolts()).max()
    assert off <= step / 2000 * 1.01
    assert found.subject == held.subject or held.subject.age == 0
    assert found.filters == held.filters


@needs_ecgdatakit
def test_twelve_leads_of_ten_seconds_by_another_reader(tmp_path: Path) -> None:
    from ecgdatakit import FileParser  # noqa: PLC0415 - an optional extra

    rng = np.random.default_rng(4)
    samples = np.cumsum(rng.integers(-40, 41, (12, 5000)), axis=1).astype(np.int32)
    path = tmp_path / "x.scp"
    path.write_bytes(scp.dumps(Content(Recording(STANDARD_LEADS, 500.0, samples, (2.5,) * 12))))
    assert path.stat().st_size < samples.size * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = FileParser.parse(path)
    assert [lead.label for lead in record.leads] == list(STANDARD_LEADS)
    assert np.allclose([lead.samples for lead in record.leads], samples * 0.0025)
    assert record.patient.last_name == ""


def test_scales_of_no_whole_nanovolts_are_rounded_to_the_finest_step_that_fits() -> None:
    recording = Recording(("I",), 500.0, np.array([[1716, -17, 3]], np.int32), (1000 / 1716,))
    step, values = scp.common_scale(recording)
    assert step == 100
    assert np.abs(values * 0.1 - recording.microvolts()).max() <= 0.05


@pytest.mark.parametrize(
    ("held", "match"),
    [
        (_one([0] * 600_000), "samples: 600000 per lead are more"),
        (
            _one(list(np.random.default_rng(0).integers(-32000, 32000, 30_000))),
            "lead 'II': 97.* bytes of 30000 samples",
        ),
        (_one([0, 1], fs=7.0), "fs: 7 per second is no interval"),
        (_one([0, 2**30]), "samples: 1073742 mV do not fit"),
        (_one([1, int(MISSING), 2]), "lead 'II': the sample at 0.002 s is missing"),
    ],
)
def test_what_scp_cannot_hold(held: Content, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        scp.dumps(held)
