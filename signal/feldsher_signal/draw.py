"""ECG paper in true millimetres: what a doctor is used to, and what must be said before it is believed.

`paper` lays a recording out as a sheet; draw_svg, draw_pdf and draw_png make files of it. Everything is drawn by hand:
no plotting library is loaded. No name of a person is on the page unless the caller gives it.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace

import numpy as np
from feldsher_ehr_core.ecg import Interpretation
from numpy.typing import NDArray

from feldsher_signal import draw_head, draw_marks, draw_page, draw_svg
from feldsher_signal.draw_page import GAINS, HALF_GAIN, MARGIN, PITCH, SPEEDS, USUAL_GAIN, Cell, Layout, Page
from feldsher_signal.draw_sheet import INK, PAPER, RED, Box, Clip, Path, Sheet, Text, Trace
from feldsher_signal.draw_sheet import paper as millimetres
from feldsher_signal.record import Recording

_FOOT = 8.0


def svg(
    recording: Recording,
    interpretation: Interpretation | None = None,
    *,
    layout: Layout = "3x4+1",
    speed: int = 25,
    gain: int | None = None,
    confirmed: str | None = None,
    title: str | None = None,
    watermark: str | None = None,
    steady: bool = True,
    marks: bool = False,
    start: float = 0.0,
) -> str:
    """Return `paper` of the same arguments as one SVG document."""
    return draw_svg.svg(
        paper(
            recording, interpretation, layout=layout, speed=speed, gain=gain, confirmed=confirmed, title=title,
            watermark=watermark, steady=steady, marks=marks, start=start,
        )
    )  # fmt: skip


def paper(
    recording: Recording,
    interpretation: Interpretation | None = None,
    *,
    layout: Layout = "3x4+1",
    speed: int = 25,
    gain: int | None = None,
    confirmed: str | None = None,
    title: str | None = None,
    watermark: str | None = None,
    steady: bool = True,
    marks: bool = False,
    start: float = 0.0,
) -> Sheet:
    """Return a recording as one sheet: grid, leads, calibration, and an interpretation's numbers and statements.

    `speed`: 25 or 50 mm/s; `gain`: 5, 10 or 20 mm/mV, None = 10, or 5 where the rows would run into each other, which
    the page says in red, as it does where they do at the gain that was asked for; `confirmed`: who confirmed it and
    when, None = the page is stamped UNCONFIRMED; `watermark`: across the grid (demo data); `steady`: take slow wander
    out of the drawn line; `marks`: lay the found waves over it; `start`: the first second drawn. Ten seconds are drawn,
    of a single lead up to a minute. Where less than half of the twelve leads are there, every lead has its own row.
    ValueError names a speed, gain or layout that does not exist, an empty recording, or a start outside it.
    """
    if speed not in SPEEDS or (gain is not None and gain not in GAINS) or layout not in PITCH:
        raise ValueError(f"layout, speed, gain: {layout}, {speed} mm/s, {gain} mm/mV is not one of {SPEEDS}, {GAINS}")
    if recording.n < 1:
        raise ValueError("samples: the recording is empty")
    first = round(start * recording.fs)
    if not 0 <= first < recording.n:
        raise ValueError(f"start: {start:g} s is outside the recording's {recording.n / recording.fs:g} s")
    page = draw_page.lay(recording, layout, speed, gain or USUAL_GAIN, first)
    title = title or f"{len(recording.leads)}-lead electrocardiogram"
    head, tall = draw_head.head(title, interpretation, confirmed, MARGIN, MARGIN, page.width)
    page = replace(page, top=MARGIN + tall)
    shown = _shown(page, recording, steady=steady)
    leads = _judged(recording, interpretation)
    page, traces, crowded = _traces(page, shown, leads)
    if crowded and gain is None:
        half = draw_page.lay(recording, layout, speed, HALF_GAIN, first, USUAL_GAIN)
        page, traces, crowded = _traces(replace(half, top=page.top), shown, leads)
    if marks:
        page = replace(page, below=max(page.below, draw_marks.BELOW))
    inside = [
        *millimetres(page.left, page.top, page.width, page.height),
        *_watermark(page, watermark),
        *(_shading(page, recording, interpretation) if interpretation is not None else ()),
        _pulses(page),
        *traces,
        *(draw_marks.marks(page, recording.leads, interpretation) if marks and interpretation is not None else ()),
        *_labels(page, recording),
        *_scale(page, gain, crowded),
    ]
    clip = Clip(page.left, page.top, page.width, page.height, tuple(inside))
    bottom = page.top + page.height
    engine = interpretation.engine if interpretation is not None else ""
    foot = draw_head.foot(_legend(recording, page, steady), engine, MARGIN, bottom + 5, page.width)
    spoken = _spoken(recording, interpretation, confirmed)
    return Sheet(page.width + 2 * MARGIN, bottom + _FOOT + MARGIN, (*head, clip, *foot), spoken)


def _shown(page: Page, recording: Recording, *, steady: bool) -> NDArray[np.float32]:
    """Return the µV that are drawn, from the page's first sample on."""
    from feldsher_signal import draw_trace, jit  # noqa: PLC0415 - loads Numba only when something is drawn

    jit.warm()
    first, stop = _drawn(page)
    shown = replace(recording, samples=recording.samples[:, first:stop]).microvolts()
    return draw_trace.steady(shown, recording.fs) if steady else shown


