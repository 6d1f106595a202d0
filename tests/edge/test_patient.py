from pathlib import Path

import numpy as np
import pytest
from feldsher_edge.simulate.patient import FilePatient, synthetic
from feldsher_signal import formats, frame
from feldsher_signal.synth import PRESETS

SHARED = Path(__file__).parents[3] / "shared" / "ecg"
UV = 0.0477


def wfdb(folder: Path, leads: tuple[str, ...], fs: float = 500.0, n: int = 1000) -> tuple[Path, np.ndarray]:
    """A record in WFDB's format 16, 1 µV per unit, with other values in every lead."""
    samples = (np.arange(n, dtype="<i2")[:, None] % 700 - 300 + np.arange(len(leads), dtype="<i2") * 10).astype("<i2")
    (folder / "p.dat").write_bytes(samples.tobytes())
    lines = [f"p {len(leads)} {fs:g} {n}"]
    for column, lead in enumerate(leads):
        checksum = int(samples[:, column].astype(np.int64).sum() + 32768) % 65536 - 32768
        lines.append(f"p.dat 16 1000(0)/mV 16 0 {samples[0, column]} {checksum} 0 {lead}")
    (folder / "p.hea").write_text("\n".join(lines) + "\n")
    return folder / "p.hea", samples.T


def test_a_synthetic_patient_goes_on_living():
    patient = synthetic("normal", 1)
    first, second = (patient.units(5000, 500.0, UV) for _ in range(2))
    assert first.shape == (8, 5000)
    assert 500 < np.abs(first).max() * UV < 5000
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(synthetic("normal", 1).units(5000, 500.0, UV), first)


def test_an_unknown_patient_is_told_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'x' is none of .*anterior_stemi"):
        synthetic("x", 1)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_fits_the_amplifier(name: str):
    units = synthetic(name, 1).units(500, 500.0, UV)
    assert np.abs(units).max() <= frame.FULL_SCALE


def test_a_file_is_played_as_it_is(tmp_path: Path):
    path, samples = wfdb(tmp_path, ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"))
    patient = FilePatient(path)
    units = patient.units(1000, 500.0, 1.0)
    np.testing.assert_array_equal(units, samples[[0, 1, 6, 7, 8, 9, 10, 11]])
    assert (patient.off, patient.resampled) == (0, False)
    np.testing.assert_array_equal(patient.units(2500, 500.0, 1.0)[:, 1000:2000], units)
    np.testing.assert_array_equal(patient.units(300, 500.0, 1.0), units[:, :300])


def test_another_rate_is_resampled_and_that_is_said(tmp_path: Path):
    path, samples = wfdb(tmp_path, ("I", "II"), fs=250.0)
    patient = FilePatient(path)
    units = patient.units(1990, 500.0, 1.0)
    assert patient.resampled
    np.testing.assert_array_equal(units[0, ::2], samples[0, :995])


def test_what_a_file_lacks_is_an_electrode_that_is_off(tmp_path: Path):
    patient = FilePatient(wfdb(tmp_path, ("II", "V2"))[0])
    off = frame.leads_off(patient.off)
    assert "II" not in off
    assert {"I", "III", "V1", "V3"} <= set(off)


def test_a_file_without_our_leads_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="none of the leads I, II, V1"):
        FilePatient(wfdb(tmp_path, ("MCL1",))[0])


def test_a_real_twelve_lead_record():
    found = sorted(SHARED.glob("ptbxl/**/*_hr.hea"))[:1] or sorted(SHARED.glob("ludb/**/*.hea"))[:1]
    if not found:
        pytest.skip(f"real recordings are absent: {SHARED}")
    patient = FilePatient(found[0])
    recording = formats.read(found[0])
    units = patient.units(recording.n, recording.fs, UV)
    names = [name.upper() for name in recording.leads]
    np.testing.assert_allclose(units[1] * UV, np.nan_to_num(recording.microvolts()[names.index("II")]), atol=UV)
    assert patient.off == 0
