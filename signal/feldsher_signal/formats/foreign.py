"""Cardiographs' and hospitals' formats, through ecgdatakit: SCP-ECG, HL7 aECG, DICOM, GE MUSE and Philips XML.

Only waveform, lead names, sampling rate, scale, filters, the person's age, sex and pacemaker, and the label (time of
recording, device, order numbers of ours) come through this door: names, other identifiers and dates, diagnoses and
comments of a file never leave this module. What ecgdatakit is unsure of is
refused rather than guessed: a wrong checksum, a lead without a unit, leads of different length, limb leads that
contradict Einthoven's law. Before ecgdatakit sees a file, what it claims is checked (scp_guard.py, xml_guard.py …).
Formats never tested against a sample (tests/signal/test_foreign.py) are refused by name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import content, dicom_guard, lead, scp_guard, source, xml_guard
from feldsher_signal.formats.content import Content, Filters, Label
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

if TYPE_CHECKING:
    from ecgdatakit import ECGRecord, Lead

_PARSERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "SCPECGParser": ("SCP-ECG", scp_guard.checked),
    "HL7aECGParser": ("HL7 aECG", xml_guard.checked),
    "DICOMWaveformParser": ("DICOM", dicom_guard.checked),
    "GEMuseXMLParser": ("GE MUSE XML", xml_guard.checked),
    "SierraXMLParser": ("Philips Sierra XML", xml_guard.checked),
}
_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
# The lowest code of 16 bits is what cardiographs write where there is no signal.
_INVALID = -32768.0
_CALIBRATION_UV = 1000.0
# Where ecgdatakit keeps the numbers of orders: single fields (DICOM, SCP-ECG tag 31), tables (MUSE, Philips).
_NUMBERS = ("accession_number", "sequence_number")
_ORDERS = ("order", "order_info", "user_defines")
# Limb leads computed by the device differ by rounding; wrongly decoded ones by far more.
_EINTHOVEN_UV = 60.0


def read(path: str | Path) -> Recording:
    """Return the recording alone, as `load` does."""
    return load(path).recording


def load(path: str | Path) -> Content:
    """Return what a foreign file says, told by its content; FormatError names the field or what is missing."""
    path = Path(path)
    record, name = _parse(path)
    if not record.leads:
        raise FormatError(path, "leads", "the file holds no electrocardiogram")
    if len({(each.sampling_rate, len(each.samples)) for each in record.leads}) > 1:
        raise FormatError(path, "leads", "leads of different length or sampling rate are not read")
    if any(each.annotations.get("sample_skew_ms") for each in record.leads):
        raise FormatError(path, "leads", "skewed leads are not read")
    fs = source.checked_fs(path, "sampling rate", _rate(record))
    source.checked_size(path, "leads", len(record.leads), len(record.leads[0].samples))
    scale = tuple(_scale(path, each) for each in record.leads)
    samples = np.stack([_whole(path, each) for each in record.leads])
    samples = samples[:, : _without_calibration(samples, scale)]
    if not samples.size:
        raise FormatError(path, "samples", "the file holds none")
    baseline = tuple(_zero(path, each) for each in record.leads)
    recording = lead.twelve(Recording(lead.names(each.label for each in record.leads), fs, samples, scale, baseline))
    _einthoven(path, recording)
    person, said = record.patient, record.recording.acquisition.filters
    filters = Filters(content.hertz(said.highpass), content.hertz(said.lowpass), content.hertz(said.notch))
    subject = content.subject(person.age, person.sex, person.has_pacemaker)
    return Content(recording, subject, filters, name, label=_label(record))


def _label(record: ECGRecord) -> Label:
    """Return time, device and order numbers; the patient's number only where it is an order number of ours."""
    said = cast("dict[str, Any]", record.raw_metadata)  # pyright: ignore[reportUnknownMemberType]
    device, numbers = record.recording.device, [record.patient.patient_id]
    numbers += [said.get(key) for key in _NUMBERS]
    for table in _ORDERS:
        fields = said.get(table)
        numbers += list(cast("dict[str, object]", fields).values()) if isinstance(fields, dict) else []
    return Label(
        record.recording.date,
        content.named(device.manufacturer),
        content.named(device.model or device.name),
        content.named(device.serial_number),
        content.orders(numbers, str(said.get("study_instance_uid", ""))),
    )


