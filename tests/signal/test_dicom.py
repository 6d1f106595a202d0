"""DICOM as written: the attributes of PS3.3 A.34.3, read back by pydicom alone and by ecgdatakit."""

from __future__ import annotations

import importlib.util
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS, Subject
from feldsher_signal.formats import Content, Filters, dicom, load
from feldsher_signal.record import MISSING, Recording
from hypothesis import HealthCheck, given, settings
from recordings import SCALES, contents

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pydicom") is None, reason="NO feldsher[formats] INSTALLED")
TWELVE = Content(
    Recording(STANDARD_LEADS, 500.0, np.arange(12 * 40, dtype=np.int32).reshape(12, 40), (2.5,) * 12),
    Subject(age=7, sex="male"),
    Filters(0.05, 150.0, 50.0),
)


def test_attributes() -> None:
    from pydicom import dcmread  # noqa: PLC0415  # pyright: ignore[reportUnknownVariableType]

    raw = dicom.dumps(TWELVE, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    file = dcmread(io.BytesIO(raw))
    assert file.SOPClassUID == file.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.9.1.1"
    assert file.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert file.SOPInstanceUID == file.file_meta.MediaStorageSOPInstanceUID
    assert all(uid.is_valid for uid in (file.SOPInstanceUID, file.StudyInstanceUID, file.SeriesInstanceUID))
    assert (file.Modality, file.PatientAge, file.PatientSex) == ("ECG", "007Y", "M")
    assert str(file.PatientName) == file.PatientID == file.PatientBirthDate == ""
    assert (file.AcquisitionDateTime, file.ContentDate, file.ContentTime) == ("20240506070809", "20240506", "070809")
    assert len(file.AcquisitionContextSequence) == 0
    (group,) = file.WaveformSequence
    assert (group.NumberOfWaveformChannels, group.NumberOfWaveformSamples, group.SamplingFrequency) == (12, 40, 500)
    assert (group.WaveformBitsAllocated, group.WaveformSampleInterpretation, group.WaveformOriginality) == (
        16,
        "SS",
        "ORIGINAL",
    )
    codes = [channel.ChannelSourceSequence[0].CodeValue for channel in group.ChannelDefinitionSequence]
    assert codes == ["2:1", "2:2", "2:61", "2:62", "2:63", "2:64", "2:3", "2:4", "2:5", "2:6", "2:7", "2:8"]
    for channel in group.ChannelDefinitionSequence:
        assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
        assert (channel.FilterLowFrequency, channel.FilterHighFrequency, channel.NotchFilterFrequency) == (
            0.05,
            150,
            50,
        )
        assert channel.WaveformBitsStored == 16
    assert np.array_equal(file.waveform_array(0).T, TWELVE.recording.samples * 2.5)


def test_the_same_recording_has_the_same_identifiers() -> None:
    assert dicom.dumps(TWELVE) == dicom.dumps(TWELVE)


@pytest.mark.parametrize(
    ("leads", "fs", "n", "wide", "expected"),
    [
        (("I", "V1"), 500.0, 16_384, False, dicom.TWELVE_LEAD),
        (("I", "V1"), 500.0, 16_385, False, dicom.GENERAL),
        (("MLII",), 360.0, 10, False, dicom.GENERAL),
        (("I",), 128.0, 10, False, dicom.GENERAL_32),
        (("I",), 500.0, 10, True, dicom.GENERAL_32),
    ],
)
def test_class(leads: tuple[str, ...], fs: float, n: int, wide: bool, expected: str) -> None:
    recording = Recording(leads, fs, np.zeros((len(leads), n), np.int32), (1.0,) * len(leads))
    assert dicom.sop_class(recording, wide) == expected


def test_too_many_leads() -> None:
    many = Recording(tuple(f"x{k}" for k in range(25)), 500.0, np.zeros((25, 3), np.int32), (1.0,) * 25)
    with pytest.raises(ValueError, match="leads: 25 are more than the 24"):
        dicom.dumps(Content(many))


@given(contents(scales=(*SCALES, 1000 / 1716, 5 / 3), spread=2**30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_what_is_written_is_read_exactly(tmp_path: Path, held: Content) -> None:
    path = tmp_path / "x"
    path.write_bytes(dicom.dumps(held))
    found = load(path)
    assert (found.recording.leads, found.recording.fs) == (held.recording.leads, held.recording.fs)
    base = np.array(held.recording.baseline)[:, None]
    gone = held.recording.samples == MISSING
    assert np.array_equal(found.recording.samples, np.where(gone, MISSING, held.recording.samples - base))
    assert found.recording.uv_per_bit == pytest.approx(held.recording.uv_per_bit, rel=1e-13)
    assert (found.subject, found.filters) == (held.subject, held.filters)


def test_other_leads_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(dicom.dumps(Content(Recording(("MLII", "ES"), 257.5, np.zeros((2, 3), np.int32), (1.0, 1.0)))))
    found = load(path).recording
    assert (found.leads, found.fs) == (("MLII", "ES"), 257.5)
