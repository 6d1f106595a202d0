"""Timelines of PostgreSQL's log: every promotion and every restore begins one, and which segments lead to its end.

A segment's name is its timeline, then its place. After a promotion two servers may have archived segments of the same
place; a restore follows the newest timeline and needs, of each place, the segment of the timeline that was in force
there. A history file (`00000002.history`) says where a timeline left those before it.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence, Set
from pathlib import Path

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history\.gz")
_LEFT = re.compile(r"^(\d+)\t([0-9A-F]+)/([0-9A-F]+)", re.MULTILINE)
SEGMENTS_PER_LOG = 256
"""Of 16 MB each, which initdb makes unless told otherwise: the last eight digits of a segment's name count to here."""
_SEGMENT_BYTES = 16 << 20

Past = list[tuple[int, int]]
"""A timeline's past: earlier timelines, oldest first, each with the position (LSN) at which it was left."""


class HistoryError(Exception):
    """A history file that is missing or unreadable; the text names it."""


def place(segment: str) -> int:
    """Return the place of a segment in the log."""
    return int(segment[8:16], 16) * SEGMENTS_PER_LOG + int(segment[16:24], 16)


def position(lsn: str) -> int:
    """Return a position in the log as a number, from its text: `16/B374D848`."""
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def start(segment: str) -> int:
    """Return the position at which a segment begins."""
    return place(segment) * _SEGMENT_BYTES


def timeline(segment: str) -> int:
    """Return the timeline of a segment."""
    return int(segment[:8], 16)


def newest(folder: Path, segments: Sequence[str]) -> int:
    """Return the newest timeline of which an archive has a history or a segment: a restore follows that one."""
    histories = [int(found[1], 16) for file in folder.iterdir() if (found := _HISTORY.fullmatch(file.name))]
    return max([*histories, *map(timeline, segments)], default=1)


def past(folder: Path, number: int) -> Past:
    """Return a timeline's past from its history in the archive; HistoryError where that is missing or unreadable."""
    if number == 1:
        return []
    name = f"{number:08X}.history.gz"
    try:
        with gzip.open(folder / name, "rt", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise HistoryError(f"wal/{name} is missing: nothing says what timeline {number} continues") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise HistoryError(f"wal/{name} is damaged: {error}") from error
    found = [(int(line[1]), position(f"{line[2]}/{line[3]}")) for line in _LEFT.finditer(text)]
    if not found:
        raise HistoryError(f"wal/{name} is damaged: it names no timeline before {number}")
    return found


def in_force(number: int, before: Past, at: int) -> int:
    """Return which timeline's segment a restore to a timeline's end needs at a place.

    Where a timeline was left amid a segment, the next one's begins with a copy of what came before: that one is needed.
    """
    return next((earlier for earlier, left in before if at < left // _SEGMENT_BYTES), number)


def missing(number: int, before: Past, first: str, there: Set[str]) -> list[str]:
    """Return the segments that a restore from a base backup's first segment to a timeline's end lacks, in order.

    The end is the last place of which the timeline has a segment, and at least where it began.
    """
    own = [place(segment) for segment in there if timeline(segment) == number]
    began = before[-1][1] // _SEGMENT_BYTES if before else place(first)
    places = range(place(first), max([*own, began]) + 1)
    names = (
        f"{in_force(number, before, at):08X}{at // SEGMENTS_PER_LOG:08X}{at % SEGMENTS_PER_LOG:08X}" for at in places
    )
    return [name for name in names if name not in there]


def continues(number: int, before: Past, of: int, lsn: int) -> bool:
    """Return whether a timeline goes on from a position of another: not from one that was written after it had left."""
    left = dict(before).get(of)
    return of == number or (left is not None and lsn <= left)
