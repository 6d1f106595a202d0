"""Tables of text: what is read as what, what is refused where, and that a written table is read sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal.formats import Content, Filters, FormatError, load, table
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "leads", "fs"),
    [
        ("# fs: 250\nI (mV),II (mV)\n0.5,-1.25\n1,2\n", ("I", "II"), 250.0),
        ("# sampling_rate = 250 Hz\n# Unit: mV\nsample;lead i;ECG_II\n0;0.5;-1.25\n1;1;2\n", ("I", "II"), 250.0),
        ("time\tI_mV\tII_mV\r\n0.000\t0.5\t-1.25\r\n0.004\t1\t2\r\n", ("I", "II"), 250.0),
        ("time_ms,I [uV],II [uV],HR\n0,500,-1250,60\n4,1000,2000,61\n", ("I", "II"), 250.0),
        ("\ufeff# fs: 250\n# patient: Jane Doe\nI (V),II (V)\n5e-4,-1.25e-3\n1e-3,2e-3\n", ("I", "II"), 250.0),
    ],
)
def test_heads(tmp_path: Path, text: str, leads: tuple[str, ...], fs: float) -> None:
    held = load(_table(tmp_path, text))
    assert (held.recording.leads, held.recording.fs, held.format) == (leads, fs, "CSV")
    assert held.recording.microvolts().tolist() == [[500.0, 1000.0], [-1250.0, 2000.0]]
    assert "Jane" not in repr(held)


def test_missing_cells_age_sex_and_filters(tmp_path: Path) -> None:
    text = (
        "# fs: 500\n# age: 63\n# sex: f\n# highpass_hz: 0.05\n# notch_hz: 50\n# unit: uV\nI,V1,V2\n1,,3\n,5,nan\n7,8,\n"
    )
    held = load(_table(tmp_path, text))
    gone = int(MISSING)
    assert held.recording.samples.tolist() == [[1, gone, 7], [gone, 5, 8], [3, gone, gone]]
    assert held.subject == Subject(age=63, sex="female")
    assert held.filters == Filters(0.05, None, 50.0)


def test_a_rate_from_rounded_times(tmp_path: Path) -> None:
    rows = "".join(f"{k / 360:.3f},{k}\n" for k in range(700))
    assert load(_table(tmp_path, "time,II (uV)\n" + rows)).recording.fs == 360.0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1,2\n3,4\n", "line 1: no column has a name and a unit in volts"),
        ("# fs: 500\nI,II\n3,4\n", "line 2: no column has a name and a unit"),
        ("# fs: 500\nI (mmHg)\n3\n", "line 2: no column has a name and a unit"),
        ("I (mV)\n3\n4\n", "sampling rate: is not stated"),
        ("# fs: 0\nI (mV)\n3\n", "sampling rate: 0 is not a sampling rate"),
        ("# fs: -5\nI (mV)\n3\n", "sampling rate: -5 is not"),
        ("# fs: nan\nI (mV)\n3\n", "sampling rate: nan is not"),
        ("# fs: fast\nI (mV)\n3\n", "sampling rate: is not a number"),
        ("# fs: 5\nI (mV),II (mV)\n3,4\n3\n", "line 4: is not a row of numbers"),
        ("# fs: 5\nI (mV)\n3\nIvanova\n", "line 4: is not a row of numbers"),
        ("# fs: 5\nI (mV)\n3\n-inf\n", "line 4: a number is infinite"),
        ("# fs: 5\nI (mV)\n", "after line 2: there are no samples"),
        ("# fs: 5\nI (mV),II (mV)\n3\n4\n", "line 3: 1 numbers for 2 names"),
        ("# fs: 5\n# uv_per_bit: 1 2\nI (mV)\n3\n", "uv per bit: 1 numbers are needed"),
        ("# fs: 5\n# uv_per_bit: 0\nI (mV)\n3\n", "uv_per_bit: 0 µV per unit"),
        ("# fs: 5\nI (mV)\n1e300\n", "samples: do not fit 32 bits"),
        ("time,I (mV)\n0,1\n1,2\n9,3\n", "time: the samples are not equally far apart"),
        ("time,I (mV)\n0,1\n0,2\n", "time: 0 is not a sampling rate"),
        ("# only a comment\n", "line 2: there is no row of column names"),
        ("# fs: 5\n" + ",".join(["I (mV)"] * 300) + "\n", "line 2: 300 leads are not between"),
    ],
)
def test_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(FormatError, match=match) as caught:
        load(_table(tmp_path, text))
    assert "Ivanova" not in str(caught.value)


LEADS = st.lists(st.sampled_from(["I", "II", "V1", "V5", "MLII", "ECG"]), min_size=1, max_size=3, unique=True)


@given(
    leads=LEADS,
    seed=st.integers(0, 2**32),
    n=st.integers(1, 20),
    fs=st.sampled_from([100.0, 250.0, 360.0, 499.907, 1000.0]),
    scale=st.sampled_from([0.1, 1.0, 2.44, 4.88, 5.0 / 3.0, 1000.0 / 1716.0]),
    baseline=st.sampled_from([0, 1024, -7]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_written_table_is_read_exactly(
    tmp_path: Path, leads: list[str], seed: int, n: int, fs: float, scale: float, baseline: int
) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.integers(-(2**20), 2**20, (len(leads), n)).astype(np.int32)
    samples[rng.random(samples.shape) < 0.1] = MISSING
    held = Content(
        Recording(tuple(leads), fs, samples, (scale,) * len(leads), (baseline,) * len(leads)),
        Subject(age=5, sex="male"),
        Filters(0.05, 150.0, None),
    )
    (tmp_path / "t.csv").write_bytes(table.dumps(held))
    found = load(tmp_path / "t.csv")
    assert found.recording.leads == held.recording.leads
    assert (found.recording.fs, found.recording.uv_per_bit) == (fs, held.recording.uv_per_bit)
    assert found.recording.baseline == held.recording.baseline
    assert np.array_equal(found.recording.samples, samples)
    assert (found.subject, found.filters) == (held.subject, held.filters)
