"""EDF, EDF+ and BDF files, read and written through edfio (loaded when one is there).

Source: Kemp & Olivan 2003 (EDF+), edfplus.info. The header is checked here first, field by field against the file's
length, so that edfio meets nothing but files that are what they say. Names and codes are never kept, of dates the
start alone; of annotations only those that are a WFDB symbol or rhythm, because any other text may be about the person.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from feldsher_ehr_core.ecg import Subject
from numpy.typing import NDArray

from feldsher_signal.formats import content, lead, marks, source
from feldsher_signal.formats.content import Content, Filters, Label
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

if TYPE_CHECKING:
    from edfio import EdfSignal

_BLOCK = 256
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_MICROVOLTS = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "v": 1e6, "nv": 1e-3}
# The lowest code of a 16-bit file is what cardiographs write where there is no signal (AliveCor: the padding).
_INVALID = -(1 << 15)
_NUMBER = re.compile(r"[-+]?(?:\d{1,8}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?", re.ASCII)
_FILTERS = tuple(re.compile(rf"\b{key}[:\s]*(\d*\.?\d+)\s*Hz", re.IGNORECASE) for key in ("HP", "LP", "N(?:otch)?"))
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SEX: dict[str, Literal["M", "F", "X"]] = {"male": "M", "female": "F", "unknown": "X"}
_NO_DATE = datetime.date(1985, 1, 1)
_AGE = re.compile(r"Age_(\d{1,3})", re.ASCII)
_RHYTHM = re.compile(r"\([A-Z0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class _Header:
    """A header that agrees with the length of its file; per signal: label, unit, filters, ranges and the like."""

    width: int
    plus: str
    records: int
    duration: float
    labels: list[str]
    units: list[str]
    filters: list[str]
    ranges: list[tuple[float, float, float, float]]
    per_record: list[int]
    subject: Subject


def is_one(start: bytes) -> bool:
    """Return whether a file that starts like this is EDF or BDF."""
    return start.startswith((b"0       ", b"\xffBIOSEMI"))


def load(path: Path) -> Content:
    """Return the electrocardiogram of a file with age, sex and filters; FormatError names field, signal or byte.

    Signals that are no electrocardiogram (or at another rate than most of its leads) are left out; the gaps of EDF+D
    are missing samples.
    """
    raw = source.whole(path)
    header = _checked(path, raw)
    kept = _kept(path, header)
    starts = _starts(path, raw, header) if header.plus.endswith("D") else []
    try:
        import edfio  # noqa: PLC0415 (an optional extra)
    except ImportError:
        raise FormatError(path, "format", "EDF and BDF need `pip install feldsher[formats]`") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            held = edfio.read_bdf(raw) if header.width == 3 else edfio.read_edf(raw, lazy_load_data=False)
            ordinary = [k for k, label in enumerate(header.labels) if label not in _ANNOTATIONS]
            digital = np.stack([held.signals[ordinary.index(k)].digital for k in kept]).astype(np.int32)
            notes = held.annotations if header.plus else ()
    except (ValueError, ArithmeticError, IndexError, StopIteration) as error:
        raise FormatError(path, "EDF", f"cannot be decoded ({type(error).__name__})") from None
    fs = header.per_record[kept[0]] / header.duration
    samples = _spread(path, header, starts, digital, header.per_record[kept[0]])
    recording = _recording(path, header, kept, samples, source.checked_fs(path, "duration of a record", fs))
    found = tuple(_mark(note.onset, note.text, fs) for note in notes if _is_mark(note.text) and note.onset >= 0)
    left_out = tuple(
        lead.standard(label) for k, label in enumerate(header.labels) if k not in kept and label not in _ANNOTATIONS
    )
    name = "BDF" if header.width == 3 else "EDF"
    said = name + header.plus[3:]
    return Content(recording, header.subject, _filters(header, kept), said, found, left_out, _label(raw, header.plus))


def _checked(path: Path, raw: bytes) -> _Header:
    """Return the header; FormatError names the byte of a field that is wrong, or the byte where the file ends."""
    if len(raw) < _BLOCK:
        raise FormatError(path, f"byte {len(raw)}", f"the file ends; a header has {_BLOCK} bytes")
    if not is_one(raw):
        raise FormatError(path, "byte 0", "is neither EDF nor BDF")
    width = 3 if raw[0] == 0xFF else 2
    size, records, count = (int(_number(path, raw, at, 8 if at < 252 else 4)) for at in (184, 236, 252))
    duration = _number(path, raw, 244, 8)
    if not 1 <= count <= source.MAX_LEADS:
        raise FormatError(path, "byte 252", f"{count} signals are not between 1 and {source.MAX_LEADS}")
    if size != _BLOCK * (count + 1):
        raise FormatError(path, "byte 184", f"a header of {count} signals has {_BLOCK * (count + 1)} bytes, not {size}")
    if len(raw) < size:
        raise FormatError(path, f"byte {len(raw)}", f"the file ends; the header alone has {size} bytes")
    texts = {
        at: [_text(raw, _BLOCK + at * count + width_ * k, width_) for k in range(count)]
        for at, width_ in ((0, 16), (96, 8), (136, 80))
    }
    ranges = [_range_of(path, raw, count, k) for k in range(count)]
    per_record = [int(_number(path, raw, _BLOCK + 216 * count + 8 * k, 8)) for k in range(count)]
    if min(per_record) < 1 or sum(per_record) > source.MAX_SAMPLES:
        raise FormatError(path, f"byte {_BLOCK + 216 * count}", "samples per record are not positive, or too many")
    record = width * sum(per_record)
    held, rest = divmod(len(raw) - size, record)
    if records == -1:
        records = held
    if records < 1 or (held, rest) != (records, 0):
        raise FormatError(
            path, f"byte {len(raw)}", f"{records} records of {record} bytes are announced, {held} are there"
        )
    plus = re.match(rb"[EB]DF\+[CD]?", raw[192:236])
    said = plus[0].decode() if plus else ""
    return _Header(
        width, said, records, duration, texts[0], texts[96], texts[136], ranges, per_record, _subject(raw, said)
    )


def _range_of(path: Path, raw: bytes, count: int, k: int) -> tuple[float, float, float, float]:
    """Return a signal's physical and digital range: minimum, maximum, minimum, maximum."""
    low, high, lowest, highest = (_number(path, raw, _BLOCK + at * count + 8 * k, 8) for at in (104, 112, 120, 128))
    return low, high, lowest, highest


