"""Tables of text (CSV): one row of column names, one row of numbers per sample, a column per lead.

Read: commas, semicolons or tabs; units in the names (`II (mV)`, `V1 [uV]`, `I_mV`) or in a line `# unit: mV`; the
sampling rate from a line `# fs: 500` or a column `time` in seconds (`time_ms`: milliseconds); `# age:`, `# sex:`. An
empty cell or `nan` is a missing sample. Written: microvolts, with `# uv_per_bit:` and `# baseline:`, by which the
reader finds the very samples again. Other comments are never read: they may name a person.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import content, lead, source
from feldsher_signal.formats.content import Content, Filters
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

_MAX_BYTES = 64 << 20
_MAX_HEAD = 1 << 16
_MAX_VALUES = 1 << 25
_MICROVOLTS = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "v": 1e6, "nv": 1e-3}
_COMMENT = re.compile(r"#\s*([A-Za-z_ ]{1,30}?)\s*[:=]\s*(.*)")
_UNIT = re.compile(r"(.*?)\s*(?:[\[(]\s*([^\])]*?)\s*[\])]|_([munµμ]?V))", re.IGNORECASE)
_TIME = {"time": 1.0, "t": 1.0, "s": 1.0, "ms": 1e-3, "sec": 1.0, "seconds": 1.0, "us": 1e-6}
_IGNORED = {"", "sample", "index", "samples"}
_SEPARATORS = re.compile(r"[,;\s]")
_FAULT = re.compile(r"at row (\d+)(?:, column (\d+))?")
_RATES = {"fs", "hz", "sampling rate", "sampling frequency", "sample rate", "frequency"}
# A value is kept to a ten-thousandth of a microvolt where the file does not say its resolution.
_FINEST_UV = 1e-4


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: `uv` microvolts per number of a lead, or the seconds per number of the time."""

    name: str
    uv: float | None
    seconds: float | None = None


def is_one(start: bytes) -> bool:
    """Return whether a file that starts like this is text in lines, and no XML."""
    try:
        text = start[: start.rfind(b"\n") + 1].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    plain = all(letter.isprintable() or letter in "\t\r\n" for letter in text)
    return bool(text.strip()) and plain and not text.lstrip().startswith("<")


def load(path: Path) -> Content:
    """Return the recording of a table; FormatError names the line and column, or what the head does not say."""
    raw = source.whole(path, _MAX_BYTES)
    said, names, body, line = _head(path, raw)
    separator = max(",;\t", key=names.count)
    columns = [_column(each.strip().strip('"'), said.get("unit", "")) for each in names.split(separator)]
    rows = [k for k, each in enumerate(columns) if each.uv is not None]
    if not rows:
        raise FormatError(path, f"line {line}", "no column has a name and a unit in volts, as in: II (mV)")
    source.checked_size(path, f"line {line}", len(columns), 1)
    values = _numbers(path, body, separator, len(columns), line)
    fs = _rate(path, said, columns, values)
    source.checked_size(path, "number of samples", len(rows), values.shape[0])
    samples, scale, baseline = _whole(path, values, [(k, columns[k].uv or 1.0) for k in rows], said)
    recording = Recording(lead.names(columns[k].name for k in rows), fs, samples, scale, baseline)
    filters = Filters(*(content.hertz(said.get(f"{name} hz")) for name in ("highpass", "lowpass", "notch")))
    return Content(recording, content.subject(said.get("age"), said.get("sex")), filters, "CSV")


def dumps(held: Content) -> bytes:
    """Return the recording as such a table in microvolts, from which `load` has the same samples."""
    recording = held.recording
    base = recording.baseline or (0,) * len(recording.leads)
    head = [f"# fs: {recording.fs!r}", f"# uv_per_bit: {' '.join(map(repr, recording.uv_per_bit))}"]
    head.append(f"# baseline: {' '.join(map(str, base))}")
    filters = {"highpass": held.filters.highpass, "lowpass": held.filters.lowpass, "notch": held.filters.notch}
    head += [f"# {name}_hz: {value!r}" for name, value in filters.items() if value is not None]
    if held.subject.age is not None:
        head.append(f"# age: {held.subject.age}")
    if held.subject.sex != "unknown":
        head.append(f"# sex: {held.subject.sex}")
    head.append(",".join(f"{_SEPARATORS.sub(' ', name)} (uV)" for name in recording.leads))
    columns = [
        ["nan" if value == MISSING else f"{(value - zero) * scale:.12g}" for value in row.tolist()]
        for row, scale, zero in zip(recording.samples, recording.uv_per_bit, base, strict=True)
    ]
    return "\n".join([*head, *(",".join(row) for row in zip(*columns, strict=True)), ""]).encode()


def _head(path: Path, raw: bytes) -> tuple[dict[str, str], str, bytes, int]:
    """Return what the comments say, the row of names, the bytes after it and its line number."""
    said: dict[str, str] = {}
    at, number = 3 if raw.startswith(b"\xef\xbb\xbf") else 0, 0
    while at < len(raw):
        end = raw.find(b"\n", at, at + _MAX_HEAD)
        if end < 0:
            break
        number += 1
        line = raw[at:end].decode("utf-8", "replace").strip()
        at = end + 1
        found = _COMMENT.fullmatch(line)
        if found is not None:
            said[found[1].lower().replace("_", " ")] = found[2].strip()
        elif line and not line.startswith("#"):
            return said, line, raw[at:], number
    raise FormatError(path, f"line {number + 1}", "there is no row of column names")


