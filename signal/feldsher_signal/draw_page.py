"""Where the leads lie on ECG paper: rows, columns and scale, in millimetres."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from numpy.typing import NDArray

from feldsher_signal.record import Recording

Layout = Literal["3x4+1", "6x2", "12x1", "single"]
SPEEDS = (25, 50)
GAINS = (5, 10, 20)
MARGIN = 7.0
PULSE = 10.0
"""Millimetres before a row's first cell, for the calibration pulse."""
PITCH = {"3x4+1": 30.0, "6x2": 25.0, "12x1": 20.0, "single": 35.0}
"""Millimetres between rows at 10 mm/mV."""
ROW_SECONDS = 10.0
USUAL_GAIN, HALF_GAIN = 10, 5
CROSSING = 0.5
"""Waves that reach so much of a row's height past where the next row's begin make both hard to read (house rule; on
every third of the shared ptbxl: 9 % of recordings at 10 mm/mV in 3x4, 15 % in 6x2, 41 % in 12x1)."""
_SINGLE_ROWS = 6
_MOST_ROOM = 40.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One piece of one lead: where it begins across the grid (mm), and its samples."""

    row: int
    lead: int
    x: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Page:
    """The grid: its cells, size in mm and scale, its upper left corner, and the room for tall waves at its ends."""

    cells: tuple[Cell, ...]
    rows: int
    pitch: float
    width: float
    speed: int
    gain: int
    fs: float
    left: float = MARGIN
    top: float = 0.0
    above: float = 0.0
    below: float = 0.0

    @property
    def height(self) -> float:
        """Millimetres of the grid."""
        return self.above + self.rows * self.pitch + self.below

    def row(self, row: int) -> float:
        """Return where a row begins (mm)."""
        return self.top + self.above + row * self.pitch

    def middle(self, row: int) -> float:
        """Return where 0 mV of a row lies (mm): on a heavy line of the grid."""
        return self.row(row) + 5 * round(0.11 * self.pitch)

    def x(self, cell: Cell, sample: float) -> float:
        """Return where a sample of a cell lies (mm)."""
        return self.left + cell.x + self.mm(sample - cell.start)

    def mm(self, samples: float) -> float:
        """Return how wide so many samples are."""
        return samples / self.fs * self.speed


def lay(recording: Recording, layout: Layout, speed: int, gain: int, start: int, pitch_gain: int | None = None) -> Page:
    """Return the page of a recording from sample `start` on: ten seconds, of a single lead up to a minute.

    `pitch_gain`: rows as far apart as at this gain, None = as at `gain`.
    """
    rows = _arrangement(recording, layout)
    window = round(ROW_SECONDS * recording.fs)
    cells: list[Cell] = []
    if layout == "single":
        end = min(recording.n, start + _SINGLE_ROWS * window)
        for row, at in enumerate(range(start, end, window)):
            cells.append(Cell(row, rows[0][0], PULSE, at, min(end, at + window)))
        count, longest = len(cells), cells[0].stop - start
    else:
        count, longest = len(rows), min(recording.n - start, window)
        for row, leads in enumerate(rows):
            edges = [round(k * longest / len(leads)) for k in range(len(leads) + 1)]
            cells += [
                Cell(row, lead, PULSE + edges[k] / recording.fs * speed, start + edges[k], start + edges[k + 1])
                for k, lead in enumerate(leads)
                if lead >= 0
            ]
    width = max(PULSE + longest / recording.fs * speed + 2, 180.0)
    # Whole 5 mm squares, so that the grid ends on a heavy line.
    pitch = math.ceil(PITCH[layout] * max(0.7, (pitch_gain or gain) / 10) / 5) * 5.0
    return Page(tuple(cells), count, pitch, math.ceil(width / 5) * 5.0, speed, gain, recording.fs)


def _arrangement(recording: Recording, layout: Layout) -> list[list[int]]:
    """Return the leads (rows of the recording, -1 = absent) in every row of the page."""
    index = {name: i for i, name in enumerate(recording.leads)}
    twelve = [index.get(name, -1) for name in STANDARD_LEADS]
    rhythm = index.get("II", index.get("MLII", 0))
    if layout == "single":
        return [[rhythm]]
    if sum(lead >= 0 for lead in twelve) < 6:
        return [[lead] for lead in range(len(recording.leads))]
    if layout == "12x1":
        return [[lead] for lead in twelve]
    if layout == "6x2":
        return [[twelve[i], twelve[i + 6]] for i in range(6)]
    return [[twelve[i], twelve[i + 3], twelve[i + 6], twelve[i + 9]] for i in range(3)] + [[rhythm]]


def crossing(page: Page, lines: Sequence[NDArray[np.int32]], unit: float, leads: Collection[int]) -> float:
    """Return how far the rows run into each other at most, in parts of a row's height; 0 where none does.

    Of the `leads` alone (rows of the recording): what an electrode that is off draws is no wave. `lines`: as of
    `with_room`.
    """
    seen = [
        (cell, float(line[:, 1].min()) * unit, float(line[:, 1].max()) * unit)
        for cell, line in zip(page.cells, lines, strict=True)
        if len(line) and cell.lead in leads
    ]
    most = 0.0
    for upper, _, low in seen:
        for lower, high, _ in seen:
            side = lower.x < upper.x + page.mm(upper.stop - upper.start)
            side = side and upper.x < lower.x + page.mm(lower.stop - lower.start)
            if lower.row == upper.row + 1 and side:
                most = max(most, (low - high) / page.pitch - 1.0)
    return most


def with_room(page: Page, lines: Sequence[NDArray[np.int32]], unit: float) -> Page:
    """Return the page with up to 40 mm more at its ends, so that no tall wave leaves the paper.

    `lines`: the corners of each cell's line in `unit`s downwards.
    """

    def room(need: float) -> float:
        return min(_MOST_ROOM, max(0.0, 5.0 * math.ceil((need + 1) / 5)))

    last = page.rows - 1
    ends = [(cell.row, line[:, 1]) for cell, line in zip(page.cells, lines, strict=True) if len(line)]
    up = max((-float(y.min()) * unit for row, y in ends if row == 0), default=0.0)
    down = max((float(y.max()) * unit for row, y in ends if row == last), default=0.0)
    above = room(up - page.middle(0) + page.top)
    return replace(page, above=above, below=room(down - (page.top + page.height - page.middle(last))))
