"""ECG paper as SVG, in true millimetres: what a doctor is used to, and what must be said before it is believed.

Everything is drawn by hand: no plotting library is loaded, and the text is escaped. No name of a person is on the page
unless the caller gives it as `title`.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS, Interpretation, Measurements, Statement
from numpy.typing import NDArray

from feldsher_signal import draw_trace
from feldsher_signal.record import Recording

Layout = Literal["3x4+1", "6x2", "12x1", "single"]

UNCONFIRMED = "UNCONFIRMED — needs physician over-read"
SPEEDS = (25, 50)
GAINS = (5, 10, 20)

_ROW_SECONDS = 10.0
_SINGLE_ROWS = 6
_MARGIN = 7.0
_PULSE = 10.0
_FOOT = 8.0
_LINE = 4.0
_PAPER, _MINOR, _MAJOR, _INK, _SOFT, _RED = "#fffaf9", "#f6cfcf", "#e79a9a", "#111", "#555", "#b00020"
# Millimetres between rows at 10 mm/mV.
_PITCH = {"3x4+1": 30.0, "6x2": 25.0, "12x1": 20.0, "single": 35.0}


@dataclass(frozen=True, slots=True)
class _Cell:
    """One piece of one lead: where it begins on the grid (mm), and its samples."""

    row: int
    lead: int
    x: float
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Page:
    """The grid: its cells, size in mm and scale, and the room of tall waves above the first and below the last row."""

    cells: tuple[_Cell, ...]
    rows: int
    pitch: float
    width: float
    speed: int
    gain: int
    fs: float
    above: float = 0.0
    below: float = 0.0

    @property
    def height(self) -> float:
        """Millimetres of the grid."""
        return self.above + self.rows * self.pitch + self.below

    def middle(self, row: int) -> float:
        """Return where 0 mV of a row lies (mm): on a heavy line of the grid."""
        return self.top(row) + 5 * round(0.11 * self.pitch)

    def top(self, row: int) -> float:
        """Return where a row begins (mm)."""
        return self.above + row * self.pitch

    def mm(self, samples: float) -> float:
        """Return how wide so many samples are."""
        return samples / self.fs * self.speed


def svg(
    recording: Recording,
    interpretation: Interpretation | None = None,
    *,
    layout: Layout = "3x4+1",
    speed: int = 25,
    gain: int = 10,
    confirmed: str | None = None,
    title: str | None = None,
    watermark: str | None = None,
    steady: bool = True,
) -> str:
    """Return a recording as one SVG page: grid, leads, calibration, and an interpretation's numbers and statements.

    `speed`: 25 or 50 mm/s; `gain`: 5, 10 or 20 mm/mV; `confirmed`: who confirmed it and when, None = the page is
    stamped UNCONFIRMED; `watermark`: across the grid (demo data); `steady`: take slow wander out of the drawn line. The
    first ten seconds are drawn, of a single lead up to a minute. Where less than half of the twelve leads are there,
    every lead has its own row. ValueError names a speed, gain or layout that does not exist, or an empty recording.
    """
    if speed not in SPEEDS or gain not in GAINS or layout not in _PITCH:
        raise ValueError(f"layout, speed, gain: {layout}, {speed} mm/s, {gain} mm/mV is not one of {SPEEDS}, {GAINS}")
    if recording.n < 1:
        raise ValueError("samples: the recording is empty")
    page = _page(recording, layout, speed, gain)
    stop = max(cell.stop for cell in page.cells)
    shown = replace(recording, samples=recording.samples[:, :stop]).microvolts()
    if steady:
        shown = draw_trace.steady(shown, recording.fs)
    page = _with_room(page, shown)
    head, head_height = _head(recording, interpretation, confirmed, title, page.width)
    width, height = page.width + 2 * _MARGIN, head_height + page.height + _FOOT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}mm" height="{_n(height)}mm"'
        f' viewBox="0 0 {_n(width)} {_n(height)}" font-family="Helvetica,Arial,DejaVu Sans,sans-serif" role="img">',
        f"<title>{escape(_spoken(recording, interpretation, confirmed))}</title>",
        f'<rect width="{_n(width)}" height="{_n(height)}" fill="#fff"/>',
        f'<g transform="translate({_n(_MARGIN)} {_n(_MARGIN)})">{head}</g>',
        f'<svg x="{_n(_MARGIN)}" y="{_n(_MARGIN + head_height)}" width="{_n(page.width)}" height="{_n(page.height)}"'
        f' viewBox="0 0 {_n(page.width)} {_n(page.height)}">',
        _grid(page.width, page.height),
        _watermark(page, watermark),
        _shading(page, recording, interpretation),
        _traces(page, shown),
        _labels(page, recording),
        "</svg>",
        _foot(recording, interpretation, page, _MARGIN + head_height + page.height + 5, steady),
        "</svg>",
    ]
    return "".join(parts)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _page(recording: Recording, layout: Layout, speed: int, gain: int) -> _Page:
    rows = _arrangement(recording, layout)
    window = round(_ROW_SECONDS * recording.fs)
    cells: list[_Cell] = []
    if layout == "single":
        lead = rows[0][0]
        for row, start in enumerate(range(0, min(recording.n, _SINGLE_ROWS * window), window)):
            cells.append(_Cell(row, lead, _PULSE, start, min(recording.n, start + window)))
        count, longest = len(cells), cells[0].stop
    else:
        count, longest = len(rows), min(recording.n, window)
        for row, leads in enumerate(rows):
            each = longest / len(leads)
            cells += [
                _Cell(
                    row, lead, _PULSE + round(i * each) / recording.fs * speed, round(i * each), round((i + 1) * each)
                )
                for i, lead in enumerate(leads)
                if lead >= 0
            ]
    width = max(_PULSE + longest / recording.fs * speed + 2, 180.0)
    # Whole 5 mm squares, so that the grid ends on a heavy line.
    pitch = math.ceil(_PITCH[layout] * max(0.7, gain / 10) / 5) * 5.0
    return _Page(tuple(cells), count, pitch, math.ceil(width / 5) * 5.0, speed, gain, recording.fs)


def _with_room(page: _Page, shown: NDArray[np.float32]) -> _Page:
    """Return the page with up to 40 mm more at its ends, so that no tall wave leaves the paper."""

    def reach(row: int, sign: int) -> float:
        pieces = [sign * shown[cell.lead, cell.start : cell.stop] for cell in page.cells if cell.row == row]
        present = [piece[~np.isnan(piece)] for piece in pieces]
        return max((float(piece.max()) for piece in present if piece.size), default=0.0) / 1000 * page.gain

    def room(need: float) -> float:
        return min(40.0, max(0.0, 5.0 * math.ceil((need + 1) / 5)))

    up = page.middle(0)
    down = page.height - page.middle(page.rows - 1)
    return replace(page, above=room(reach(0, 1) - up), below=room(reach(page.rows - 1, -1) - down))


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


@lru_cache(maxsize=16)
def _grid(width: float, height: float) -> str:
    """Return millimetre paper as two paths: no pattern, which some viewers draw as a picture."""

    def lines(step: int) -> str:
        across = "".join(f"M0 {y}h{_n(width)}" for y in range(0, int(height) + 1, step))
        return across + "".join(f"M{x} 0v{_n(height)}" for x in range(0, int(width) + 1, step))

    return (
        f'<rect width="{_n(width)}" height="{_n(height)}" fill="{_PAPER}"/>'
        f'<path d="{lines(1)}" stroke="{_MINOR}" stroke-width=".1"/>'
        f'<path d="{lines(5)}" stroke="{_MAJOR}" stroke-width=".2"/>'
    )


def _traces(page: _Page, shown: NDArray[np.float32]) -> str:
    pulse = "".join(f"M1 {_n(page.middle(row))}h1.5v-{page.gain}h5v{page.gain}h1.5" for row in range(page.rows))
    lines = "".join(
        f'<path transform="translate({_n(cell.x)} {_n(page.middle(cell.row))}) scale({draw_trace.UNIT})"'
        f' d="{draw_trace.path(shown[cell.lead, cell.start : cell.stop], page.fs, page.speed, page.gain)}"/>'
        for cell in page.cells
    )
    return (
        f'<g fill="none" stroke="{_INK}" stroke-linejoin="round" stroke-linecap="round">'
        f'<path d="{pulse}" stroke-width=".25"/><g stroke-width="25">{lines}</g></g>'
    )


def _labels(page: _Page, recording: Recording) -> str:
    out: list[str] = []
    one_lead = len({cell.lead for cell in page.cells}) == 1
    for cell in page.cells:
        y = page.middle(cell.row)
        if cell.x > _PULSE:
            out.append(f'<path d="M{_n(cell.x)} {_n(y - 6)}v3m0 6v3" stroke="{_INK}" stroke-width=".3"/>')
        name = recording.leads[cell.lead]
        words = f"{name}  {cell.start / page.fs:g} s" if one_lead and cell.start else name
        out.append(_text(cell.x + 1.2, page.top(cell.row) + 5.2, words, 3.6, bold=True))
    # A rim of paper around the letters keeps them readable where a tall wave crosses them.
    return f'<g stroke="{_PAPER}" stroke-width=".7" paint-order="stroke">{"".join(out)}</g>'


def _shading(page: _Page, recording: Recording, interpretation: Interpretation | None) -> str:
    """Return what could not be judged as shaded boxes with the reason."""
    if interpretation is None:
        return ""
    out: list[str] = []
    for cell in page.cells:
        name = recording.leads[cell.lead]
        verdict = interpretation.quality.leads.get(name)
        if verdict is not None and not verdict.usable:
            out.append(_box(page, cell, cell.start, cell.stop, verdict.issues or ("not usable",)))
            continue
        for segment in interpretation.quality.segments:
            start, stop = max(segment.start, cell.start), min(segment.end, cell.stop)
            if not segment.usable and segment.lead in (name, "all") and start < stop:
                out.append(_box(page, cell, start, stop, segment.issues))
    return "".join(out)


def _box(page: _Page, cell: _Cell, start: int, stop: int, issues: tuple[str, ...]) -> str:
    x, width = cell.x + page.mm(start - cell.start), page.mm(stop - start)
    top = page.top(cell.row) + 0.08 * page.pitch
    words = ", ".join(issues).replace("_", " ")
    fits = max(4, int(width / 1.5))
    return (
        f'<rect x="{_n(x)}" y="{_n(top)}" width="{_n(width)}" height="{_n(0.84 * page.pitch)}"'
        f' fill="#777" fill-opacity=".22"/>'
        + _text(x + 1.2, top + 0.8 * page.pitch, textwrap.shorten(words, fits, placeholder="…"), 2.6, fill=_RED)
    )


def _watermark(page: _Page, words: str | None) -> str:
    if not words:
        return ""
    size = min(26.0, 1.3 * page.width / len(words))
    return (
        f'<text x="{_n(page.width / 2)}" y="{_n(page.height / 2)}" font-size="{_n(size)}"'
        f' text-anchor="middle" fill="#888" fill-opacity=".25" font-weight="bold">{escape(words)}</text>'
    )


def _text(
    x: float, y: float, words: str, size: float, *, bold: bool = False, fill: str = _INK, anchor: str = ""
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size}" fill="{fill}"{weight}{at}>{escape(words)}</text>'


def _head(
    recording: Recording, interpretation: Interpretation | None, confirmed: str | None, title: str | None, width: float
) -> tuple[str, float]:
    """Return the header and its height in mm: numbers on the left, statements in the middle, the stamp on the right."""
    out = [_text(0, 4, title or f"{len(recording.leads)}-lead electrocardiogram", 4.4, bold=True)]
    stamp = 66.0
    out.append(_stamp(width - stamp, stamp, confirmed))
    lines = 2
    if interpretation is not None:
        table = _numbers(interpretation.measurements)
        for i, (name, value) in enumerate(table):
            y = 10.5 + i * _LINE
            out += [_text(0, y, name, 3.1, fill=_SOFT), _text(24, y, value, 3.1, bold=True)]
        said = _statements(interpretation, width - 64 - stamp - 4)
        out += [_text(64, 10.5 + i * _LINE, *line[:2], bold=line[2], fill=line[3]) for i, line in enumerate(said)]
        lines = max(len(table), len(said))
    return "".join(out), 10.5 + lines * _LINE


def _stamp(x: float, width: float, confirmed: str | None) -> str:
    if confirmed:
        return _text(x + width, 4, f"Confirmed: {confirmed}", 3.4, bold=True, anchor="end")
    first, _, second = UNCONFIRMED.partition(" — ")
    return (
        f'<rect x="{_n(x)}" y="0" width="{_n(width)}" height="14" rx="1.5" fill="#fff" stroke="{_RED}"'
        ' stroke-width=".8"/>'
        + _text(x + width / 2, 7, first, 6, bold=True, fill=_RED, anchor="middle")
        + _text(x + width / 2, 11.6, second, 3.4, fill=_RED, anchor="middle")
    )


def _numbers(m: Measurements) -> list[tuple[str, str]]:
    def show(unit: str, *values: float | None) -> str:
        return f"{' / '.join('–' if value is None else f'{value:.0f}' for value in values)} {unit}"

    return [
        ("Rate", show("/min", m.rate)),
        ("PR", show("ms", m.pr)),
        ("QRS", show("ms", m.qrs)),
        ("QT", show("ms", m.qt)),
        ("QTc Frid./Baz.", show("ms", m.qtc_fridericia, m.qtc_bazett)),
        ("Axes P/QRS/T", show("°", m.axis_p, m.axis_qrs, m.axis_t)),
    ]


_Line = tuple[str, float, bool, str]


def _statements(interpretation: Interpretation, width: float) -> list[_Line]:
    """Return the lines of the middle block as (text, size, bold, colour): what could not be judged comes first."""
    out: list[_Line] = []
    unusable = [
        f"{name} ({', '.join(lead.issues)})" for name, lead in interpretation.quality.leads.items() if not lead.usable
    ]
    if not interpretation.quality.usable:
        out.append(("Not interpretable: signal quality", 3.3, True, _RED))
    if unusable:
        out += _wrapped("Not judged: " + "; ".join(unusable).replace("_", " "), 2.9, width, bold=True, fill=_RED)
    for statement in sorted(interpretation.statements, key=lambda each: not each.critical):
        out += _statement(statement, width)
    out += _wrapped(interpretation.conclusion, 3.1, width, bold=False, fill=_INK)
    if len(out) > 13:
        out = [*out[:12], ("… more statements on the screen", 2.9, False, _SOFT)]
    return out


def _statement(statement: Statement, width: float) -> list[_Line]:
    certainty = "" if statement.certainty == "definite" else f" ({statement.certainty})"
    colour = _RED if statement.critical else _INK
    lines = _wrapped(statement.text + certainty, 3.3, width, bold=True, fill=colour)
    because = textwrap.shorten("; ".join(statement.because), int(width / 1.45), placeholder=" …")
    return [*lines, (because, 2.6, False, _SOFT)] if because else lines


def _wrapped(words: str, size: float, width: float, *, bold: bool, fill: str) -> list[_Line]:
    # Sans-serif letters are on average half as wide as they are high.
    return [(line, size, bold, fill) for line in textwrap.wrap(words, max(20, int(width / (0.53 * size))))]


def _spoken(recording: Recording, interpretation: Interpretation | None, confirmed: str | None) -> str:
    words = f"Electrocardiogram, {len(recording.leads)} leads, {recording.n / recording.fs:.0f} seconds"
    if interpretation is not None and interpretation.measurements.rate is not None:
        words += f", rate {interpretation.measurements.rate:.0f} per minute"
    return words + (", confirmed" if confirmed else ", unconfirmed")


def _foot(recording: Recording, interpretation: Interpretation | None, page: _Page, y: float, steady: bool) -> str:
    band = f"baseline held (zero phase, {draw_trace.LOW_CUT_HZ} Hz)" if steady else "baseline as recorded"
    shown = max(cell.stop for cell in page.cells)
    said = [f"{page.speed} mm/s", f"{page.gain} mm/mV", f"{recording.fs:g} Hz", f"{band}, no low-pass, no notch"]
    if shown < recording.n:
        said.append(f"first {shown / recording.fs:g} of {recording.n / recording.fs:g} s")
    left = " · ".join(said)
    right = interpretation.engine if interpretation is not None else ""
    return _text(_MARGIN, y, left, 3) + _text(_MARGIN + page.width, y, right, 3, fill=_SOFT, anchor="end")
