"""EDF, EDF+ and BDF: headers byte by byte, gaps, halves, marks; what is written is read by ecgdatakit as well."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal.formats import Content, Filters, FormatError, edf, load
from feldsher_signal.formats.marks import Mark
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(importlib.util.find_spec("edfio") is None, reason="NO feldsher[formats] INSTALLED")


def _file(
    signals: Sequence[tuple[str, str, tuple[float, float, int, int], int]],
    records: list[bytes],
    duration: str = "1",
    reserved: str = "",
    patient: str = "X",
    recording: str = "X",
    version: bytes = b"0       ",
) -> bytes:
    """Return an EDF file put together field by field."""
    count = len(signals)
    head = [(patient, 80), (recording, 80), ("01.01.00", 8), ("00.00.00", 8), (str(256 * (count + 1)), 8)]
    head += [(reserved, 44), (str(len(records)), 8), (duration, 8), (str(count), 4)]
    columns = [
        [(s[0], 16) for s in signals],
        [("", 80) for _ in signals],
        [(s[1], 8) for s in signals],
        *([(str(s[2][k]), 8) for s in signals] for k in range(4)),
        [("HP:0.05Hz LP:150Hz N:50Hz", 80) for _ in signals],
        [(str(s[3]), 8) for s in signals],
        [("", 32) for _ in signals],
    ]
    fields = [*head, *(each for column in columns for each in column)]
    return version + b"".join(text.encode("latin-1").ljust(width) for text, width in fields) + b"".join(records)


SYMMETRIC = (-3276.8, 3276.7, -32768, 32767)


def _i2(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def _load(folder: Path, raw: bytes) -> Content:
    (folder / "x").write_bytes(raw)
    return load(folder / "x")


def test_plain_edf(tmp_path: Path) -> None:
    raw = _file(
        [("ECG II", "uV", SYMMETRIC, 2), ("EEG Cz", "uV", SYMMETRIC, 2), ("SpO2", "%", (0, 100, 0, 100), 1)],
        [_i2(10, -20, 0, 0, 98), _i2(30, 40, 0, 0, 97)],
    )
    held = _load(tmp_path, raw)
    assert held.recording.leads == ("II",)
    assert held.recording.fs == 2.0
    assert held.recording.microvolts()[0].tolist() == pytest.approx([1.0, -2.0, 3.0, 4.0])
    assert held.left_out == ("EEG Cz", "SpO2")
    assert held.filters == Filters(0.05, 150.0, 50.0)
    assert held.format == "EDF"


def test_a_baseline_at_a_half_is_kept_exactly(tmp_path: Path) -> None:
    held = _load(tmp_path, _file([("ECG", "mV", (-5, 5, -32768, 32767), 2)], [_i2(-32767, 32767)]))
    step = 10_000 / 65535
    assert held.recording.microvolts()[0].tolist() == pytest.approx([-5000 + step, 5000.0], rel=1e-6)


def test_bdf(tmp_path: Path) -> None:
    raw = _file(
        [("ECG", "uV", (-8388608, 8388607, -8388608, 8388607), 2)],
        [b"\xff\xff\xff\x00\x00\x01"],
        version=b"\xffBIOSEMI",
    )
    held = _load(tmp_path, raw)
    assert held.recording.samples.tolist() == [[-1, 65536]]
    assert held.format == "BDF"


def test_gaps_of_edf_d_are_missing(tmp_path: Path) -> None:
    signals = [("ECG I", "uV", SYMMETRIC, 2), ("EDF Annotations", "", (-1, 1, -32768, 32767), 8)]
    times = [b"+0\x14\x14\0", b"+1\x14\x14\0", b"+3\x14\x14\0+3.5\x14N\x14\0"]
    records = [_i2(2 * k, 2 * k + 1) + each.ljust(16, b"\0") for k, each in enumerate(times)]
    held = _load(tmp_path, _file(signals, records, reserved="EDF+D"))
    gone = int(MISSING)
    assert held.recording.samples.tolist() == [[0, 1, 2, 3, gone, gone, 4, 5]]
    assert held.marks == (Mark(7, "N"),)
    records[2] = _i2(4, 5) + b"+0.5\x14\x14\0".ljust(16, b"\0")
    with pytest.raises(FormatError, match=r"EDF\+D: records overlap"):
        _load(tmp_path, _file(signals, records, reserved="EDF+D"))
    records[2] = _i2(4, 5) + b"soon\x14\x14\0".ljust(16, b"\0")
    with pytest.raises(FormatError, match=r"byte \d+: the record does not say when it starts"):
        _load(tmp_path, _file(signals, records, reserved="EDF+D"))
    with pytest.raises(FormatError, match="no annotations that say when"):
        _load(tmp_path, _file(signals[:1], [_i2(1, 2)], reserved="EDF+D"))


@pytest.mark.parametrize(
    ("patient", "recording", "subject"),
    [
        ("X F 02-MAY-1951 Haagse_Harry", "Startdate 01-MAY-2001 X X X", Subject(age=49, sex="female")),
        ("MCH-0234567 M X X Age_7", "Startdate X X X X", Subject(age=7, sex="male")),
        ("X X 99-FOO-1951 X", "Startdate 02-MAR-2002 X X X", Subject()),
        ("Haagse Harry M 44", "whatever", Subject()),
    ],
)
def test_age_and_sex_but_never_the_name(tmp_path: Path, patient: str, recording: str, subject: Subject) -> None:
    raw = _file([("ECG", "uV", SYMMETRIC, 1)], [_i2(1)], reserved="EDF+C", patient=patient, recording=recording)
    held = _load(tmp_path, raw)
    assert held.subject == subject
    assert "Harry" not in repr(held)


ONE = _file([("ECG", "uV", SYMMETRIC, 2)], [_i2(1, 2), _i2(3, 4)])


def _with(at: int, text: bytes, width: int = 8) -> bytes:
    return ONE[:at] + text.ljust(width) + ONE[at + width :]


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (ONE[:200], "byte 200: the file ends"),
        (ONE[:300], "byte 300: the file ends; the header alone has 512"),
        (ONE[:-1], "byte 519: 2 records of 4 bytes are announced, 1 are there"),
        (ONE + b"\0\0\0\0", "byte 524: 2 records of 4 bytes are announced, 3 are there"),
        (_with(184, b"9999"), "byte 184: a header of 1 signals has 512 bytes, not 9999"),
        (_with(236, b"99999999"), "byte 520: 99999999 records"),
        (_with(236, b"-5"), "-5 records"),
        (_with(244, b"0"), "byte 244: records of 0 s hold no signal"),
        (_with(244, b"nan"), "byte 244: is not a number"),
        (_with(244, b"1e-30"), "duration of a record: 2e[+]30 is not a sampling rate"),
        (_with(252, b"9999", 4), "byte 252: 9999 signals are not between"),
        (_with(252, b"0", 4), "byte 252: 0 signals"),
        (_with(256 + 96, b"mmHg"), "labels: the file holds no electrocardiogram in volts"),
        (_with(256 + 104, b"inf"), "byte 360: is not a number"),
        (_with(256 + 104, b"3276.7"), "signal 1, range: 0 µV per unit"),
        (_with(256 + 120, b"32767"), "signal 1: its digital minimum and maximum are the same"),
        (_with(256 + 216, b"0"), "byte 472: samples per record"),
        (_with(256 + 216, b"99999999"), "records of 199999998 bytes"),
    ],
)
def test_refused(tmp_path: Path, raw: bytes, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        _load(tmp_path, raw)


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 700),
    fs=st.sampled_from([100.0, 250.0, 360.0, 500.0, 62.5]),
    scale=st.sampled_from([0.5, 1.0, 2.5, 4.88, 5.0 / 3.0, 1000.0 / 1716.0]),
    baseline=st.sampled_from([0, 1024, -30000]),
    spread=st.sampled_from([10, 2000, 30000]),
    step=st.sampled_from([1, 2, 16]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_what_is_written_is_read_by_us_and_by_ecgdatakit(
    tmp_path: Path, seed: int, n: int, fs: float, scale: float, baseline: int, spread: int, step: int
) -> None:
    from ecgdatakit import FileParser  # noqa: PLC0415 - an optional extra

    rng = np.random.default_rng(seed)
    samples = (rng.integers(-spread, spread, (2, n)) * step + baseline).astype(np.int32)
    samples[0, rng.random(n) < 0.1] = MISSING
    samples[1, -1] = baseline
    recording = Recording(("II", "ECG"), fs, samples, (scale, scale), (baseline, baseline))
    held = Content(
        recording,
        Subject(age=70, sex="female"),
        Filters(0.05, 150.0, 50.0),
        "",
        (Mark(0, "N"), Mark(n, "+", text="(AFIB")),
    )
    path = tmp_path / "x.edf"
    path.write_bytes(edf.dumps(held))
    found = load(path)
    assert (found.recording.fs, found.recording.leads, found.recording.n) == (fs, ("II", "ECG"), n)
    assert np.array_equal(found.recording.samples == MISSING, samples == MISSING)
    assert np.allclose(
        found.recording.microvolts(), recording.microvolts(), rtol=2e-6, atol=0.15 * scale * step, equal_nan=True
    )
    assert (found.subject, found.filters, found.marks) == (held.subject, held.filters, held.marks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = FileParser.parse(path, auto_scale=False)
    for row, lead in enumerate(other.leads):
        microvolts = lead.samples[:n] * lead.resolution + lead.offset
        known = samples[row] != MISSING
        assert np.allclose(microvolts[known], recording.microvolts()[row][known], rtol=2e-6, atol=0.15 * scale * step)
        assert (lead.samples[:n][~known] == -32768).all()


def test_what_edf_cannot_hold(tmp_path: Path) -> None:
    wide = Recording(("I",), 500.0, np.array([[0, 1, 70_000]], np.int32), (1.0,))
    with pytest.raises(ValueError, match="lead 'I': samples from 0 to 70000 units do not fit"):
        edf.dumps(Content(wide))
    odd = Recording(("I",), 333.3333, np.zeros((1, 3), np.int32), (1.0,))
    with pytest.raises(ValueError, match=r"fs: 333\.333 per second has no whole number"):
        edf.dumps(Content(odd))
