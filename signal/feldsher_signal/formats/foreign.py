"""Cardiographs' and hospitals' formats, through ecgdatakit: SCP-ECG, HL7 aECG, DICOM, EDF, GE MUSE and Philips XML.

Only waveform, lead names, sampling rate and scale come through this door: names, identifiers, dates, diagnoses and
comments of a file never leave this module. What ecgdatakit is unsure of is refused rather than guessed: a wrong
checksum, a lead without a unit, leads of different length, limb leads that contradict Einthoven's law. Formats never
tested against a sample (tests/signal/test_foreign.py) are refused by name.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import lead
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

if TYPE_CHECKING:
    from ecgdatakit import ECGRecord, Lead

_MAX_BYTES = 256 << 20
_PARSERS = {
    "SCPECGParser": "SCP-ECG",
    "HL7aECGParser": "HL7 aECG",
    "DICOMWaveformParser": "DICOM",
    "EDFParser": "EDF",
    "GEMuseXMLParser": "GE MUSE XML",
    "SierraXMLParser": "Philips Sierra XML",
}
_MICROVOLTS = {"uv": 1.0, "µv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
# The lowest code of a 16-bit file is what cardiographs write where there is no signal (EDF of AliveCor: the padding).
_INVALID = -32768.0
_CALIBRATION_UV = 1000.0
# Limb leads computed by the device differ by rounding; wrongly decoded ones by far more.
_EINTHOVEN_UV = 60.0


def read(path: str | Path) -> Recording:
    """Return the recording of a foreign file, told by its content; FormatError names the field or what is missing."""
    path = Path(path)
    record = _parse(path)
    if not record.leads:
        raise FormatError(path, "leads", "the file holds no electrocardiogram")
    if len({(each.sampling_rate, len(each.samples)) for each in record.leads}) > 1:
        raise FormatError(path, "leads", "leads of different length or sampling rate are not read")
    fs = float(record.leads[0].sampling_rate)
    if not fs > 0:
        raise FormatError(path, "sampling rate", f"{fs} is not one")
    scale = tuple(_scale(path, each) for each in record.leads)
    samples = np.stack([_whole(path, each) for each in record.leads])
    samples = samples[:, : _without_calibration(samples, scale)]
    if not samples.size:
        raise FormatError(path, "samples", "the file holds none")
    baseline = tuple(round(-each.offset / each.resolution) for each in record.leads)
    recording = lead.twelve(Recording(lead.names(each.label for each in record.leads), fs, samples, scale, baseline))
    _einthoven(path, recording)
    return recording


def _parse(path: Path) -> ECGRecord:
    try:
        from ecgdatakit import ChecksumWarning, ECGDataKitError, FileParser  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise FormatError(path, "format", "is not WFDB or .fecg; others need `pip install feldsher[formats]`") from None
    name = _detect(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", ChecksumWarning)
            return FileParser.parse(path, auto_scale=False)
    except (ECGDataKitError, ChecksumWarning, ImportError, OSError) as error:
        # What a decoder stumbled over may be a name: of foreign causes only the kind is told.
        what = str(error) if error.__cause__ is None else f"cannot be decoded ({type(error.__cause__).__name__})"
        raise FormatError(path, name, what) from None


def _detect(path: Path) -> str:
    """Return the name of the file's format; FormatError where it is none of ours."""
    from ecgdatakit import FileParser  # noqa: PLC0415 (an optional extra)

    try:
        size = path.stat().st_size
        detected = FileParser.detect_format(path)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        found = cast("dict[str, object] | None", detected)
    except OSError as error:
        raise FormatError(path, "file", error.strerror or str(error)) from error
    if size > _MAX_BYTES:
        raise FormatError(path, f"byte {_MAX_BYTES}", "no cardiogram is this long")
    if found is None:
        raise FormatError(path, "byte 0", "no format known here")
    name = _PARSERS.get(str(found["parser"]))
    if name is None:
        raise FormatError(path, "format", f"{found['name']} is not read: it was never tested on a sample")
    return name


def _scale(path: Path, each: Lead) -> float:
    """Return the microvolts of one unit; FormatError where the file does not say."""
    unit = _MICROVOLTS.get(each.resolution_unit.strip().lower())
    if unit is None or not np.isfinite(each.resolution) or each.resolution == 0:
        raise FormatError(path, f"lead {each.label!r}", f"has no scale in volts ({each.resolution_unit!r})")
    return each.resolution * unit


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
