"""Foreign formats on real samples: what is read is right, what ecgdatakit is unsure of is refused."""

from __future__ import annotations

import builtins
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.formats import FormatError, foreign, read
from feldsher_signal.record import MISSING

SAMPLES = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats"
pytestmark = [
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"NO SAMPLES OF FOREIGN FORMATS: {SAMPLES} is absent"),
    pytest.mark.skipif(importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED"),
]


@pytest.mark.parametrize(
    ("name", "leads", "fs", "n", "uv_per_bit"),
    [
        ("0000050.ECG", 12, 800.0, 37855, 5.0),
        ("Example.scp", 12, 500.0, 5000, 2.5),
        ("Example_aECG.xml", 12, 500.0, 5000, 2.5),
        ("anonymous_ecg.dcm", 12, 1000.0, 10000, 1.25),
        ("ge_muse_example1.xml", 12, 500.0, 5000, 4.88),
        ("129DYPRG.XML", 12, 500.0, 5264, 5.0),
        ("3191723_ZZDEMOPTONLY_1-04_orig.xml", 12, 500.0, 5300, 5.0),
        ("cardio_sample.edf", 1, 300.0, 12000, 1.0),
        ("minimum_aecg.xml", 1, 500.0, 13, 2.5),
        ("minimum_aecg_nouuid.xml", 1, 500.0, 13, 2.5),
    ],
)
def test_samples(name: str, leads: int, fs: float, n: int, uv_per_bit: float) -> None:
    recording = read(SAMPLES / name)
    assert (len(recording.leads), recording.fs, recording.n) == (leads, fs, n)
    assert recording.uv_per_bit[0] == pytest.approx(uv_per_bit)
    if leads == 12:
        assert sorted(recording.leads) == sorted(STANDARD_LEADS)
        if name == "0000050.ECG":
            recording = recording.only(1)  # its chest leads were not attached
        span = np.nanmax(recording.microvolts(), axis=1) - np.nanmin(recording.microvolts(), axis=1)
        assert (span > 100).all()
        assert (span < 10_000).all()


def test_two_formats_of_one_cardiogram_agree() -> None:
    scp, aecg = read(SAMPLES / "Example.scp"), read(SAMPLES / "Example_aECG.xml")
    assert scp.leads == aecg.leads
    assert np.array_equal(scp.samples, aecg.samples)
    assert np.array_equal(scp.microvolts(), aecg.microvolts())


def test_the_calibration_pulse_of_philips_is_not_a_heartbeat() -> None:
    recording = read(SAMPLES / "129DYPRG.XML")
    tail = recording.microvolts()[:, -200:]
    assert not (tail == 1000).all(axis=0).any()


def test_padding_is_missing() -> None:
    recording = read(SAMPLES / "cardio_sample.edf")
    assert (recording.samples[0, 9000:] == MISSING).all()
    assert (recording.samples[0, :9000] != MISSING).all()


def test_the_contec_scp_whose_length_is_wrong_is_refused() -> None:
    """Its leads have 37,855 samples by section 3 and by the CSV beside it; section 6 cannot hold more than 32,767."""
    with (SAMPLES / "0000050.ECG.csv").open() as lines:
        assert sum(1 for _ in lines) == 37855
    with pytest.raises(FormatError, match=r"SCP-ECG: .*holds 32767 samples, expected 37855"):
        read(SAMPLES / "0000050.ECG.scp")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("0000050.ECG.csv", "line 1: no column has a name and a unit in volts"),
        ("test_edfann.edf", "labels: the file holds no electrocardiogram"),
    ],
)
def test_refused(name: str, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        read(SAMPLES / name)


@pytest.mark.parametrize("name", ["Example.scp", "Example_aECG.xml", "anonymous_ecg.dcm", "ge_muse_example1.xml"])
def test_half_a_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = (SAMPLES / name).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=name):
        read(path)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    raw = bytearray((SAMPLES / "Example.scp").read_bytes())
    raw[len(raw) // 2] ^= 0x10
    path = tmp_path / "broken.scp"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=r"broken\.scp: SCP-ECG"):
        read(path)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "Example_aECG.xml", tmp_path / "some.file")
    assert read(tmp_path / "some.file").n == 5000


def test_contradicting_limb_leads_are_refused(tmp_path: Path) -> None:
    text = (SAMPLES / "Example_aECG.xml").read_text()
    path = tmp_path / "swapped.xml"
    path.write_text(text.replace("MDC_ECG_LEAD_III", "MDC_ECG_LEAD_X").replace("MDC_ECG_LEAD_V2", "MDC_ECG_LEAD_III"))
    with pytest.raises(FormatError, match=r"leads I, II, III: I \+ III is not II"):
        read(path)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ecgdatakit":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(FormatError, match=r"pip install feldsher\[formats\]"):
        foreign.read(SAMPLES / "Example.scp")
