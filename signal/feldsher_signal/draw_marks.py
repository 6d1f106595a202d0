"""What the engine found, laid over the trace: P, QRS and T of every beat in every lead, classes and intervals."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

from feldsher_ehr_core.ecg import Interpretation, Wave

from feldsher_signal.draw_page import Cell, Page
from feldsher_signal.draw_sheet import INK, PAPER, RED, Box, Path, Text

WAVES = (("P", "#1565c0", "p_on", "p_peak", "p_off"), ("QRS", "#b00020", "qrs_on", "r", "qrs_off"))
"""Name, colour and fields of the marked waves; T apart, because it may begin nowhere."""
_T = ("T", "#2e7d32", "t_on", "t_peak", "t_off")
_KINDS = {"N": INK, "S": "#1565c0", "V": RED, "F": "#8e24aa", "Q": "#555555"}
_TOP, _TALL, _SMALL = 0.2, 0.62, 2.2
BELOW = 10.0
"""Millimetres of paper that the beats' numbers need below the last row."""
_ROOM, _NAMED = 14.5, 19.0
"""Millimetres from one beat to the next, and from the rows' names, in which the three intervals have room."""


def marks(page: Page, leads: tuple[str, ...], found: Interpretation) -> list[Box | Path | Text]:
    """Return bands, fiducial ticks and names for every wave on the page, and the beats' numbers on its last row.

    Each lead shows its own marks, the rhythm strip those of all leads together (`global`) with the intervals.
    """
    by_lead: dict[str, list[Wave]] = defaultdict(list)
    for wave in found.waves:
        by_lead[wave.lead].append(wave)
    rows, of_lead = Counter(cell.row for cell in page.cells), Counter(cell.lead for cell in page.cells)
    whole = [k for k, cell in enumerate(page.cells) if rows[cell.row] == 1]
    numbered = whole if len(of_lead) == 1 else whole[-1:]
    out: list[Box | Path | Text] = []
    for k, cell in enumerate(page.cells):
        # A lead that is on the page twice is a rhythm strip the second time.
        together = k in numbered and len(of_lead) > 1 and of_lead[cell.lead] > 1
        out += _bands(page, cell, by_lead["global" if together else leads[cell.lead]])
        if k in numbered:
            out += _beats(page, cell, found, by_lead["global"])
    return out


def _bands(page: Page, cell: Cell, waves: list[Wave]) -> list[Box | Path | Text]:
    out: list[Box | Path | Text] = []
    named: set[str] = set()
    top, tall = page.row(cell.row) + _TOP * page.pitch, _TALL * page.pitch
    for wave in waves:
        for name, colour, on, peak, off in (*WAVES, _T):
            start, middle, stop = getattr(wave, on), getattr(wave, peak), getattr(wave, off)
            ends = [at for at in (start, stop) if at is not None and cell.start <= at < cell.stop]
            if not ends:
                continue
            if len(ends) == 2:
                a, b = page.x(cell, start), page.x(cell, stop)
                out.append(Box(a, top, b - a, tall, colour, opacity=0.13))
                if name not in named:
                    named.add(name)
                    out.append(Text((a + b) / 2, top + tall + 2.6, name, _SMALL, True, colour, "middle", PAPER))
            edges = tuple(((page.x(cell, at), top), (page.x(cell, at), top + tall)) for at in ends)
            out.append(Path(edges, colour, 0.12))
            if middle is not None and cell.start <= middle < cell.stop:
                x = page.x(cell, middle)
                out.append(Path((((x, top + tall - 1.6), (x, top + tall)),), colour, 0.35))
    return out


def _beats(page: Page, cell: Cell, found: Interpretation, waves: list[Wave]) -> list[Box | Path | Text]:
    """Return below a row each beat's class, the interval to the next, and its PR, QRS and QT."""
    out: list[Box | Path | Text] = []
    shown = [(k, beat) for k, beat in enumerate(found.beats) if cell.start <= beat.r < cell.stop]
    of = {wave.beat: wave for wave in waves}
    y = page.row(cell.row) + (_TOP + _TALL) * page.pitch + 6.2
    for at, words in ((y, "RR ms"), (y + 3.4, "PR·QRS·QT")):
        out.append(Text(page.left + 1, at, words, 1.9, rim=PAPER))
    for (k, beat), following in itertools.zip_longest(shown, shown[1:]):
        x = page.x(cell, beat.r)
        out.append(Text(x, y, beat.kind, 2.8, True, _KINDS[beat.kind], "middle", PAPER))
        if following is None:
            continue
        gap = page.x(cell, following[1].r) - x
        if gap >= 9:
            rr = 1000 * (following[1].r - beat.r) / page.fs
            out.append(Text(x + gap / 2, y, f"{rr:.0f}", _SMALL, False, INK, "middle", PAPER))
        if gap >= _ROOM and k in of and x > page.left + _NAMED:
            out.append(Text(x, y + 3.4, _intervals(of[k], page.fs), 2.0, False, INK, "middle", PAPER))
    return out


def _intervals(wave: Wave, fs: float) -> str:
    """Return PR, QRS and QT of one beat in ms, – for what is absent."""
    pairs = ((wave.p_on, wave.qrs_on), (wave.qrs_on, wave.qrs_off), (wave.qrs_on, wave.t_off))
    return " · ".join("–" if a is None or b is None else f"{1000 * (b - a) / fs:.0f}" for a, b in pairs)
