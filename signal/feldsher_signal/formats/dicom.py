"""Writer of DICOM electrocardiograms through pydicom (loaded when one is written): PS3.3 A.34 and C.10.

The class follows from what PS3.3 allows in it: 12-Lead ECG (standard leads, 200 to 1000 per second, up to 16,384
samples of 16 bits), else General ECG (up to 24 leads), else General 32-bit ECG. Nothing of a person is written but age
and sex where they are wanted; the unique identifiers are made from the samples, so that the same recording has the same
ones. DICOM demands a time of acquisition: one that is not known is written as 1 January 1900, 00:00.
"""

from __future__ import annotations

import hashlib
import io
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from numpy.typing import NDArray

from feldsher_signal import codec
from feldsher_signal.formats.content import Content, Filters
from feldsher_signal.formats.scp import LEADS
from feldsher_signal.record import MISSING, Recording

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

TWELVE_LEAD = "1.2.840.10008.5.1.4.1.1.9.1.1"
GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.2"
GENERAL_32 = "1.2.840.10008.5.1.4.1.1.9.1.4"
UNKNOWN_TIME = datetime(1900, 1, 1)  # noqa: DTZ001 (DICOM's local time of a place that is not known)
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_PADDING = -32768
_MAX_12_LEAD = 16_384
_SEX = {"male": "M", "female": "F", "unknown": ""}


def dumps(held: Content, when: datetime | None = None) -> bytes:
    """Return the recording as a DICOM Part 10 file; ValueError names what the standard does not allow."""
    from pydicom.dataset import Dataset, FileMetaDataset  # noqa: PLC0415 (an optional extra)
    from pydicom.uid import UID  # noqa: PLC0415

    recording, moment = held.recording, when or UNKNOWN_TIME
    units, gone = _units(recording)
    wide = bool(gone.any() and units[~gone].min(initial=0) <= _PADDING) or bool(np.abs(units).max() > 32767)
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.SpecificCharacterSet = "ISO_IR 192"
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = UID(sop_class(recording, wide))
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = UID(_uid(recording, "instance"))
    file.file_meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE)
    _identify(file, held, moment)
    file.WaveformSequence = [_group(recording, units, gone, held.filters, wide)]
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


def sop_class(recording: Recording, wide: bool = False) -> str:
    """Return the storage class that the standard foresees for such a recording; ValueError where there is none."""
    if len(recording.leads) > 24:
        raise ValueError(f"leads: {len(recording.leads)} are more than the 24 of a DICOM electrocardiogram")
    ordinary = 200 <= recording.fs <= 1000 and not wide
    if ordinary and set(recording.leads) <= set(STANDARD_LEADS) and recording.n <= _MAX_12_LEAD:
        return TWELVE_LEAD
    return GENERAL if ordinary else GENERAL_32


def _units(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the samples from their baseline, 0 where missing, and which are missing."""
    gone = recording.samples == MISSING
    base = np.array(recording.baseline or (0,) * len(recording.leads), np.int64)[:, None]
    units = np.where(gone, 0, recording.samples - base)
    if np.abs(units).max() > 2**31 - 2:
        raise ValueError("samples: do not fit the 32 bits of DICOM")
    return units, gone


def _uid(recording: Recording, part: str) -> str:
    """Return a unique identifier made from the samples (2.25 and a UUID, PS3.5 B.2)."""
    said = f"{recording.leads} {recording.fs!r} {recording.uv_per_bit} {part}".encode()
    value = int.from_bytes(hashlib.sha256(codec.sha256(recording.samples) + said).digest()[:16], "big")
    return f"2.25.{value & ~(0xF << 76 | 0x3 << 62) | 8 << 76 | 2 << 62}"


def _identify(file: Dataset, held: Content, moment: datetime) -> None:
    """Write the modules patient, study, series, equipment and waveform identification, without an identity."""
    recording = held.recording
    file.PatientName = file.PatientID = file.PatientBirthDate = ""
    file.PatientSex = _SEX[held.subject.sex]
    if held.subject.age is not None:
        file.PatientAge = f"{held.subject.age:03d}Y"
    file.PatientIdentityRemoved = "YES"
    file.DeidentificationMethod = "feldsher: samples, age and sex only"
    file.StudyInstanceUID, file.SeriesInstanceUID = _uid(recording, "study"), _uid(recording, "series")
    file.StudyDate = file.StudyTime = file.StudyID = file.AccessionNumber = file.ReferringPhysicianName = ""
    file.Modality, file.SeriesNumber, file.InstanceNumber = "ECG", "1", "1"
    file.Manufacturer, file.ManufacturerModelName = "", "feldsher"
    file.ContentDate, file.ContentTime = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    file.AcquisitionDateTime = f"{moment:%Y%m%d%H%M%S}"
    file.AcquisitionContextSequence = []


def _group(
    recording: Recording, units: NDArray[np.int64], gone: NDArray[np.bool_], filters: Filters, wide: bool
) -> Dataset:
    """Return the multiplex group of all leads."""
    from pydicom.dataset import Dataset  # noqa: PLC0415 (an optional extra)

    kind, padding = ("<i4", int(MISSING)) if wide else ("<i2", _PADDING)
    group = Dataset()
    group.MultiplexGroupTimeOffset = "0"
    group.TriggerTimeOffset = "0"
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(recording.leads)
    group.NumberOfWaveformSamples = recording.n
    group.SamplingFrequency = _decimal(recording.fs)
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = [
        _channel(name, scale, filters, 32 if wide else 16)
        for name, scale in zip(recording.leads, recording.uv_per_bit, strict=True)
    ]
    group.WaveformBitsAllocated = 32 if wide else 16
    group.WaveformSampleInterpretation = "SL" if wide else "SS"
    if gone.any():
        group.add_new("WaveformPaddingValue", "OW", np.array([padding], kind).tobytes())
    group.add_new("WaveformData", "OW", np.where(gone, padding, units).T.astype(kind).tobytes())
    return group


def _channel(name: str, scale: float, filters: Filters, bits: int) -> Dataset:
    """Return the definition of one lead: where it is taken, microvolts per unit, filters."""
    from pydicom.dataset import Dataset  # noqa: PLC0415 (an optional extra)

    channel = Dataset()
    channel.ChannelLabel = name[:16]
    known = name in LEADS
    channel.ChannelSourceSequence = [
        _code(
            f"2:{LEADS[name]}" if known else name[:16],
            "MDC" if known else "99FELDSHER",
            f"Lead {name}" if known else name,
        )
    ]
    channel.ChannelSensitivity = _decimal(scale)
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.ChannelSampleSkew = "0"
    channel.WaveformBitsStored = bits
    if filters.highpass is not None:
        channel.FilterLowFrequency = _decimal(filters.highpass)
    if filters.lowpass is not None:
        channel.FilterHighFrequency = _decimal(filters.lowpass)
    if filters.notch is not None:
        channel.NotchFilterFrequency = _decimal(filters.notch)
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset  # noqa: PLC0415 (an optional extra)

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning[:64]
    return code


def _decimal(value: float) -> str:
    """Return a number in the sixteen characters that a decimal string may have."""
    return next(text for digits in range(17, 0, -1) if len(text := f"{value:.{digits}g}") <= 16)