def _text(raw: bytes, at: int, length: int) -> str:
    return raw[at : at + length].decode("latin-1").strip(" \0")


def _number(path: Path, raw: bytes, at: int, length: int) -> float:
    text = _text(raw, at, length)
    if not _NUMBER.fullmatch(text):
        raise FormatError(path, f"byte {at}", "is not a number")
    return float(text)


def _label(raw: bytes, plus: str) -> Label:
    """Return the start time, and order numbers in the words of the patient's and the recording's field.

    EDF+ has an X where the date is unknown, and then 1 January 1985 in the old field, as anonymous EDF has.
    """
    patient, recording = (raw[at : at + 80].decode("latin-1").split() for at in (8, 88))
    try:
        at = datetime.datetime.strptime(raw[168:184].decode("ascii"), "%d.%m.%y%H.%M.%S")  # noqa: DTZ007 (local time)
    except ValueError:
        at = None
    unknown = plus and recording[:2] == ["Startdate", "X"]
    if at is not None and (unknown or at.date() == _NO_DATE):
        at = None
    return Label(
        at,
        model=content.named(recording[4]) if plus and recording[4:] and recording[4] != "X" else "",
        orders=content.orders([*patient[:1], *recording[2:3]] if plus else patient[:1]),
    )


def _subject(raw: bytes, plus: str) -> Subject:
    """Return sex and age of EDF+'s patient field, "code sex birthdate name Age_63", at its startdate."""
    fields, started = _text(raw, 8, 80).split(), _text(raw, 88, 80).split()
    if not plus or len(fields) < 3:
        return Subject()
    said = next((found[1] for each in fields[4:] if (found := _AGE.fullmatch(each))), None)
    born, then = _date(fields[2]), _date(started[1] if len(started) > 1 else "")
    if born is None or then is None:
        return content.subject(said, fields[1])
    age = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    return content.subject(age, fields[1])


def _date(text: str) -> datetime.date | None:
    day, _, rest = text.partition("-")
    month, _, year = rest.partition("-")
    if month.upper() not in _MONTHS:
        return None
    try:
        return datetime.date(int(year), _MONTHS.index(month.upper()) + 1, int(day))
    except ValueError:
        return None


def _kept(path: Path, header: _Header) -> list[int]:
    """Return the signals that are the electrocardiogram, all at one rate."""
    volts = [k for k, unit in enumerate(header.units) if unit.lower() in _MICROVOLTS]
    volts = [k for k in volts if header.labels[k] not in _ANNOTATIONS]
    heart = lead.cardiac(header.labels[k] for k in volts)
    found = [k for k, is_heart in zip(volts, heart, strict=True) if is_heart]
    if not found:
        raise FormatError(path, "labels", "the file holds no electrocardiogram in volts")
    if not header.duration > 0:
        raise FormatError(path, "byte 244", f"records of {header.duration:g} s hold no signal")
    rates = Counter(header.per_record[k] for k in found)
    most = max(rates, key=lambda rate: (rates[rate], rate))
    return [k for k in found if header.per_record[k] == most]


