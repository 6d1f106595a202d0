"""A sheet of paper: what lies on it, in millimetres from its upper left corner. SVG, PDF and PNG are made of this."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PAPER, MINOR, MAJOR, INK, SOFT, RED = "#fffaf9", "#f6cfcf", "#e79a9a", "#111111", "#555555", "#b00020"
"""Colours of ECG paper: its ground, 1 mm and 5 mm lines; of what is written on it; of what alarms."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; `fill` and `stroke` are colours (#rrggbb) or empty, `opacity` is that of the fill."""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    stroke: str = ""
    line: float = 0.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Path:
    """Lines through points, each of `lines` a row of (x, y); closed and filled where `fill` is a colour."""

    lines: tuple[tuple[tuple[float, float], ...], ...]
    stroke: str = INK
    line: float = 0.25
    fill: str = ""
    dash: float = 0.0


@dataclass(frozen=True, slots=True)
class Grid:
    """Lines every `step` mm across a rectangle, its own edges included."""

    x: float
    y: float
    width: float
    height: float
    step: float
    stroke: str
    line: float


@dataclass(frozen=True, slots=True)
class Trace:
    """The line of a lead from (x, y) on: corners in hundredths of a millimetre as `draw_trace.points` gives them."""

    x: float
    y: float
    corners: NDArray[np.int32]
    stroke: str = INK
    line: float = 0.25


@dataclass(frozen=True, slots=True)
class Text:
    """Words whose baseline begins, has its middle or ends at (x, y); `rim`: paper around the letters; `size` in mm."""

    x: float
    y: float
    words: str
    size: float
    bold: bool = False
    fill: str = INK
    anchor: Literal["start", "middle", "end"] = "start"
    rim: str = ""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Clip:
    """Items of which only what lies within a rectangle is seen."""

    x: float
    y: float
    width: float
    height: float
    items: tuple[Box | Path | Grid | Trace | Text, ...]


Item = Box | Path | Grid | Trace | Text | Clip


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page, `width` by `height` mm: its items from the lowest to the topmost, and what it is in words."""

    width: float
    height: float
    items: tuple[Item, ...]
    title: str = ""

    def all(self) -> Iterator[Box | Path | Grid | Trace | Text]:
        """Return every item, those in a clip too."""
        for item in self.items:
            if isinstance(item, Clip):
                yield from item.items
            else:
                yield item


def paper(x: float, y: float, width: float, height: float) -> tuple[Box | Grid, ...]:
    """Return millimetre paper: ground, 1 mm and 5 mm lines (IEC 60601-2-25)."""
    return (
        Box(x, y, width, height, PAPER),
        Grid(x, y, width, height, 1.0, MINOR, 0.1),
        Grid(x, y, width, height, 5.0, MAJOR, 0.2),
    )
