"""Headers of WFDB records (`.hea`): what they announce, checked before anything is read on their word.

Source: header(5) of the WFDB Applications Guide (Moody, MIT), including its defaults. Of the comments only age and sex
are taken, in the three spellings that PhysioNet's databases use; the rest is a person's history and stays unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from feldsher_ehr_core.ecg import Subject

from feldsher_signal.formats import content, source
from feldsher_signal.formats.error import FormatError
from feldsher_signal.formats.wfdb_samples import PACKINGS

_MAX_HEADER = 1 << 20
_MAX_SEGMENTS = 100_000
# header(5): a missing sampling frequency is 250, a missing or zero gain 200 units per millivolt.
_DEFAULT_FS = 250.0
_DEFAULT_GAIN = 200.0
GAP = "~"
"""The name that a segment without signals and the signals of a layout have instead of a file's."""

# Bounded, so that no header can announce a number that nothing can hold.
_WHOLE = r"\d{1,10}"
_NUMBER = rf"[-+]?(?:{_WHOLE}(?:\.\d{{0,18}})?|\.\d{{1,18}})(?:[eE][-+]?\d{{1,2}})?"
_COUNT = re.compile(_WHOLE, re.ASCII)
_SIGNED = re.compile(rf"[-+]?{_WHOLE}", re.ASCII)
_FORMAT = re.compile(rf"({_WHOLE})(?:x({_WHOLE}))?(?::({_WHOLE}))?(?:\+({_WHOLE}))?", re.ASCII)
_GAIN = re.compile(rf"({_NUMBER})(?:\(([-+]?{_WHOLE})\))?(?:/(\S+))?", re.ASCII)
_FREQUENCY = re.compile(rf"({_NUMBER})(?:/{_NUMBER}(?:\({_NUMBER}\))?)?", re.ASCII)
# "<age>: 51", "Age: 30  Sex: M", and MIT-BIH's "69 M 1085 1629 x1" (age, sex, recorders).
_AGE = re.compile(r"\bage>?\s*[:=]\s*(\d{1,3})(?![\d.])", re.IGNORECASE | re.ASCII)
_SEX = re.compile(r"\b(?:sex|gender)>?\s*[:=]\s*(male|female|m|f)\b", re.IGNORECASE)
_BOTH = re.compile(r"#\s*(\d{1,3})\s+([MF])\s+\d+\s+\d+\s+x[12]\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal line: `initial` is its first sample (what format 8 starts from), `skew` in frames."""

    file: str
    format: int
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    units: str
    initial: int
    checksum: int | None
    description: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header: `frames` is None where it does not say how long the record is; `segments` are (name, frames)."""

    path: Path
    fs: float
    frames: int | None
    signals: tuple[Signal, ...]
    segments: tuple[tuple[str, int], ...] = ()
    subject: Subject = content.NOBODY


def header_of(path: Path) -> Path | None:
    """Return the header that belongs to `path` (itself, a record without suffix, a `.dat` or `.mat`), None if none."""
    if path.suffix.lower() == ".hea":
        return path
    beside = path.with_suffix(".hea") if path.suffix.lower() in {".dat", ".mat"} else Path(f"{path}.hea")
    return beside if beside.is_file() else None


def inside(header: Path, name: str) -> Path:
    """Return the path of a file that a header names; one of unknown origin must not make us read files elsewhere."""
    folder = header.parent.resolve()
    path = folder / "" if "\0" in name else (folder / name).resolve()
    if path.parent != folder or name != path.name:
        raise FormatError(header, "signal file", f"{name!r} is not in the header's folder")
    return path


def parse(path: Path) -> Header:
    """Return what a `.hea` says; FormatError names the line and the field."""
    text = source.whole(path, _MAX_HEADER).decode("utf-8", "replace")
    numbered = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in numbered if not line.startswith("#")]
    comments = [line for _, line in numbered if line.startswith("#")]
    if not lines:
        raise FormatError(path, "line 1", "the header is empty")
    count, segments, fs, frames = _record_line(path, *lines[0])
    wanted = count if segments is None else segments
    if len(lines) - 1 < wanted:
        kind = "signals" if segments is None else "segments"
        raise FormatError(path, f"line {lines[-1][0]}", f"{wanted} {kind} are announced, {len(lines) - 1} described")
    if segments is not None:
        named = tuple(_segment_line(path, number, line) for number, line in lines[1 : segments + 1])
        return Header(path, fs, frames, (), named, _subject(comments))
    signals = tuple(_signal_line(path, number, line) for number, line in lines[1 : count + 1])
    return Header(path, fs, frames, signals, (), _subject(comments))


def _subject(comments: list[str]) -> Subject:
    """Return age and sex where the comments say them."""
    both = next((found for line in comments if (found := _BOTH.fullmatch(line))), None)
    if both is not None:
        return content.subject(both[1], both[2])
    age = next((found for line in comments if (found := _AGE.search(line))), None)
    sex = next((found for line in comments if (found := _SEX.search(line))), None)
    return content.subject(age and age[1], sex and sex[1])


def _record_line(path: Path, number: int, line: str) -> tuple[int, int | None, float, int | None]:
    """Return the numbers of signals and of segments (None where it has none), sampling rate and length in frames."""
    fields = line.split()
    where = f"line {number}"
    name, slash, parts = fields[0].partition("/")
    if slash and not (_COUNT.fullmatch(parts) and 1 <= int(parts) <= _MAX_SEGMENTS):
        raise FormatError(path, f"{where}, record name", f"{name!r} has no number of segments up to {_MAX_SEGMENTS}")
    if len(fields) < 2 or not _COUNT.fullmatch(fields[1]):
        raise FormatError(path, f"{where}, number of signals", "is missing or not a number")
    count = int(fields[1])
    if not 1 <= count <= source.MAX_LEADS:
        raise FormatError(path, f"{where}, number of signals", f"{count} is not between 1 and {source.MAX_LEADS}")
    frequency = _FREQUENCY.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and (frequency is None or not 0 < float(frequency[1]) <= source.MAX_FS):
        raise FormatError(path, f"{where}, sampling frequency", f"{fields[2]!r} is not a frequency")
    if len(fields) > 3 and not _COUNT.fullmatch(fields[3]):
        raise FormatError(path, f"{where}, number of samples", f"{fields[3]!r} is not a number")
    # header(5): zero or absent means that the length is that of the signal file.
    frames = int(fields[3]) if len(fields) > 3 else 0
    if frames * count > source.MAX_SAMPLES:
        raise FormatError(path, f"{where}, number of samples", f"{frames} are more than is read of {count} signals")
    return count, int(parts) if slash else None, float(frequency[1]) if frequency else _DEFAULT_FS, frames or None


def _segment_line(path: Path, number: int, line: str) -> tuple[str, int]:
    name, *rest = line.split()
    if len(rest) != 1 or not _COUNT.fullmatch(rest[0]):
        raise FormatError(path, f"line {number}, segment", "is not a name and a number of samples")
    return name, int(rest[0])


def _signal_line(path: Path, number: int, line: str) -> Signal:
    fields = line.split(maxsplit=8)
    where = f"line {number}"
    stored = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if stored is None:
        raise FormatError(path, f"{where}, format", "is missing or malformed")
    code, per_frame, skew = int(stored[1]), int(stored[2] or 1), int(stored[3] or 0)
    if code not in PACKINGS and not (code == 0 and fields[0] == GAP):
        raise FormatError(path, f"{where}, format", f"{code} is not read ({', '.join(map(str, PACKINGS))} are)")
    if not 1 <= per_frame <= 10_000:
        raise FormatError(path, f"{where}, samples per frame", f"{per_frame} is not between 1 and 10000")
    if skew > 100_000:
        raise FormatError(path, f"{where}, skew", f"{skew} samples are more than leads are apart")
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and gain is None:
        raise FormatError(path, f"{where}, gain", f"{fields[2]!r} is not gain(baseline)/units")
    zero = _integer(path, where, "ADC zero", fields, 4) or 0
    initial = _integer(path, where, "initial value", fields, 5)
    return Signal(
        file=fields[0],
        format=code,
        per_frame=per_frame,
        skew=skew,
        offset=int(stored[4] or 0),
        gain=(float(gain[1]) if gain else 0.0) or _DEFAULT_GAIN,
        baseline=int(gain[2]) if gain and gain[2] else zero,
        units=gain[3] if gain and gain[3] else "mV",
        initial=zero if initial is None else initial,
        checksum=_integer(path, where, "checksum", fields, 6) or None,
        description=fields[8] if len(fields) > 8 else "",
    )


def _integer(path: Path, where: str, name: str, fields: list[str], index: int) -> int | None:
    if len(fields) <= index:
        return None
    if not _SIGNED.fullmatch(fields[index]):
        raise FormatError(path, f"{where}, {name}", f"{fields[index]!r} is not a whole number")
    return int(fields[index])