def _recording(path: Path, header: _Header, kept: list[int], samples: NDArray[np.int32], fs: float) -> Recording:
    """Return the kept signals with their scales; the baseline is doubled with the samples where it lies at a half."""
    scales: list[float] = []
    zeros: list[float] = []
    for k in kept:
        low, high, lowest, highest = header.ranges[k]
        if highest == lowest or not all(math.isfinite(each) for each in header.ranges[k]):
            raise FormatError(path, f"signal {k + 1}", "its digital minimum and maximum are the same")
        step = (high - low) / (highest - lowest)
        source.checked_scale(path, f"signal {k + 1}, range", step * _MICROVOLTS[header.units[k].lower()])
        scales.append(step * _MICROVOLTS[header.units[k].lower()])
        zeros.append(lowest - low / step)
    if max(map(abs, zeros)) > 1 << 30:
        raise FormatError(path, "physical range", "is far from zero")
    halves = [abs(2 * zero - round(2 * zero)) < 1e-6 and abs(zero - round(zero)) > 1e-6 for zero in zeros]
    factor = np.where(halves, 2, 1).astype(np.int64)
    wide = np.where(samples == MISSING, MISSING, samples * factor[:, None]).astype(np.int32)
    return Recording(
        lead.names(header.labels[k] for k in kept),
        fs,
        wide,
        tuple(scale / int(by) for scale, by in zip(scales, factor, strict=True)),
        tuple(round(zero * int(by)) for zero, by in zip(zeros, factor, strict=True)),
    )


def _spread(
    path: Path, header: _Header, starts: list[float], digital: NDArray[np.int32], per_record: int
) -> NDArray[np.int32]:
    """Return the samples with MISSING for padding and for the gaps between the records of EDF+D."""
    held = np.where(digital == _INVALID, MISSING, digital) if header.width == 2 else digital
    if starts:
        at = [round((start - starts[0]) / header.duration * per_record) for start in starts]
        if any(later - earlier < per_record for earlier, later in itertools.pairwise(at)):
            raise FormatError(path, "EDF+D", "records overlap in time")
        source.checked_size(path, "EDF+D", len(held), at[-1] + per_record)
        out = np.full((len(held), at[-1] + per_record), MISSING, np.int32)
        for k, first in enumerate(at):
            out[:, first : first + per_record] = held[:, k * per_record : (k + 1) * per_record]
        held = out
    gone = (held[:, -per_record:] == MISSING).all(axis=0)
    # The last record is filled up by who writes EDF; a record that is missing as a whole is left as it is.
    tail = 0 if gone.all() else int(np.argmin(gone[::-1]))
    return np.ascontiguousarray(held[:, : held.shape[1] - tail])


def _starts(path: Path, raw: bytes, header: _Header) -> list[float]:
    """Return when each record of an EDF+D file starts, in seconds: its first annotation."""
    at = next((k for k, label in enumerate(header.labels) if label in _ANNOTATIONS), None)
    if at is None:
        raise FormatError(path, "EDF+D", "has no annotations that say when its records start")
    first = _BLOCK * (len(header.labels) + 1) + header.width * sum(header.per_record[:at])
    record, length = header.width * sum(header.per_record), header.width * header.per_record[at]
    starts: list[float] = []
    for k in range(header.records):
        found = re.match(rb"([-+]\d{1,9}(?:\.\d{1,12})?)\x14", raw[first + k * record : first + k * record + length])
        if found is None:
            raise FormatError(path, f"byte {first + k * record}", "the record does not say when it starts")
        starts.append(float(found[1]))
    return starts


def _filters(header: _Header, kept: list[int]) -> Filters:
    """Return the filters that all kept signals have in common."""
    if len({header.filters[k] for k in kept}) > 1:
        return Filters()
    found = [pattern.search(header.filters[kept[0]]) for pattern in _FILTERS]
    return Filters(*(content.hertz(each[1]) if each else None for each in found))


def _is_mark(text: str) -> bool:
    return (len(text) == 1 and text != " " and text in marks.SYMBOLS) or _RHYTHM.fullmatch(text) is not None


def _mark(onset: float, text: str, fs: float) -> marks.Mark:
    at = round(onset * fs)
    return marks.Mark(at, text) if len(text) == 1 else marks.Mark(at, "+", text=text)