def _drawn(page: Page) -> tuple[int, int]:
    """Return the first sample drawn and one past the last."""
    return min(cell.start for cell in page.cells), max(cell.stop for cell in page.cells)


def _judged(recording: Recording, interpretation: Interpretation | None) -> frozenset[int]:
    """Return the leads whose waves are waves: all, or those that the interpretation could judge."""
    known = {} if interpretation is None else interpretation.quality.leads
    return frozenset(k for k, name in enumerate(recording.leads) if name not in known or known[name].usable)


def _traces(page: Page, shown: NDArray[np.float32], leads: frozenset[int]) -> tuple[Page, list[Trace], bool]:
    """Return the page with room for the tall lines, the lines of every cell, and whether rows run into each other."""
    from feldsher_signal import draw_trace  # noqa: PLC0415 - as in _shown

    first, _ = _drawn(page)
    lines = [
        draw_trace.points(shown[cell.lead, cell.start - first : cell.stop - first], page.fs, page.speed, page.gain)
        for cell in page.cells
    ]
    crowded = draw_page.crossing(page, lines, draw_trace.UNIT, leads) > draw_page.CROSSING
    page = draw_page.with_room(page, lines, draw_trace.UNIT)
    traces = [
        Trace(page.left + cell.x, page.middle(cell.row), line) for cell, line in zip(page.cells, lines, strict=True)
    ]
    return page, traces, crowded


def _scale(page: Page, asked: int | None, crowded: bool) -> list[Text]:
    """Return in red that the scale is not what the eye expects, or that rows run into each other."""
    halved = asked is None and page.gain != USUAL_GAIN
    said = [f"HALF SCALE: {page.gain} mm/mV"] if halved else []
    said += [f"rows overlap at {page.gain} mm/mV"] if crowded else []
    right = page.left + page.width - 1.5
    return (
        [Text(right, page.top + page.height - 1.8, " · ".join(said), 3.6, True, RED, "end", rim=PAPER)] if said else []
    )


def _pulses(page: Page) -> Path:
    """Return 1 mV for 0.2 s before every row, as the scale draws it."""
    wide, tall = 0.2 * page.speed, float(page.gain)
    x = page.left + (draw_page.PULSE - wide) / 2 if wide < 8 else page.left
    lead = 1.5 if wide < 8 else 0.0

    def pulse(y: float) -> tuple[tuple[float, float], ...]:
        up = ((x, y), (x, y - tall), (x + wide, y - tall), (x + wide, y))
        return ((x - lead, y), *up, (x + wide + lead, y)) if lead else up

    return Path(tuple(pulse(page.middle(row)) for row in range(page.rows)), INK, 0.25)


