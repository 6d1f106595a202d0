"""The WFDB reader against hand-made bytes, a second writer, real records and damaged input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feldsher_signal.formats import FormatError, load, read, wfdb
from feldsher_signal.record import MISSING
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REAL = Path(__file__).parents[2].parent / "shared" / "ecg"


def _pack212(samples: list[int]) -> bytes:
    """Oracle writer: pairs of 12-bit samples in three bytes, one pair at a time."""
    out = bytearray()
    for i in range(0, len(samples), 2):
        a, b = samples[i] & 0xFFF, (samples[i + 1] & 0xFFF) if i + 1 < len(samples) else 0
        out += bytes([a & 0xFF, a >> 8 | (b >> 8) << 4, b & 0xFF])
    return bytes(out[: (len(samples) * 3 + 1) // 2])


def _record(folder: Path, header: str, **files: bytes) -> Path:
    path = folder / "r.hea"
    path.write_text(header)
    for name, content in files.items():
        (folder / f"{name}.dat").write_bytes(content)
    return path


def test_format_16_known_bytes(tmp_path: Path) -> None:
    path = _record(
        tmp_path,
        "r 2 500 3 10:00:00\n# <age>: 71\na.dat 16 1000(5)/mV 16 0 1 6 0 avr\na.dat 16 2(-3)/uV 16 0 2 12 0 ECG lead\n",
        a=np.array([[1, 2], [-32768, 4], [5, 6]], "<i2").tobytes(),
    )
    # The sums are those of the raw values: 1 - 32768 + 5 and 2 + 4 + 6.
    path.write_text(path.read_text().replace(" 1 6 0 avr", f" 1 {1 - 32768 + 5} 0 avr"))
    recording = read(path)
    assert recording.leads == ("aVR", "ECG lead")
    assert recording.fs == 500
    assert recording.samples.tolist() == [[1, int(MISSING), 5], [2, 4, 6]]
    assert recording.uv_per_bit == (1.0, 0.5)
    assert recording.baseline == (5, -3)
    assert np.isnan(recording.microvolts()[0, 1])


def test_format_212_known_bytes(tmp_path: Path) -> None:
    # signal(5): 0x3E3 and 0x3F3 (995, 1011: the first samples of MIT-BIH record 100) are E3 33 F3.
    path = _record(tmp_path, "r 2 360 1\na.dat 212 200 11 1024 995\na.dat 212 200 11 1024 1011\n", a=b"\xe3\x33\xf3")
    recording = read(path)
    assert recording.samples.tolist() == [[995], [1011]]
    assert recording.baseline == (1024, 1024)
    assert recording.uv_per_bit == (5.0, 5.0)


def test_defaults_of_the_header(tmp_path: Path) -> None:
    path = _record(tmp_path, "r 1\na.dat 16\n", a=np.array([1, 2, 3], "<i2").tobytes())
    recording = read(tmp_path / "r")
    assert (recording.fs, recording.uv_per_bit, recording.baseline) == (250.0, (5.0,), (0,))
    assert recording.n == 3
    assert read(path).leads == ("ch1",)


def test_offset_and_two_files_and_mat(tmp_path: Path) -> None:
    path = _record(
        tmp_path,
        "r 3 300 2\na.dat 16+4 1000/mV 16 0 0 3 0 I\na.dat 16+4 1000/mV 16 0 0 7 0 I\n"
        "b.dat 212 1000/mV 12 0 0 11 0 V1\n",
        a=b"head" + np.array([[1, 3], [2, 4]], "<i2").tobytes(),
        b=_pack212([5, 6]),
    )
    recording = read(path)
    assert recording.samples.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert recording.leads == ("I", "I#2", "V1")
    assert np.array_equal(read(tmp_path / "r.dat").samples, recording.samples)


def test_oversampled_frames(tmp_path: Path) -> None:
    path = _record(
        tmp_path, "r 2 100 2\na.dat 16x2\na.dat 16x2\n", a=np.array([1, 2, 10, 20, 3, 4, 30, 40], "<i2").tobytes()
    )
    recording = read(path)
    assert recording.fs == 200
    assert recording.samples.tolist() == [[1, 2, 3, 4], [10, 20, 30, 40]]


def test_signals_that_are_not_volts_are_left_out(tmp_path: Path) -> None:
    content = np.array([[1, 100], [2, 100]], "<i2").tobytes()
    path = _record(tmp_path, "r 2 100 2\na.dat 16 1000/mV\na.dat 16 10/mmHg\n", a=content)
    assert read(path).samples.tolist() == [[1, 2]]
    path.write_text("r 2 100 2\na.dat 16 1000/mmHg\na.dat 16 10/mmHg\n")
    with pytest.raises(FormatError, match="units: no signal is in volts"):
        read(path)


def test_skew_is_undone_and_still_in_the_checksum(tmp_path: Path) -> None:
    content = np.array([[1, 9], [2, 10], [3, 11], [4, 12]], "<i2").tobytes()
    path = _record(tmp_path, "r 2 500 4\na.dat 16:1 1000 16 0 1 10 0 I\na.dat 16 1000 16 0 9 42 0 II\n", a=content)
    assert read(path).samples.tolist() == [[2, 3, 4, int(MISSING)], [9, 10, 11, 12]]
    path.write_text(path.read_text().replace("500 4", "500 3"))
    assert read(path).samples.tolist() == [[2, 3, 4], [9, 10, 11]]


def test_signals_at_another_rate_are_left_out_by_name(tmp_path: Path) -> None:
    content = np.array([1, 2, 10, 20, 7, 3, 4, 30, 40, 8], "<i2").tobytes()
    path = _record(
        tmp_path,
        "r 3 100 2\na.dat 16x2 200 16 0 1 0 0 I\na.dat 16x2 200 16 0 1 0 0 II\na.dat 16 1 16 0 1 0 0 P\n",
        a=content,
    )
    held = load(path)
    assert held.recording.samples.tolist() == [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert (held.recording.fs, held.left_out) == (200.0, ("P",))


@pytest.mark.parametrize(
    ("comments", "age", "sex"),
    [
        ("# 69 M 1085 1629 x1\n# Aldomet, Inderal\n", 69, "male"),
        ("#Age: 30  Sex: F\n", 30, "female"),
        ("#<age>: 51\n#<sex>: F\n#<diagnoses>:\n", 51, "female"),
        ("# Age: NaN\n# Sex: Male\n", None, "male"),
        ("# age: 300\n# sex: unknown\n", None, "unknown"),
        ("# Jane Doe, 44 years, a patient of sex: and age\n", None, "unknown"),
        ("", None, "unknown"),
    ],
)
def test_age_and_sex_of_the_comments_and_nothing_else(tmp_path: Path, comments: str, age: int | None, sex: str) -> None:
    path = _record(tmp_path, "r 1\na.dat 16\n" + comments, a=b"\1\0")
    held = load(path)
    assert (held.subject.age, held.subject.sex) == (age, sex)
    assert "Jane" not in repr(held)


GOOD = "r 1 500 2\na.dat 16 1000/mV 16 0 1 3 0 II\n"


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("", "line 1: the header is empty"),
        ("r\n", "line 1, number of signals"),
        ("r x\n", "line 1, number of signals"),
        ("r 0\n", "line 1, number of signals: 0 is not between"),
        ("r/2 1 500 2\n", "line 1: 2 segments are announced, 0 described"),
        ("r/x 1 500 2\n", "line 1, record name: 'r' has no number of segments"),
        ("r/1 1 500 2\ns\n", "line 2, segment"),
        ("r 300 500 2\n", "line 1, number of signals: 300 is not between"),
        ("r 256 500 999999999\n", "line 1, number of samples: 999999999 are more than is read"),
        ("r 1 fast 2\n", "line 1, sampling frequency"),
        ("r 1 0 2\n", "line 1, sampling frequency"),
        ("r 1 500 many\n", "line 1, number of samples"),
        ("r 2 500 2\na.dat 16\n", "line 2: 2 signals are announced, 1 described"),
        (GOOD.replace(" 16 1000", " 516 1000"), "line 2, format: 516 is not read"),
        (GOOD.replace(" 16 1000", " 0 1000"), "line 2, format: 0 is not read"),
        (GOOD.replace("a.dat 16 1000", "~ 0 1000"), "format: a record without segments"),
        (GOOD.replace("1000/mV", "1e-90/mV"), "signal 'II', gain: 1e[+]93 µV per unit is no resolution"),
        (GOOD.replace(" 16 1000", " x 1000"), "line 2, format"),
        (GOOD.replace(" 16 1000", " 16:999999 1000"), "line 2, skew"),
        (GOOD.replace(" 16 1000", " 16x0 1000"), "line 2, samples per frame"),
        (GOOD.replace("1000/mV", "big"), "line 2, gain: 'big'"),
        (GOOD.replace(" 3 0 II", " x 0 II"), "line 2, checksum"),
        (GOOD.replace(" 3 0 II", " 4 0 II"), "signal 'II': checksum 3, not 4"),
        (GOOD.replace("500 2", "500 3"), r"a.dat: byte 4: the file ends; 6 bytes"),
        (GOOD.replace("500 2", "500 1"), r"a.dat: byte 2: 2 bytes too many"),
        (GOOD.replace("16 1000", "16+9 1000"), r"a.dat: byte 4: the file ends"),
        (GOOD.replace("a.dat", "../a.dat"), "is not in the header's folder"),
        (GOOD.replace("a.dat", "/etc/passwd"), "is not in the header's folder"),
        (GOOD.replace("a.dat", "a\0.dat"), "is not in the header's folder"),
        (GOOD.replace("a.dat", "absent.dat"), "absent.dat: file: No such file"),
    ],
)
def test_refused_with_file_and_field(tmp_path: Path, header: str, match: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.dat").write_bytes(b"\1\0\2\0")
    path = _record(folder, header, a=b"\1\0\2\0")
    with pytest.raises(FormatError, match=match):
        read(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\1\0\2\0")
    (folder / "a.dat").symlink_to(tmp_path / "secret")
    (folder / "r.hea").write_text(GOOD)
    with pytest.raises(FormatError, match="is not in the header's folder"):
        read(folder / "r.hea")


def test_absent_record(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="file: No such file"):
        read(tmp_path / "nothing.hea.zip")
    with pytest.raises(FormatError, match="No such file"):
        read(tmp_path / "nothing.hea")
    with pytest.raises(FormatError, match="no WFDB header"):
        wfdb.read(tmp_path / "nothing")


@given(st.lists(st.integers(-2048, 2047), min_size=1, max_size=41))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_212_against_the_oracle_writer(tmp_path: Path, samples: list[int]) -> None:
    path = _record(tmp_path, f"r 1 360 {len(samples)}\na.dat 212\n", a=_pack212(samples))
    assert read(path).samples.tolist() == [[int(MISSING) if x == -2048 else x for x in samples]]


@given(st.binary(max_size=80) | st.text("r 0123456789\n./+:x()-amvVdt#", max_size=80).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_is_read_or_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "r.hea").write_bytes(header)
    (tmp_path / "a.dat").write_bytes(bytes(12))
    try:
        recording = read(tmp_path / "r.hea")
    except FormatError:
        return
    assert recording.n > 0


@pytest.mark.skipif(not REAL.is_dir(), reason=f"NO REAL RECORDINGS: {REAL} is absent")
@pytest.mark.parametrize(
    ("pattern", "leads", "fs", "n"),
    [
        ("mitdb/*.hea", 2, 360.0, 650000),
        ("ludb/data/*.hea", 12, 500.0, 5000),
        ("ptbxl/records500/*/*.hea", 12, 500.0, 5000),
        ("cinc2017/*.hea", 1, 300.0, None),
        ("qtdb/*.hea", 2, 250.0, None),
    ],
)
def test_real_records(pattern: str, leads: int, fs: float, n: int | None) -> None:
    """Every record opens; their own checksums (not in cinc2017) prove the samples."""
    paths = sorted(REAL.glob(pattern))[:12]
    assert paths
    for path in paths:
        recording = read(path)
        assert (len(recording.leads), recording.fs) == (leads, fs)
        assert n in (None, recording.n)
        assert 50 < float(np.nanmax(recording.microvolts()) - np.nanmin(recording.microvolts())) < 40_000