def dumps(held: Content, when: datetime.datetime | None = None) -> bytes:
    """Return the recording as EDF+ with its marks as annotations; ValueError where 16 bits or whole records do not do.

    Missing samples, and what fills up the last record, are the code -32768 (physically the range's lowest value).
    """
    import edfio  # noqa: PLC0415 (an optional extra)

    recording = held.recording
    seconds = next((s for s in range(1, 61) if math.isclose(recording.fs * s, round(recording.fs * s))), None)
    if seconds is None or round(recording.fs * seconds) < 1:
        raise ValueError(f"fs: {recording.fs:g} per second has no whole number of samples in a record of up to 60 s")
    per_record = round(recording.fs * seconds)
    padding = -recording.n % per_record
    filters = " ".join(
        f"{name}:{value:g}Hz"
        for name, value in zip(
            ("HP", "LP", "N"), (held.filters.highpass, held.filters.lowpass, held.filters.notch), strict=True
        )
        if value is not None
    )
    signals = [_signal(edfio.EdfSignal, recording, row, padding, filters) for row in range(len(recording.leads))]
    notes = [
        edfio.EdfAnnotation(m.at / recording.fs, None, m.text if m.symbol == "+" and m.text else m.symbol)
        for m in held.marks
    ]
    sex, age = _SEX[held.subject.sex], held.subject.age
    written = edfio.Edf(
        signals,
        patient=edfio.Patient(sex=sex, additional=() if age is None else (f"Age_{age}",)),
        recording=edfio.Recording(startdate=when.date() if when else None),
        starttime=when.time().replace(microsecond=0) if when else None,
        data_record_duration=seconds,
        annotations=notes,
    )
    return written.to_bytes()


def _signal(make: type[EdfSignal], recording: Recording, row: int, padding: int, filters: str) -> EdfSignal:
    """Return one lead as a signal of 16 bits, its range one that the header's eight characters hold."""
    name, scale = recording.leads[row], recording.uv_per_bit[row]
    values = recording.samples[row].astype(np.int64) - (recording.baseline[row] if recording.baseline else 0)
    gone = recording.samples[row] == MISSING
    step, offset = _fitted(name, values[~gone])
    digital = np.full(values.size + padding, _INVALID, np.int16)
    digital[: values.size] = np.where(gone, _INVALID, (values - offset) // step)
    unit = Decimal(repr(scale))
    low, high = _range(unit * step, unit * offset, digital)
    return make.from_digital(
        digital,
        recording.fs,
        label=(f"ECG {name}" if name in lead.KNOWN else name)[:16].encode("ascii", "replace").decode(),
        physical_dimension="uV",
        physical_range=(float(_eight(unit * (low * step + offset))), float(_eight(unit * (high * step + offset)))),
        digital_range=(low, high),
        prefiltering=filters[:80],
    )


def _fitted(name: str, values: NDArray[np.int64]) -> tuple[int, int]:
    """Return step and offset by which a lead's values are whole numbers between -32767 and 32767."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low >= -32767 and high <= 32767:
        return 1, 0
    shared, least = max(int(np.gcd.reduce(values - values[0])), 1), max(-(-(high - low) // 65534), 1)
    # The smallest step of those that all values share, so that the range is no wider than it must be.
    step = next((shared // by for by in range(max(shared // least, 1), 0, -1) if shared % by == 0), shared)
    offset = int(values[0]) + round(((low + high) / 2 - int(values[0])) / step) * step
    if (low - offset) // step < -32767 or (high - offset) // step > 32767:
        raise ValueError(f"lead {name!r}: samples from {low} to {high} units do not fit the 16 bits of EDF")
    return step, offset


def _range(unit: Decimal, shift: Decimal, digital: NDArray[np.int16]) -> tuple[int, int]:
    """Return a digital range around the samples whose physical values take eight characters, the widest there is."""
    least = max(abs(int(digital.min())), abs(int(digital.max())))
    for most in (32768, 32767, 32000, 30000, 25000, 20000, 16000, 10000, 5000, 4000, 2000, 1000):
        ends = (-most, min(most, 32767))
        if most >= least and all(_eight(unit * end + shift) == unit * end + shift for end in ends):
            return ends
    return -32768, 32767


def _eight(value: Decimal) -> Decimal:
    """Return a number as near as eight characters can write it."""
    for places in range(6, -1, -1):
        text = f"{value:.{places}f}"
        short = text.rstrip("0").rstrip(".") if "." in text else text
        if len(short) <= 8:
            return Decimal(short)
    raise ValueError(f"scale: a range up to {value:.0f} µV does not fit the header of EDF")
