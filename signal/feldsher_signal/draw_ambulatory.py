"""A long recording on one page (A4, upright): numbers, rate over the day, ectopy by hour, strips of what happened."""

from __future__ import annotations

import math

import numpy as np
from feldsher_ehr_core.ambulatory import Ambulatory, Event
from numpy.typing import NDArray

from feldsher_signal import ambulatory_text, draw_head, episodes
from feldsher_signal.ambulatory import Found, Source
from feldsher_signal.draw_font import shortened, wrapped
from feldsher_signal.draw_sheet import INK, RED, SOFT, Box, Clip, Item, Path, Sheet, Text, Trace, paper
from feldsher_signal.episodes import Row
from feldsher_signal.stretch import stretches

WIDTH, HEIGHT, MARGIN = 210.0, 297.0, 8.0
_INNER = WIDTH - 2 * MARGIN
_AF, _V, _S, _LINE = "#8e24aa", RED, "#1565c0", "#dddddd"
_SPEED, _GAINS = 25.0, (10.0, 5.0, 2.5)
"""Millimetres per second; per mV, the first with which the strip's line has room."""
_STRIPS, _STRIP_MM, _STRIP_STEP = 5, 20.0, 25.0
_RATE_TOP, _RATE_MM, _BARS_TOP, _BARS_MM = 84.5, 37.0, 131.0, 24.0
_LEFT = MARGIN + 9.0
_MINUTE = 60.0


def page(report: Ambulatory, found: Found, source: Source, *, confirmed: str | None = None, title: str = "") -> Sheet:
    """Return the page; `confirmed`: who confirmed it and when, None = stamped UNCONFIRMED."""
    title = title or f"Ambulatory electrocardiogram, {ambulatory_text.duration(report.samples / report.fs)}"
    hours = max(report.samples / report.fs / 3600, 1e-6)
    items: list[Item] = [Text(MARGIN, MARGIN + 5, shortened(title, 4.6, _INNER - 70, bold=True), 4.6, True)]
    items += draw_head.stamp(confirmed, MARGIN + _INNER - 66, MARGIN, 66)
    items += _numbers(report)
    for k, line in enumerate(wrapped(report.conclusion, 2.9, _INNER, bold=False)[:3]):
        items.append(Text(MARGIN, 68 + 3.8 * k, line, 2.9))
    items += _rate(report, found, hours)
    items += _bars(report, hours)
    items += _strips(report, source)
    foot = f"{_SPEED:g} mm/s · {report.fs:g} Hz · baseline held (zero phase), no other filter · lead {source.leads[0]}"
    items += draw_head.foot(foot, report.engine, MARGIN, HEIGHT - 5, _INNER)
    words = f"Ambulatory electrocardiogram, {hours:.1f} hours, {'confirmed' if confirmed else 'unconfirmed'}"
    return Sheet(WIDTH, HEIGHT, tuple(items), words)


def _numbers(report: Ambulatory) -> list[Item]:
    """Return the report's numbers in four columns."""
    out: list[Item] = []
    for column, (heading, rows) in enumerate(ambulatory_text.blocks(report)):
        x, step = MARGIN + column * _INNER / 4, _INNER / 4
        out.append(Text(x, 30, heading, 3.2, True))
        for k, (name, value) in enumerate(rows):
            y = 34.5 + 3.9 * k
            out += [Text(x, y, name, 2.7, fill=SOFT), Text(x + step - 4, y, value, 2.7, True, anchor="end")]
    return out


def _axis(hours: float, top: float, tall: float) -> list[Item]:
    """Return the hours (of a short recording minutes) below a plot, every second, third … where they would crowd."""
    out: list[Item] = []
    parts = 1 if hours > 2 else 60
    every = max(1, math.ceil(hours * parts / 26))
    for tick in range(0, math.floor(hours * parts + 1e-9) + 1, every):
        x = _across(tick / parts, hours)
        out.append(Path((((x, top), (x, top + tall)),), _LINE, 0.12))
        out.append(Text(x, top + tall + 3.2, f"{tick}", 2.3, fill=SOFT, anchor="middle"))
    return [*out, Text(MARGIN, top + tall + 3.2, "h" if parts == 1 else "min", 2.3, fill=SOFT)]


