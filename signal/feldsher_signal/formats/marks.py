"""Reader of WFDB annotation files (MIT format): beats, rhythm and wave marks beside a record.

Format: Moody, "WFDB Programmer's Guide", annot(5): 16-bit little-endian words, 6 bits of code, 10 bits of time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

SYMBOLS = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
"""The symbol of each annotation code; WFDB's ecgcodes.h."""

_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""The symbols that mark a beat."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One annotation: sample, symbol, the sub-type number, its channel and free text (rhythm names)."""

    at: int
    symbol: str
    sub: int = 0
    channel: int = 0
    number: int = 0
    text: str = ""


def read(path: Path) -> list[Mark]:
    """Return the marks of an annotation file in order; ValueError naming the byte where it is cut short."""
    data = path.read_bytes()
    marks: list[Mark] = []
    at, pos, number, channel = 0, 0, 0, 0
    while pos + 2 <= len(data):
        word = struct.unpack_from("<H", data, pos)[0]
        pos += 2
        code, value = word >> 10, word & 0x3FF
        if word == 0:
            return marks
        if code == _SKIP:
            if pos + 4 > len(data):
                raise ValueError(f"{path}: byte {pos}: long time cut short")
            high, low = struct.unpack_from("<hH", data, pos)
            at += (high << 16) + low
            pos += 4
        elif code == _AUX:
            _amend(marks, text=data[pos : pos + value].rstrip(b"\0").decode("latin-1"))
            pos += value + (value & 1)
        elif code == _SUB:
            _amend(marks, sub=value - 1024 if value > 511 else value)
        elif code == _NUM:
            number = value
            _amend(marks, number=value)
        elif code == _CHAN:
            channel = value
            _amend(marks, channel=value)
        else:
            at += value
            symbol = SYMBOLS[code] if code < len(SYMBOLS) else "?"
            marks.append(Mark(at, symbol, 0, channel, number))
    return marks


def _amend(marks: list[Mark], **changes: int | str) -> None:
    """Replace the last mark by one with `changes`; what precedes every mark is ignored."""
    if marks:
        old = marks[-1]
        values = {name: changes.get(name, getattr(old, name)) for name in ("sub", "channel", "number", "text")}
        marks[-1] = Mark(old.at, old.symbol, *values.values())  # type: ignore[arg-type]


def beats(marks: list[Mark]) -> list[Mark]:
    """Return the marks that are beats."""
    return [mark for mark in marks if mark.symbol in BEATS]