def _parse(path: Path) -> tuple[ECGRecord, str]:
    try:
        from ecgdatakit import ChecksumWarning, ECGDataKitError, FileParser  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise FormatError(path, "format", "is not WFDB or .fecg; others need `pip install feldsher[formats]`") from None
    name, guard = _detect(path)
    guard(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", ChecksumWarning)
            return FileParser.parse(path, auto_scale=False), name
    except (ECGDataKitError, ChecksumWarning, ImportError, OSError, ArithmeticError, MemoryError) as error:
        # What a decoder stumbled over may be a name: of foreign causes only the kind is told.
        what = str(error).removeprefix(name).lstrip(": ")
        what = what if error.__cause__ is None else f"cannot be decoded ({type(error.__cause__).__name__})"
        raise FormatError(path, name, what) from None


def _detect(path: Path) -> tuple[str, Callable[[Path], object]]:
    """Return the name of the file's format and what checks it first; FormatError where it is none of ours."""
    from ecgdatakit import FileParser  # noqa: PLC0415 (an optional extra)

    if not source.start(path, 1)[0]:
        raise FormatError(path, "byte 0", "the file is empty")
    try:
        detected = FileParser.detect_format(path)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        found = cast("dict[str, object] | None", detected)
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(path, "byte 0", f"no format can be told ({type(error).__name__})") from None
    if found is None:
        raise FormatError(path, "byte 0", "no format known here")
    known = _PARSERS.get(str(found["parser"]))
    if known is None:
        raise FormatError(path, "format", f"{found['name']} is not read: it was never tested on a sample")
    return known


def _rate(record: ECGRecord) -> float:
    """Return the samples per second; of DICOM and aECG as written, ecgdatakit rounds it."""
    said = cast("dict[str, Any]", record.raw_metadata)  # pyright: ignore[reportUnknownMemberType]
    rounded = float(record.leads[0].sampling_rate)
    exact = [float(group["sampling_frequency"]) for group in said.get("multiplex_groups") or ()]
    # The inverse of an interval in decimals: its noise in the last digits is not meant.
    times = cast("dict[str, float]", said.get("rhythm_time") or {})
    exact.append(round(times.get("sampling_rate_exact", rounded), 6))
    return next((rate for rate in exact if round(rate) == rounded), rounded)


def _scale(path: Path, each: Lead) -> float:
    """Return the microvolts of one unit; FormatError where the file does not say."""
    unit = _MICROVOLTS.get(each.resolution_unit.strip().lower())
    # A scale that is no number comes as a resolution of 1 that the file did not state.
    if unit is None or not np.isfinite(each.resolution) or each.resolution == 0 or each.adc_resolution == 0:
        raise FormatError(path, f"lead {each.label!r}", f"has no scale in volts ({each.resolution_unit!r})")
    return source.checked_scale(path, f"lead {each.label!r}", each.resolution * unit)


def _zero(path: Path, each: Lead) -> int:
    """Return the unit that means 0 µV."""
    zero = -each.offset / each.resolution
    if not abs(zero) < 1 << 30:
        raise FormatError(path, f"lead {each.label!r}", "its baseline is far from its samples")
    return round(zero)


def _whole(path: Path, each: Lead) -> NDArray[np.int32]:
    """Return a lead's units as they are in the file, MISSING where it has no signal."""
    values = np.asarray(each.samples, dtype=np.float64)
    missing = ~np.isfinite(values) | (values == _INVALID)
    held = np.where(missing, 0.0, values)
    if held.size and (np.abs(held).max() > 2**31 - 2 or not np.array_equal(held, np.rint(held))):
        raise FormatError(path, f"lead {each.label!r}", "the samples are not whole numbers of 32 bits")
    return np.where(missing, MISSING, held).astype(np.int32)


def _without_calibration(samples: NDArray[np.int32], scale: tuple[float, ...]) -> int:
    """Return the length without a calibration pulse at the end: Philips adds 0, 1 mV, 0, the same in all leads."""
    differ = np.flatnonzero((samples != samples[0]).any(axis=0))
    end = int(differ[-1]) + 1 if differ.size else samples.shape[1]
    tail = samples[0, end:] * scale[0]
    return end if len(samples) > 1 and tail.size and np.isclose(tail.max(), _CALIBRATION_UV) else samples.shape[1]


def _einthoven(path: Path, recording: Recording) -> None:
    """Refuse limb leads that do not add up, I + III = II: they were decoded wrongly, here or before."""
    if not {"I", "II", "III"} <= set(recording.leads):
        return
    microvolts = recording.microvolts()
    one, two, three = (microvolts[recording.leads.index(name)] for name in ("I", "II", "III"))
    gap = np.abs(one + three - two)
    gap = gap[~np.isnan(gap)]
    if gap.size and float(np.quantile(gap, 0.95)) > _EINTHOVEN_UV:
        raise FormatError(path, "leads I, II, III", f"I + III is not II (by {float(np.quantile(gap, 0.95)):.0f} µV)")