def _across(hour: float, hours: float) -> float:
    return _LEFT + hour / hours * (_INNER - (_LEFT - MARGIN))


def _minutes(found: Found) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return by minute (or longer where there are more than 720): its hour, and the least, mean and greatest rate."""
    first, rates = episodes.eights(Row(found.r, found.kinds, found.whole, found.fs))
    length = max(_MINUTE, _MINUTE * math.ceil(found.n / found.fs / _MINUTE / 720)) * found.fs
    which = (found.r[first] / length).astype(np.int64)
    present, start = np.unique(which, return_index=True)
    if not present.size:
        nothing = np.zeros(0)
        return nothing, nothing, nothing, nothing
    counts = np.diff(np.append(start, which.size))
    mean = np.add.reduceat(rates, start) / counts
    at = (present + 0.5) * length / found.fs / 3600
    return at, np.minimum.reduceat(rates, start), mean, np.maximum.reduceat(rates, start)


def _rate(report: Ambulatory, found: Found, hours: float) -> list[Item]:
    """Return the rate over the day, mean and extremes by minute, before fibrillation and what could not be judged."""
    at, low, mean, high = _minutes(found)
    top_rate = 20 * math.ceil(max(float(high.max()) if high.size else 0.0, 119.0) / 20)
    floor = 20 * math.floor(min(float(low.min()) if low.size else 40.0, 40.0) / 20)

    def y(rate: float) -> float:
        return _RATE_TOP + _RATE_MM * (top_rate - rate) / (top_rate - floor)

    out: list[Item] = [
        Text(MARGIN, _RATE_TOP - 2, "Rate per minute: mean, least and greatest of eight beats", 2.7, True)
    ]
    out += [
        Text(_LEFT + _INNER - 9, _RATE_TOP - 2, "fibrillation", 2.4, True, _AF, "end"),
        Text(_LEFT + _INNER - 27, _RATE_TOP - 2, "not judged", 2.4, True, "#999999", "end"),
    ]
    for span in report.rhythm:
        if span.code == "AFIB":
            out.append(_band(span.start / report.fs, span.end / report.fs, hours, _AF, 0.16))
    for a, b in stretches(found.bad):
        second = found.width / found.fs
        out.append(_band(a * second, b * second, hours, "#777777", 0.3))
    for rate in range(floor, top_rate + 1, 20):
        out.append(Path((((_LEFT, y(rate)), (MARGIN + _INNER, y(rate))),), _LINE, 0.12))
        out.append(Text(_LEFT - 1, y(rate) + 0.9, f"{rate}", 2.3, fill=SOFT, anchor="end"))
    out += _axis(hours, _RATE_TOP, _RATE_MM)
    xs = [_across(hour, hours) for hour in at.tolist()]
    bars = tuple(((x, y(a)), (x, y(b))) for x, a, b in zip(xs, low.tolist(), high.tolist(), strict=True))
    line = tuple((x, y(rate)) for x, rate in zip(xs, mean.tolist(), strict=True))
    return [*out, Path(bars, "#b8b8b8", 0.2), *(Path((piece,), INK, 0.2) for piece in _unbroken(line, hours))]


def _unbroken(line: tuple[tuple[float, float], ...], hours: float) -> list[tuple[tuple[float, float], ...]]:
    """Return a line in pieces where more than ten minutes are missing."""
    far = _across(10 / 60, hours) - _across(0, hours)
    pieces: list[list[tuple[float, float]]] = []
    for point in line:
        if not pieces or point[0] - pieces[-1][-1][0] > max(far, 0.6):
            pieces.append([])
        pieces[-1].append(point)
    return [tuple(piece) for piece in pieces if len(piece) > 1]


def _band(start_s: float, end_s: float, hours: float, colour: str, opacity: float) -> Box:
    a, b = _across(start_s / 3600, hours), _across(end_s / 3600, hours)
    return Box(a, _RATE_TOP, max(b - a, 0.15), _RATE_MM, colour, opacity=opacity)


def _bars(report: Ambulatory, hours: float) -> list[Item]:
    """Return ventricular and supraventricular beats by hour, side by side, and where pauses were."""
    most = max((max(h.beats.V, h.beats.S) for h in report.hours), default=0)
    scale = _nice(most)
    bottom = _BARS_TOP + _BARS_MM
    out: list[Item] = [
        Text(MARGIN, _BARS_TOP - 2, "Ectopic beats by hour", 2.7, True),
        Text(MARGIN + _INNER, _BARS_TOP - 2, "supraventricular", 2.4, True, _S, "end"),
        Text(MARGIN + _INNER - 26, _BARS_TOP - 2, "ventricular", 2.4, True, _V, "end"),
        *_axis(hours, _BARS_TOP, _BARS_MM),
    ]
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * _BARS_MM
        out.append(Path((((_LEFT, y), (MARGIN + _INNER, y)),), _LINE, 0.12))
        out.append(Text(_LEFT - 1, y + 0.9, f"{part * scale:g}", 2.3, fill=SOFT, anchor="end"))
    for hour in report.hours:
        start = _across(hour.start / 3600, hours)
        wide = _across(min(hour.start / 3600 + 1, hours), hours) - start
        for k, (count, colour) in enumerate(((hour.beats.V, _V), (hour.beats.S, _S))):
            tall = _BARS_MM * count / scale
            if count:
                bar = min(0.36 * wide, 8.0)
                out.append(Box(start + wide / 2 + bar * (k - 1), bottom - tall, bar, tall, colour, opacity=0.8))
        if hour.pauses:
            out.append(Text(start + wide / 2, _BARS_TOP + 3, f"{hour.pauses} P", 2.2, True, rim="#ffffff"))
    return out


def _nice(most: int) -> int:
    """Return an even round number that is no less than `most`."""
    size = 10 ** max(len(str(max(most, 1))) - 1, 0)
    return max(2, next(size * k for k in (1, 2, 4, 6, 8, 10) if size * k >= most))


def chosen(report: Ambulatory) -> list[Event]:
    """Return the events whose strips are shown: the most urgent of every kind, in order of urgency."""
    out: list[Event] = []
    for event in report.events:
        if all(event.kind != other.kind for other in out):
            out.append(event)
    return out[:_STRIPS]


def _strips(report: Ambulatory, source: Source) -> list[Item]:
    """Return a strip of the first lead for each chosen event: in its middle, or from where a long one begins."""
    out: list[Item] = []
    seconds = (_INNER - 0.2) / _SPEED
    for k, event in enumerate(chosen(report)):
        y = 166.0 + k * _STRIP_STEP
        room = seconds * report.fs
        start = event.start - (room - (event.end - event.start)) / 2
        if event.end - event.start > 0.7 * room and event.kind != "fibrillation":
            start = event.start - 0.25 * room
        first = int(min(max(start, 0.0), max(report.samples - room, 0.0)))
        out += _strip(report, event, source.take(first, min(first + int(room), report.samples))[:1], first, y)
    return out


def _strip(report: Ambulatory, event: Event, x: NDArray[np.float32], first: int, y: float) -> list[Item]:
    """Return one strip at height y (mm): its words above, grid, and the line around its own middle."""
    from feldsher_signal import draw_trace  # noqa: PLC0415 - loads Numba only when something is drawn

    held = draw_trace.steady(x, report.fs)[0]
    there = held[~np.isnan(held)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)
    gain = next((each for each in _GAINS if (high - low) / 1000 * each < _STRIP_MM - 1), _GAINS[-1])
    corners = draw_trace.points(held, report.fs, _SPEED, gain)
    # Where the line is taller than the strip its middle is shown; otherwise all of it.
    middle = y + _STRIP_MM / 2 + (high + low) / 2000 * gain
    inside = (*paper(MARGIN, y, _INNER, _STRIP_MM), Trace(MARGIN, middle, corners, line=0.22))
    words = ambulatory_text.event(event, report.fs)
    when = ambulatory_text.clock(first / report.fs)
    return [
        Text(MARGIN, y - 1.2, words, 2.8, True, RED if event.kind in ambulatory_text.ALARMING else INK),
        Text(MARGIN + _INNER, y - 1.2, f"from {when} · {gain:g} mm/mV", 2.5, fill=SOFT, anchor="end"),
        Clip(MARGIN, y, _INNER, _STRIP_MM, inside),
    ]