def _labels(page: Page, recording: Recording) -> list[Path | Text]:
    """Return the names of the leads and the strokes between them."""
    out: list[Path | Text] = []
    one_lead = len({cell.lead for cell in page.cells}) == 1
    for cell in page.cells:
        x, y = page.left + cell.x, page.middle(cell.row)
        if cell.x > draw_page.PULSE:
            out.append(Path((((x, y - 6), (x, y - 3)), ((x, y + 3), (x, y + 6))), INK, 0.3))
        name = recording.leads[cell.lead]
        words = f"{name}  {cell.start / page.fs:g} s" if one_lead and cell.start else name
        # A rim of paper around the letters keeps them readable where a tall wave crosses them.
        out.append(Text(x + 1.2, page.row(cell.row) + 5.2, words, 3.6, True, rim=PAPER))
    return out


def _shading(page: Page, recording: Recording, interpretation: Interpretation) -> list[Box | Text]:
    """Return what could not be judged as shaded boxes with the reason."""
    out: list[Box | Text] = []
    for cell in page.cells:
        name = recording.leads[cell.lead]
        verdict = interpretation.quality.leads.get(name)
        if verdict is not None and not verdict.usable:
            out += _shade(page, cell, cell.start, cell.stop, verdict.issues or ("not usable",))
            continue
        for segment in interpretation.quality.segments:
            start, stop = max(segment.start, cell.start), min(segment.end, cell.stop)
            if not segment.usable and segment.lead in (name, "all") and start < stop:
                out += _shade(page, cell, start, stop, segment.issues)
    return out


def _shade(page: Page, cell: Cell, start: int, stop: int, issues: tuple[str, ...]) -> list[Box | Text]:
    x, width = page.x(cell, start), page.mm(stop - start)
    top, tall = page.row(cell.row) + 0.08 * page.pitch, 0.84 * page.pitch
    words = textwrap.shorten(", ".join(issues).replace("_", " "), max(4, int(width / 1.5)), placeholder="…")
    return [
        Box(x, top, width, tall, "#777777", opacity=0.22),
        Text(x + 1.2, top + tall - 1.2, words, 2.6, fill=RED),
    ]


def _watermark(page: Page, words: str | None) -> list[Text]:
    if not words:
        return []
    size = min(26.0, 1.3 * page.width / len(words))
    x, y = page.left + page.width / 2, page.top + page.height / 2
    return [Text(x, y, words, size, True, "#888888", "middle", opacity=0.25)]


def _spoken(recording: Recording, interpretation: Interpretation | None, confirmed: str | None) -> str:
    words = f"Electrocardiogram, {len(recording.leads)} leads, {recording.n / recording.fs:.0f} seconds"
    if interpretation is not None and interpretation.measurements.rate is not None:
        words += f", rate {interpretation.measurements.rate:.0f} per minute"
    return words + (", confirmed" if confirmed else ", unconfirmed")


def _legend(recording: Recording, page: Page, steady: bool) -> str:
    """Return scale, sampling and filters, and what part of the recording is shown."""
    from feldsher_signal import draw_trace  # noqa: PLC0415 - as in _traces

    band = f"baseline held (zero phase, {draw_trace.LOW_CUT_HZ} Hz)" if steady else "baseline as recorded"
    first, stop = _drawn(page)
    said = [f"{page.speed} mm/s", f"{page.gain} mm/mV", f"{recording.fs:g} Hz", f"{band}, no low-pass, no notch"]
    if first:
        said.append(f"{first / recording.fs:g} to {stop / recording.fs:g} of {recording.n / recording.fs:g} s")
    elif stop < recording.n:
        said.append(f"first {stop / recording.fs:g} of {recording.n / recording.fs:g} s")
    return " · ".join(said)
