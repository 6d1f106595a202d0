"""The trend of QTc: one mark per recording, its formula told by its shape, limits as lines.

Nothing is joined across formulas, because Bazett's and Fridericia's numbers of one heart differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feldsher_ehr_core.ecg import Sex

from feldsher_signal.draw_sheet import RED, SOFT, Item, Path, Sheet, Text

LONG = {"male": 450.0, "female": 460.0}
"""Prolonged QTc in ms of adult men and women: AHA/ACCF/HRS 2009 part IV (Rautaharju)."""
DANGER = 500.0
"""QTc in ms from which torsades de pointes must be feared: AHA/ACCF 2010 (Drew), Circulation 121:1047."""
_LEFT, _TOP, _BOTTOM, _RIGHT = 16.0, 18.0, 12.0, 8.0
_COLOURS = ("#1565c0", "#2e7d32", "#8e24aa", "#ef6c00")
_CORNERS = (24, 4, 3, 5)
_RADIUS = 1.3


@dataclass(frozen=True, slots=True)
class Point:
    """One QTc in ms, when it was measured and by which formula; `confirmed`: a doctor has signed it."""

    time: datetime
    qtc: float
    method: str
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class _Frame:
    """The plot's scale: from `start` over `span` seconds, and `low` … `high` ms, on `width` by `height` mm."""

    start: datetime
    span: float
    low: float
    high: float
    width: float
    height: float

    def x(self, time: datetime) -> float:
        part = (time - self.start).total_seconds() / self.span if self.span else 0.5
        return _LEFT + 8 + part * (self.right - _LEFT - 12)

    def y(self, qtc: float) -> float:
        return self.height - _BOTTOM - (qtc - self.low) / (self.high - self.low) * (self.height - _TOP - _BOTTOM)

    @property
    def right(self) -> float:
        return self.width - _RIGHT


def trend(
    points: Sequence[Point], *, sex: Sex = "unknown", title: str = "QTc", width: float = 180.0, height: float = 80.0
) -> Sheet:
    """Return the QTc of several recordings over time; ValueError where there is none or one is no number."""
    if not points or not all(math.isfinite(point.qtc) for point in points):
        raise ValueError("points: a trend needs at least one QTc, and each must be a number")
    ordered = sorted(points, key=lambda point: point.time)
    values = [point.qtc for point in points]
    low, high = 50 * math.floor(min(375.0, *values) / 50), 50 * math.ceil(max(525.0, *values) / 50)
    span = (ordered[-1].time - ordered[0].time).total_seconds()
    frame = _Frame(ordered[0].time, span, low, high, width, height)
    items: list[Item] = [Text(_LEFT, 7, title, 4.2, True), *_axes(frame, ordered)]
    items += _limit(frame, DANGER, RED)
    if sex in LONG:
        items += _limit(frame, LONG[sex], SOFT)
    methods = list(dict.fromkeys(point.method for point in ordered))
    for k, method in enumerate(methods):
        items += _series(frame, k, [point for point in ordered if point.method == method])
        x = _LEFT + 45 * k + _RADIUS
        items += [_mark(k, x, 12.6, filled=True), Text(x + 2.6, 13.6, method, 2.8)]
    items.append(Text(frame.right, 13.6, "filled: confirmed by a doctor", 2.4, fill=SOFT, anchor="end"))
    last = ordered[-1]
    words = f"Trend of QTc: {len(points)} measurements, the last {last.qtc:.0f} ms after {last.method}"
    return Sheet(width, height, tuple(items), words)


def _axes(frame: _Frame, ordered: Sequence[Point]) -> list[Item]:
    """Return levels every 50 ms with their numbers, and up to six of the dates below."""
    out: list[Item] = []
    for value in range(round(frame.low), round(frame.high) + 1, 50):
        y = frame.y(value)
        out.append(Path((((_LEFT, y), (frame.right, y)),), "#dddddd", 0.15))
        out.append(Text(_LEFT - 1.5, y + 1, f"{value}", 2.6, fill=SOFT, anchor="end"))
    out.append(Text(_LEFT - 1.5, _TOP - 3, "ms", 2.6, fill=SOFT, anchor="end"))
    form = "%H:%M" if frame.span < 86_400 else "%Y-%m-%d"
    nearest = -math.inf
    for point in ordered:
        x = frame.x(point.time)
        if x - nearest >= 24:
            nearest = x
            out.append(Path((((x, frame.y(frame.low)), (x, frame.y(frame.low) + 1.2)),), SOFT, 0.2))
            out.append(Text(x, frame.y(frame.low) + 5, point.time.strftime(form), 2.6, fill=SOFT, anchor="middle"))
    return out


def _limit(frame: _Frame, value: float, colour: str) -> list[Item]:
    y = frame.y(value)
    return [
        Path((((_LEFT, y), (frame.right, y)),), colour, 0.3, dash=1.5),
        Text(_LEFT + 0.5, y - 0.9, f"{value:.0f}", 2.4, fill=colour, rim="#ffffff"),
    ]


def _series(frame: _Frame, k: int, own: Sequence[Point]) -> list[Item]:
    places = tuple((frame.x(point.time), frame.y(point.qtc)) for point in own)
    out: list[Item] = [Path((places,), _COLOURS[k % 4], 0.2)] if len(places) > 1 else []
    return out + [_mark(k, *place, filled=point.confirmed) for place, point in zip(places, own, strict=True)]


def _mark(k: int, x: float, y: float, *, filled: bool) -> Path:
    """Return the k-th formula's mark: a circle, a diamond, a triangle, a pentagon."""
    corners, colour = _CORNERS[k % 4], _COLOURS[k % 4]
    turns = [2 * math.pi * i / corners for i in range(corners)]
    ring = tuple((x + _RADIUS * math.sin(turn), y - _RADIUS * math.cos(turn)) for turn in turns)
    return Path((ring,), colour, 0.35, colour if filled else "#ffffff")
