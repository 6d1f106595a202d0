"""Annotation files of WFDB (MIT format), read and written: beats, rhythm and wave marks beside a record.

Format: Moody, "WFDB Programmer's Guide", annot(5): 16-bit little-endian words, 6 bits of code, 10 bits of time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feldsher_signal.formats import source
from feldsher_signal.formats.error import FormatError

MAX_BYTES = 4 << 20
SYMBOLS = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
"""The symbol of each annotation code; WFDB's ecgcodes.h."""

_NOTE = SYMBOLS.index('"')
_MAX_TEXT = 255
_MAX_TIME = 1 << 40
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


def read(path: str | Path) -> list[Mark]:
    """Return the marks of an annotation file in order; FormatError names the byte where it is cut short or wrong."""
    path = Path(path)
    marks: list[Mark] = []
    at = number = channel = 0
    for pos, code, value, more in _words(path, source.whole(path, MAX_BYTES)):
        if code == _SKIP:
            high, low = struct.unpack("<hH", more)
            at += (high << 16) + low
        elif code == _AUX:
            _amend(marks, text=more.rstrip(b"\0").decode("latin-1"))
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
            if not 0 <= at <= _MAX_TIME:
                raise FormatError(path, f"byte {pos}", f"sample {at} is outside any recording")
            marks.append(Mark(at, SYMBOLS[code] if code < len(SYMBOLS) else "?", 0, channel, number))
    return marks


def _words(path: Path, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the place, code and value of each word up to the end mark, and the bytes that follow a time or a text."""
    pos = 0
    while pos + 2 <= len(data):
        word = struct.unpack_from("<H", data, pos)[0]
        if word == 0:
            return
        code, value = word >> 10, word & 0x3FF
        size = {_SKIP: 4, _AUX: value}.get(code, 0)
        more = data[pos + 2 : pos + 2 + size]
        if len(more) < size:
            what = "a long time" if code == _SKIP else f"a text of {size} bytes"
            raise FormatError(path, f"byte {pos + 2}", f"{what} is cut short")
        yield pos, code, value, more
        pos += 2 + size + (size & 1)
    if data:
        raise FormatError(path, f"byte {len(data)}", "the file ends without its end mark")


def dumps(marks: Iterable[Mark]) -> bytes:
    """Return marks as an annotation file, ordered by sample; symbols that WFDB does not know become `"` (a note)."""
    out = bytearray()
    at = number = channel = 0
    for mark in sorted(marks, key=lambda each: each.at):
        if mark.at < 0:
            raise ValueError(f"marks: sample {mark.at} is before the recording")
        step = mark.at - at
        while step > 0x3FF:
            long = min(step, 0x7FFFFFFF)
            out += struct.pack("<HhH", _SKIP << 10, long >> 16, long & 0xFFFF)
            step -= long
        code = SYMBOLS.find(mark.symbol) if mark.symbol.strip() else -1
        out += struct.pack("<H", (code if code > 0 else _NOTE) << 10 | step)
        at = mark.at
        if mark.sub:
            out += struct.pack("<H", _SUB << 10 | mark.sub & 0x3FF)
        if mark.channel != channel:
            out += struct.pack("<H", _CHAN << 10 | mark.channel & 0x3FF)
        if mark.number != number:
            out += struct.pack("<H", _NUM << 10 | mark.number & 0x3FF)
        number, channel = mark.number, mark.channel
        text = mark.text.encode("latin-1", "replace")[:_MAX_TEXT]
        if text:
            out += struct.pack("<H", _AUX << 10 | len(text)) + text + b"\0" * (len(text) % 2)
    return bytes(out) + b"\0\0"


def _amend(marks: list[Mark], **changes: int | str) -> None:
    """Replace the last mark by one with `changes`; what precedes every mark is ignored."""
    if marks:
        old = marks[-1]
        values = {name: changes.get(name, getattr(old, name)) for name in ("sub", "channel", "number", "text")}
        marks[-1] = Mark(old.at, old.symbol, *values.values())  # type: ignore[arg-type]


def beats(marks: list[Mark]) -> list[Mark]:
    """Return the marks that are beats."""
    return [mark for mark in marks if mark.symbol in BEATS]
