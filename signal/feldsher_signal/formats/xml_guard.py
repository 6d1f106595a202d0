"""What an XML file may be before a parser builds a tree of it: bounded in size, depth and number, without entities.

expat tells the events one by one and keeps nothing, so a bomb costs no memory here; it never fetches external entities
or DTDs.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from feldsher_signal.formats import source, xli_guard
from feldsher_signal.formats.error import FormatError

MAX_BYTES = 8 << 20
_MAX_ELEMENTS = 200_000
_MAX_DEPTH = 100
_MAX_ATTRIBUTES = 100
_COMPRESSED = {"parsedwaveforms", "repbeats", "waveform"}


class _Guard:
    """Counts elements and depth, keeps the text of compressed waveforms, and stops at what no cardiogram has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity
        self.depth = 0
        self.count = 0
        self.within = False
        self.packed: list[list[str]] = []

    def refuse(self, what: str) -> NoReturn:
        where = f"line {self.parser.CurrentLineNumber}, byte {self.parser.CurrentByteIndex}"
        raise FormatError(self.path, where, what)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.count += 1
        if self.depth > _MAX_DEPTH or self.count > _MAX_ELEMENTS or len(attributes) > _MAX_ATTRIBUTES:
            self.refuse(f"more than {_MAX_ELEMENTS} elements or {_MAX_DEPTH} levels of them")
        self.within = name.rpartition(":")[2] in _COMPRESSED
        if self.within:
            self.packed.append([])

    def _end(self, _name: str) -> None:
        self.depth -= 1
        self.within = False

    def _text(self, text: str) -> None:
        if self.within:
            self.packed[-1].append(text)

    def _entity(self, *_: object) -> None:
        self.refuse("entities are not read")


def checked(path: Path) -> bytes:
    """Return the bytes of an XML file; FormatError names line and byte of what is not well-formed or not allowed.

    Philips' compressed leads may not unpack to more than xli_guard.MAX_UNPACKED bytes.
    """
    raw = source.whole(path, MAX_BYTES)
    guard = _Guard(path)
    try:
        guard.parser.Parse(raw, True)
    except (expat.ExpatError, LookupError) as error:
        reason = expat.ErrorString(error.code) if isinstance(error, expat.ExpatError) else "unknown encoding"
        guard.refuse(f"is not well-formed XML ({reason})")
    for text in guard.packed:
        try:
            packed = base64.b64decode("".join("".join(text).split()))
        except ValueError:
            raise FormatError(path, "parsedwaveforms", "is not base64") from None
        xli_guard.check(path, packed)
    return raw
