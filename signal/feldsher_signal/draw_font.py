"""The two typefaces of a sheet (regular and bold): how wide words are, and what a PDF must embed of them."""

from __future__ import annotations

import struct
import textwrap
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "fonts"
_FILES = {False: "feldsher-sans-regular.ttf", True: "feldsher-sans-bold.ttf"}


@dataclass(frozen=True, slots=True)
class Face:
    """A typeface: glyph numbers by character, their widths in parts of the size, and the file for embedding.

    `box`: lowest left and highest right of all glyphs, `ascent`, `descent` in parts of the size.
    """

    name: str
    glyphs: dict[int, int]
    widths: tuple[float, ...]
    box: tuple[float, float, float, float]
    ascent: float
    descent: float
    size: int
    packed: bytes

    def glyph(self, character: str) -> int:
        """Return the glyph of a character; 0 (an empty box) where the typeface has none."""
        return self.glyphs.get(ord(character), 0)

    def width(self, words: str, size: float) -> float:
        """Return how wide words are at a size in mm."""
        return size * sum([self.widths[self.glyphs.get(ord(c), 0)] for c in words])


@cache
def face(*, bold: bool) -> Face:
    """Return the regular or the bold typeface."""
    data = (_FOLDER / _FILES[bold]).read_bytes()
    tables = {
        data[at : at + 4].decode("ascii"): struct.unpack(">LL", data[at + 8 : at + 16])
        for at in range(12, 12 + 16 * struct.unpack(">H", data[4:6])[0], 16)
    }
    table = {name: data[start : start + length] for name, (start, length) in tables.items()}
    em = struct.unpack(">H", table["head"][18:20])[0]
    box = struct.unpack(">4h", table["head"][36:44])
    ascent, descent = struct.unpack(">2h", table["hhea"][4:8])
    count = struct.unpack(">H", table["hhea"][34:36])[0]
    total = struct.unpack(">H", table["maxp"][4:6])[0]
    advances = [each / em for each in struct.unpack(f">{2 * count}H", table["hmtx"][: 4 * count])[::2]]
    widths = (*advances, *[advances[-1]] * (total - count))
    return Face(
        f"FeldsherSans-{'Bold' if bold else 'Regular'}",
        _characters(table["cmap"]),
        widths,
        (box[0] / em, box[1] / em, box[2] / em, box[3] / em),
        ascent / em,
        descent / em,
        len(data),
        zlib.compress(data, 9),
    )


def _characters(cmap: bytes) -> dict[int, int]:
    """Return glyph numbers by character from the format 4 subtable (the Basic Multilingual Plane)."""
    for k in range(struct.unpack(">H", cmap[2:4])[0]):
        _, _, start = struct.unpack(">HHL", cmap[4 + 8 * k : 12 + 8 * k])
        if struct.unpack(">H", cmap[start : start + 2])[0] == 4:
            return _segments(cmap[start:])
    raise ValueError("cmap: no format 4 subtable")


def _segments(table: bytes) -> dict[int, int]:
    count = struct.unpack(">H", table[6:8])[0] // 2

    def row(at: int, kind: str = "H") -> tuple[int, ...]:
        return struct.unpack(f">{count}{kind}", table[at : at + 2 * count])

    last, first = row(14), row(16 + 2 * count)
    delta, far = row(16 + 4 * count, "h"), row(16 + 6 * count)
    out: dict[int, int] = {}
    for k in range(count):
        for c in range(first[k], min(last[k], 0xFFFE) + 1):
            glyph = c
            if far[k]:
                at = 16 + 6 * count + 2 * k + far[k] + 2 * (c - first[k])
                glyph = struct.unpack(">H", table[at : at + 2])[0]
            if glyph or not far[k]:
                out[c] = (glyph + delta[k]) & 0xFFFF
    return out


def wrapped(words: str, size: float, width: float, *, bold: bool) -> list[str]:
    """Return words in lines no wider than `width` mm; a word longer than that is cut."""
    measure = face(bold=bold)
    mean = measure.width("abcdefghijklmnopqrstuvwxyz ", size) / 27
    room = max(8, int(width / mean))
    while True:
        lines = textwrap.wrap(words, room)
        if room <= 8 or all(measure.width(line, size) <= width for line in lines):
            return lines
        room -= max(1, room // 20)


def shortened(words: str, size: float, width: float, *, bold: bool) -> str:
    """Return words, cut with an ellipsis where they are wider than `width` mm."""
    measure = face(bold=bold)
    if measure.width(words, size) <= width:
        return words
    while words and measure.width(words + "…", size) > width:
        words = words[:-1].rstrip(" ;,·")
    return words + "…" if words else ""
