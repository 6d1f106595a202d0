"""From a file of one format to a file of another, checked by reading it back before it appears.

Pseudonymous: names, identifiers, dates and free text never pass, because no reader keeps them; age and sex only where
they are asked for, of annotations only symbols and rhythms.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from feldsher_signal import formats
from feldsher_signal.formats import aecg, content, dicom, edf, marks, own, scp, table, wfdb_header, wfdb_write
from feldsher_signal.formats.content import Content
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import Recording

_Write = Callable[[Content, str, datetime | None], dict[str, bytes]]
_RHYTHM = re.compile(r"\([A-Z0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Format:
    """A format that is written: its name, its suffix, and what makes its files (by suffix, the main one last)."""

    name: str
    suffix: str
    files: _Write


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a recording: as read back, the largest difference in µV, and the signals that were left out."""

    recording: Recording
    format: str
    largest_uv: float
    left_out: tuple[str, ...]


FORMATS: dict[str, Format] = {
    "wfdb": Format("WFDB", ".hea", lambda held, name, _: wfdb_write.dumps(held, name)),
    "wfdb-16": Format("WFDB", ".hea", lambda held, name, _: wfdb_write.dumps(held, name, 16)),
    "wfdb-212": Format("WFDB", ".hea", lambda held, name, _: wfdb_write.dumps(held, name, 212)),
    "edf": Format("EDF+", ".edf", lambda held, _, when: {".edf": edf.dumps(held, when)}),
    "scp": Format("SCP-ECG", ".scp", lambda held, _, when: {".scp": scp.dumps(held, when)}),
    "aecg": Format("HL7 aECG", ".xml", lambda held, _, when: {".xml": aecg.dumps(held, when)}),
    "dicom": Format("DICOM", ".dcm", lambda held, _, when: {".dcm": dicom.dumps(held, when)}),
    "csv": Format("CSV", ".csv", lambda held, _, __: {".csv": table.dumps(held)}),
    "fecg": Format("feldsher record", own.SUFFIX, lambda held, _, __: {own.SUFFIX: own.dumps(held.recording)}),
}
"""What `convert` writes, by the word for it."""


def convert(
    source: str | Path,
    target: str | Path,
    to: str | None = None,
    keep_subject: bool = False,
    when: datetime | None = None,
    force: bool = False,
) -> Converted:
    """Write the recording in `source` as `target`, in the format named `to` or told by the target's suffix.

    `when`: the time of recording, which is otherwise not written. FormatError where the source cannot be read,
    ValueError naming what the format cannot hold, FileExistsError where a file is there already and `force` is not
    given: nothing is left behind then.
    """
    target = Path(target)
    chosen = _chosen(target, to)
    if not target.parent.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(target.parent))
    held = formats.load(source)
    held = dataclasses.replace(held, marks=(*held.marks, *_beside(Path(source), held.format)))
    held = dataclasses.replace(
        held,
        subject=held.subject if keep_subject else content.NOBODY,
        marks=tuple(_impersonal(mark) for mark in held.marks),
    )
    try:
        files = chosen.files(held, target.stem, when)
    except ImportError:
        raise FormatError(target, "format", f"{chosen.name} needs `pip install feldsher[formats]`") from None
    main = list(files)[-1]
    places = {suffix: target if suffix == main else target.with_suffix(suffix) for suffix in files}
    for place in places.values():
        if place.exists() and not force:
            raise FileExistsError(17, "a file is there already; --force replaces it", str(place))
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        for suffix, raw in files.items():
            (Path(folder) / places[suffix].name).write_bytes(raw)
        found = formats.load(Path(folder) / target.name)
        largest = _difference(target, held.recording, found.recording)
        for place in places.values():
            (Path(folder) / place.name).replace(place)
    return Converted(found.recording, chosen.name, largest, held.left_out)


def _chosen(target: Path, to: str | None) -> Format:
    """Return the format by its word or by the target's suffix; ValueError names the words there are."""
    if to is not None:
        if to.lower() not in FORMATS:
            raise ValueError(f"--format: {to!r} is none of {', '.join(FORMATS)}")
        chosen = FORMATS[to.lower()]
        if chosen.suffix == ".hea" and target.suffix != ".hea":
            raise ValueError(f"{target}: a WFDB record is named by its header, {target.with_suffix('.hea').name}")
        return chosen
    found = next((each for each in FORMATS.values() if each.suffix == target.suffix.lower()), None)
    if found is None:
        raise ValueError(f"{target}: the suffix {target.suffix!r} names no format; --format {' | '.join(FORMATS)}")
    return found


def _beside(path: Path, name: str) -> tuple[marks.Mark, ...]:
    """Return the marks in the `.atr` beside a WFDB record."""
    header = wfdb_header.header_of(path) if name == "WFDB" else None
    beside = header.with_suffix(".atr") if header is not None else None
    return tuple(marks.read(beside)) if beside is not None and beside.is_file() else ()


def _impersonal(mark: marks.Mark) -> marks.Mark:
    """Return a mark without free text, which may be about the person; the names of rhythms stay."""
    return mark if _RHYTHM.fullmatch(mark.text) else dataclasses.replace(mark, text="")


def _difference(target: Path, wanted: Recording, found: Recording) -> float:
    """Return how far what was read back is from what was to be written; ValueError where it is another."""
    if abs(found.fs - wanted.fs) > 1e-3 * wanted.fs or len(found.leads) > len(wanted.leads):
        raise ValueError(f"{target}: {found.fs:g} per second was read back, not {wanted.fs:g}")
    before, after = wanted.microvolts(), found.microvolts()
    gone = np.isnan(before)
    kept = ~gone.all(axis=1) if len(after) < len(before) else np.ones(len(before), np.bool_)
    first = int(np.argmin(gone.all(axis=0))) if after.shape[1] < before.shape[1] else 0
    before = before[kept, first : first + after.shape[1]]
    if before.shape != after.shape or not np.array_equal(np.isnan(before), np.isnan(after)):
        raise ValueError(f"{target}: {after.shape} samples were read back, not {before.shape}")
    return float(np.nanmax(np.abs(before - after), initial=0.0))
