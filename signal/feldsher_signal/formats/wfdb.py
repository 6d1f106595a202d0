"""WFDB records (PhysioNet): a text header `.hea` and the signal files that it names, formats 16 and 212.

Source: header(5) and signal(5) of the WFDB Applications Guide (Moody, MIT), including their defaults. Read: several
signals in one or more files, byte offsets (so the PhysioNet/CinC challenges' `.mat` files, which are MATLAB v4 matrices
behind 24 bytes), equal oversampling of all signals. Refused by name: several segments, skew, other formats.
Comments are never read: they hold age, sex and history of the person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feldsher_signal.formats import lead
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import MISSING, Recording

_MAX_HEADER = 1 << 20
_MAX_SIGNALS = 256
# header(5): a missing sampling frequency is 250, a missing or zero gain 200 units per millivolt.
_DEFAULT_FS = 250.0
_DEFAULT_GAIN = 200.0
# signal(5): the value that stands for "no valid sample" in each format.
_INVALID = {16: -32768, 212: -2048}
_MICROVOLTS = {"mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "v": 1e6, "nv": 1e-3}

# Bounded, so that no header can announce a number that nothing can hold.
_WHOLE = r"\d{1,9}"
_NUMBER = rf"[-+]?(?:{_WHOLE}(?:\.\d{{0,18}})?|\.\d{{1,18}})(?:[eE][-+]?\d{{1,2}})?"
_COUNT = re.compile(_WHOLE, re.ASCII)
_SIGNED = re.compile(rf"[-+]?{_WHOLE}", re.ASCII)
_FORMAT = re.compile(rf"({_WHOLE})(?:x({_WHOLE}))?(?::({_WHOLE}))?(?:\+({_WHOLE}))?", re.ASCII)
_GAIN = re.compile(rf"({_NUMBER})(?:\(([-+]?{_WHOLE})\))?(?:/(\S+))?", re.ASCII)
_FREQUENCY = re.compile(rf"({_NUMBER})(?:/{_NUMBER}(?:\({_NUMBER}\))?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Signal:
    """One signal line of a header."""

    file: str
    format: int
    per_frame: int
    offset: int
    gain: float
    baseline: int
    units: str
    checksum: int | None
    description: str


@dataclass(frozen=True, slots=True)
class _Header:
    """A header: `frames` is None where it does not say how long the record is."""

    path: Path
    fs: float
    frames: int | None
    signals: tuple[_Signal, ...]


def header_of(path: Path) -> Path | None:
    """Return the header that belongs to `path` (itself, a record without suffix, a `.dat` or `.mat`), None if none."""
    if path.suffix.lower() == ".hea":
        return path
    beside = path.with_suffix(".hea") if path.suffix.lower() in {".dat", ".mat"} else Path(f"{path}.hea")
    return beside if beside.is_file() else None


def read(path: str | Path) -> Recording:
    """Return the record of a `.hea` (or of a record name without it); FormatError names file and byte or field.

    Length and checksums are verified. A checksum of 0 counts as not stated: the 2017 challenge writes it everywhere.
    Signals in other units than volts (pressure, respiration) are left out; at least one lead must remain.
    """
    found = header_of(Path(path))
    if found is None:
        raise FormatError(path, "file", "no WFDB header (.hea) is there")
    header = _parse(found)
    samples = _signals(header)
    kept = [i for i, signal in enumerate(header.signals) if signal.units.lower() in _MICROVOLTS]
    if not kept:
        raise FormatError(found, "units", "no signal is in volts")
    chosen = [header.signals[i] for i in kept]
    return Recording(
        leads=lead.names(signal.description for signal in chosen),
        fs=header.fs * chosen[0].per_frame,
        samples=np.ascontiguousarray(samples[kept]),
        uv_per_bit=tuple(_MICROVOLTS[signal.units.lower()] / signal.gain for signal in chosen),
        baseline=tuple(signal.baseline for signal in chosen),
    )


def _parse(path: Path) -> _Header:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_HEADER + 1)
    except OSError as error:
        raise FormatError(path, "file", error.strerror or str(error)) from error
    if len(raw) > _MAX_HEADER:
        raise FormatError(path, f"byte {_MAX_HEADER}", "a header is never this long")
    lines = [
        (number, line.strip())
        for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise FormatError(path, "line 1", "the header is empty")
    count, fs, frames = _record_line(path, *lines[0])
    if len(lines) - 1 < count:
        raise FormatError(path, f"line {lines[-1][0]}", f"{count} signals are announced, {len(lines) - 1} described")
    signals = tuple(_signal_line(path, number, line) for number, line in lines[1 : count + 1])
    if len({signal.per_frame for signal in signals}) > 1:
        raise FormatError(path, "samples per frame", "signals of different sampling rates are not read")
    return _Header(path, fs, frames, signals)


def _record_line(path: Path, number: int, line: str) -> tuple[int, float, int | None]:
    fields = line.split()
    where = f"line {number}"
    if "/" in fields[0]:
        raise FormatError(path, f"{where}, record name", "records of several segments are not read")
    if len(fields) < 2 or not _COUNT.fullmatch(fields[1]):
        raise FormatError(path, f"{where}, number of signals", "is missing or not a number")
    count = int(fields[1])
    if not 1 <= count <= _MAX_SIGNALS:
        raise FormatError(path, f"{where}, number of signals", f"{count} is not between 1 and {_MAX_SIGNALS}")
    frequency = _FREQUENCY.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and (frequency is None or not 0 < float(frequency[1]) <= 1e6):
        raise FormatError(path, f"{where}, sampling frequency", f"{fields[2]!r} is not a frequency")
    if len(fields) > 3 and not _COUNT.fullmatch(fields[3]):
        raise FormatError(path, f"{where}, number of samples", f"{fields[3]!r} is not a number")
    # header(5): zero or absent means that the length is that of the signal file.
    frames = int(fields[3]) if len(fields) > 3 else 0
    return count, float(frequency[1]) if frequency else _DEFAULT_FS, frames or None


def _signal_line(path: Path, number: int, line: str) -> _Signal:
    fields = line.split(maxsplit=8)
    where = f"line {number}"
    stored = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if stored is None:
        raise FormatError(path, f"{where}, format", "is missing or malformed")
    if int(stored[1]) not in _INVALID:
        raise FormatError(path, f"{where}, format", f"{stored[1]} is not read (16 and 212 are)")
    per_frame = int(stored[2] or 1)
    if per_frame < 1:
        raise FormatError(path, f"{where}, samples per frame", f"{per_frame} is not positive")
    if int(stored[3] or 0):
        raise FormatError(path, f"{where}, skew", "skewed signals are not read")
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and gain is None:
        raise FormatError(path, f"{where}, gain", f"{fields[2]!r} is not gain(baseline)/units")
    zero = _integer(path, where, "ADC zero", fields, 4)
    factor = float(gain[1]) if gain else 0.0
    return _Signal(
        file=fields[0],
        format=int(stored[1]),
        per_frame=per_frame,
        offset=int(stored[4] or 0),
        gain=factor or _DEFAULT_GAIN,
        baseline=int(gain[2]) if gain and gain[2] else zero or 0,
        units=gain[3] if gain and gain[3] else "mV",
        checksum=_integer(path, where, "checksum", fields, 6) or None,
        description=fields[8] if len(fields) > 8 else "",
    )


def _integer(path: Path, where: str, name: str, fields: list[str], index: int) -> int | None:
    if len(fields) <= index:
        return None
    if not _SIGNED.fullmatch(fields[index]):
        raise FormatError(path, f"{where}, {name}", f"{fields[index]!r} is not a whole number")
    return int(fields[index])


def _signals(header: _Header) -> NDArray[np.int32]:
    """Return all signals of the header, int32 (signals, n), MISSING where the format says invalid."""
    groups: dict[str, list[int]] = {}
    for index, signal in enumerate(header.signals):
        groups.setdefault(signal.file, []).append(index)
    rows: dict[int, NDArray[np.int32]] = {}
    for name, members in groups.items():
        rows.update(zip(members, _file(header, name, members), strict=True))
    lengths = {row.size for row in rows.values()}
    if len(lengths) > 1:
        raise FormatError(header.path, "number of samples", f"the signal files are not equally long: {sorted(lengths)}")
    return np.stack([rows[index] for index in range(len(header.signals))])


def _file(header: _Header, name: str, members: list[int]) -> NDArray[np.int32]:
    """Return the signals `members` that one file holds interleaved, int32 (members, n)."""
    signals = [header.signals[index] for index in members]
    first = signals[0]
    if len({signal.format for signal in signals}) > 1:
        raise FormatError(header.path, "format", f"{name} is announced in several formats")
    path = _inside(header.path, name)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FormatError(path, "file", error.strerror or str(error)) from error
    per_frame = first.per_frame * len(members)
    frames = _frames(path, len(raw) - first.offset, first, per_frame, header.frames)
    flat = _DECODE[first.format](raw, first.offset, frames * per_frame)
    rows = flat.reshape(frames, len(members), first.per_frame).transpose(1, 0, 2).reshape(len(members), -1)
    for row, signal in zip(rows, signals, strict=True):
        # header(5): the 16-bit signed sum of all samples.
        total = (int(row.sum(dtype=np.int64)) + 0x8000) % 0x10000 - 0x8000
        if signal.checksum is not None and (total - signal.checksum) % 0x10000:
            raise FormatError(path, f"signal {signal.description!r}", f"checksum {total}, not {signal.checksum}")
    return np.where(rows == _INVALID[first.format], MISSING, rows)


def _inside(header: Path, name: str) -> Path:
    """Return the path of a signal file; a header of unknown origin must not make us read files elsewhere."""
    folder = header.parent.resolve()
    path = folder / "" if "\0" in name else (folder / name).resolve()
    if path.parent != folder or name != path.name:
        raise FormatError(header, "signal file", f"{name!r} is not in the header's folder")
    return path


def _frames(path: Path, size: int, signal: _Signal, per_frame: int, stated: int | None) -> int:
    """Return how many frames the file holds; FormatError where that is not what the header states."""

    def size_of(frames: int) -> int:
        samples = frames * per_frame
        return samples * 2 if signal.format == 16 else (samples * 3 + 1) // 2

    if stated is None:
        stated = max(size, 0) * 2 // (4 if signal.format == 16 else 3) // per_frame
    frames = stated
    end = signal.offset + size
    if frames < 1 or size < size_of(frames):
        raise FormatError(path, f"byte {end}", f"the file ends; {size_of(frames)} bytes of samples were announced")
    if size >= size_of(frames + 1):
        raise FormatError(path, f"byte {signal.offset + size_of(frames)}", f"{size - size_of(frames)} bytes too many")
    return frames


def _decode16(raw: bytes, offset: int, count: int) -> NDArray[np.int32]:
    return np.frombuffer(raw, "<i2", count, offset).astype(np.int32)


def _decode212(raw: bytes, offset: int, count: int) -> NDArray[np.int32]:
    """Decode pairs of 12-bit two's complement samples in three bytes: low 8, high nibbles (second, first), low 8."""
    size = (count * 3 + 1) // 2
    padded = np.zeros((count + 1) // 2 * 3, np.uint8)
    padded[:size] = np.frombuffer(raw, np.uint8, size, offset)
    low, middle, high = padded.reshape(-1, 3).astype(np.int32).T
    pairs = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], axis=1)
    return ((pairs.ravel()[:count] + 0x800) & 0xFFF) - 0x800


_DECODE = {16: _decode16, 212: _decode212}