def _column(name: str, unit: str) -> _Column:
    found = _UNIT.fullmatch(name)
    if found is not None:
        name, unit = found[1], found[2] or found[3]
    stem, _, ending = name.lower().partition("_")
    if stem in {"time", "t"}:
        return _Column(name, None, _TIME.get((ending or (unit if found else "")).lower() or "time"))
    numeric = name.lower() in _IGNORED or re.fullmatch(r"[-+.\deE]+", name) is not None
    return _Column(name, None if numeric else _MICROVOLTS.get(unit.lower()))


def _numbers(path: Path, body: bytes, separator: str, columns: int, line: int) -> NDArray[np.float64]:
    """Return the numbers, float64 (samples, columns), NaN where a cell is empty."""
    sign = separator.encode()
    if body.count(sign) + body.count(b"\n") > _MAX_VALUES:
        raise FormatError(path, f"line {line}", f"more than {_MAX_VALUES} numbers follow")
    if (
        any(each in body for each in (sign * 2, sign + b" ", sign + b"\r", sign + b"\n", b"\n" + sign))
        or body[:1] == sign
    ):
        mark = re.escape(sign)
        body = re.sub(rb"(?m)(?:^(?=" + mark + rb")|(?<=" + mark + rb")(?=[ \r]*(?:" + mark + rb"|$)))", b"nan", body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.loadtxt(io.BytesIO(body), delimiter=separator, ndmin=2, comments="#", encoding="latin-1")
    except ValueError as error:
        # The message quotes the cell, which may be anything: only its place is told, of a short row counted from 1.
        place = _FAULT.search(str(error))
        row = int(place[1]) - ("changed" in str(error)) if place else 0
        where = f"line {line + 1 + row}" if place else f"after line {line}"
        raise FormatError(path, where, "is not a row of numbers as long as the row of names") from None
    if values.size and values.shape[1] != columns:
        raise FormatError(path, f"line {line + 1}", f"{values.shape[1]} numbers for {columns} names")
    if not values.size:
        raise FormatError(path, f"after line {line}", "there are no samples")
    if np.isinf(values).any():
        raise FormatError(path, f"line {line + 1 + int(np.argwhere(np.isinf(values))[0, 0])}", "a number is infinite")
    return values


def _rate(path: Path, said: dict[str, str], columns: list[_Column], values: NDArray[np.float64]) -> float:
    """Return the samples per second that the head states, or that the time column shows."""
    stated = next((said[name] for name in said if name in _RATES), None)
    if stated is not None:
        try:
            return source.checked_fs(path, "sampling rate", float(stated.lower().removesuffix("hz")))
        except ValueError as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(path, "sampling rate", "is not a number") from None
    at = next((k for k, each in enumerate(columns) if each.seconds is not None), None)
    if at is None or len(values) < 2:
        raise FormatError(path, "sampling rate", "is not stated: a line '# fs: 500' or a column 'time' is needed")
    times = values[:, at] * (columns[at].seconds or 1.0)
    span = float(times[-1] - times[0])
    fs = source.checked_fs(path, "time", (len(times) - 1) / span if span > 0 else 0.0)
    off = np.abs(times - times[0] - np.arange(len(times)) / fs) * fs
    if not float(off.max()) < 0.5:
        raise FormatError(path, "time", "the samples are not equally far apart")
    return float(round(fs)) if abs(fs - round(fs)) < 5e-4 * fs else fs


def _whole(
    path: Path, values: NDArray[np.float64], rows: list[tuple[int, float]], said: dict[str, str]
) -> tuple[NDArray[np.int32], tuple[float, ...], tuple[int, ...]]:
    """Return whole units, their microvolts and baselines: as stated, else the decimal step that all numbers are of.

    `rows`: the columns that are leads, with the microvolts of one number.
    """
    scale, base = (_list(path, said.get(name), name, len(rows)) for name in ("uv per bit", "baseline"))
    steps: list[float] = []
    zeros = [round(zero) for zero in base] if base else [0] * len(rows)
    samples = np.empty((len(rows), len(values)), np.int32)
    for row, (column, uv) in enumerate(rows):
        microvolts = values[:, column] * uv
        gone = np.isnan(microvolts)
        microvolts[gone] = 0.0
        steps.append(source.checked_scale(path, "uv_per_bit", scale[row] if scale else _step(microvolts)))
        units = np.rint(microvolts / steps[row]) + zeros[row]
        if np.abs(units).max() > 2**31 - 2:
            raise FormatError(path, "samples", "do not fit 32 bits in steps of the stated resolution")
        samples[row] = units
        samples[row, gone] = MISSING
    return samples, tuple(steps), tuple(zeros)


def _list(path: Path, written: str | None, name: str, leads: int) -> list[float] | None:
    if written is None:
        return None
    try:
        values = [float(each) for each in written.split()]
    except ValueError:
        values = []
    if len(values) != leads or not np.isfinite(values).all() or max(map(abs, values)) > 2**31:
        raise FormatError(path, name, f"{leads} numbers are needed")
    return values


def _step(row: NDArray[np.float64]) -> float:
    """Return the largest decimal step, 100 µV to a ten-thousandth, of which all values are multiples."""
    for exponent in range(2, -4, -1):
        units = row / 10.0**exponent
        if np.abs(units - np.rint(units)).max() < 1e-6 * max(1.0, float(np.abs(units).max()) * 1e-3):
            return 10.0**exponent
    return _FINEST_UV
