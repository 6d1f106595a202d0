"""Above and below ECG paper: numbers, statements with their reasons, the stamp or the signature, the legend."""

from __future__ import annotations

from feldsher_ehr_core.ecg import Interpretation, Measurements, Statement

from feldsher_signal.draw_font import face, shortened, wrapped
from feldsher_signal.draw_sheet import INK, RED, SOFT, Box, Item, Text
from feldsher_signal.registry import LAST

UNCONFIRMED = "UNCONFIRMED — needs physician over-read"
_LINE = 4.0
_STAMP = 66.0
_NAMES = 27.0
"""Millimetres of the column with the numbers' names."""
_NUMBERS = 64.0
_MOST_LINES = 13
_SIZE, _SMALL = 3.1, 2.6

_Line = tuple[str, float, bool, str]
"""A line of the header: words, size in mm, bold, colour."""


def head(
    title: str, interpretation: Interpretation | None, confirmed: str | None, x: float, y: float, width: float
) -> tuple[list[Item], float]:
    """Return the header from (x, y) and its height in mm: numbers left, statements in the middle, the stamp right."""
    out: list[Item] = [Text(x, y + 4, shortened(title, 4.4, width - _STAMP - 4, bold=True), 4.4, True)]
    out += stamp(confirmed, x + width - _STAMP, y, _STAMP)
    lines = 2
    if interpretation is not None:
        numbers = _numbers(interpretation.measurements)
        for k, (name, value) in enumerate(numbers):
            at = y + 10.5 + k * _LINE
            out += [Text(x, at, name, _SIZE, fill=SOFT), Text(x + _NAMES, at, value, _SIZE, True)]
        said = _statements(interpretation, width - _NUMBERS - _STAMP - 4)
        for k, (words, size, bold, fill) in enumerate(said):
            out.append(Text(x + _NUMBERS, y + 10.5 + k * _LINE, words, size, bold, fill))
        lines = max(len(numbers), len(said))
    return out, max(17.0, 12.5 + _LINE * lines)


def stamp(confirmed: str | None, x: float, y: float, width: float) -> list[Item]:
    """Return who confirmed and when, or the stamp that nobody has yet."""
    middle = x + width / 2
    if confirmed:
        lines = wrapped(confirmed, 3.2, width - 6, bold=False)[:3]
        out: list[Item] = [Box(x, y, width, 7 + 4 * len(lines), "#ffffff", INK, 0.4)]
        out.append(Text(middle, y + 4.8, "Confirmed", 3.6, True, anchor="middle"))
        return out + [Text(middle, y + 9 + 4 * k, line, 3.2, anchor="middle") for k, line in enumerate(lines)]
    first, _, second = UNCONFIRMED.partition(" — ")
    return [
        Box(x, y, width, 14, "#ffffff", RED, 0.8),
        Text(middle, y + 7, first, 6, True, RED, "middle"),
        Text(middle, y + 11.6, second, 3.4, False, RED, "middle"),
    ]


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


def _statements(interpretation: Interpretation, width: float) -> list[_Line]:
    """Return the lines of the middle block: what could not be judged comes first, then what alarms."""
    out: list[_Line] = []
    unusable = [
        f"{name} ({', '.join(lead.issues)})" for name, lead in interpretation.quality.leads.items() if not lead.usable
    ]
    if not interpretation.quality.usable:
        out.append(("Not interpretable: signal quality", _SIZE, True, RED))
    if unusable:
        out += _wrapped("Not judged: " + "; ".join(unusable).replace("_", " "), 2.9, width, True, RED)
    for statement in sorted(interpretation.statements, key=lambda each: not each.critical):
        out += _statement(statement, width)
    out += _wrapped(interpretation.conclusion, _SIZE, width, False, INK)
    if len(out) > _MOST_LINES:
        last = _unjudged(interpretation, width)
        out = [*out[: _MOST_LINES - 1 - len(last)], ("… more statements on the screen", _SMALL, False, SOFT), *last]
    return out


def _unjudged(interpretation: Interpretation, width: float) -> list[_Line]:
    """Return what was not judged, a line each: it stays on the page whatever else has no room there."""
    said = [s for s in interpretation.statements if s.code in LAST]
    return [(shortened(f"{s.text}: {', '.join(s.because)}", _SMALL, width, bold=True), _SMALL, True, INK) for s in said]


def _statement(statement: Statement, width: float) -> list[_Line]:
    """Return a statement and its reasons: behind it where they fit, else below it."""
    certainty = "" if statement.certainty == "definite" else f" ({statement.certainty})"
    lines = _wrapped(statement.text + certainty, 3.3, width, True, RED if statement.critical else INK)
    because = "; ".join(statement.because)
    return [*lines, (shortened(because, _SMALL, width, bold=False), _SMALL, False, SOFT)] if because else lines


def _wrapped(words: str, size: float, width: float, bold: bool, fill: str) -> list[_Line]:
    return [(line, size, bold, fill) for line in wrapped(words, size, width, bold=bold)]


def foot(left: str, right: str, x: float, y: float, width: float) -> list[Item]:
    """Return the legend of scale and filters, and who made the page."""
    room = width - face(bold=False).width(right, 3) - 4
    return [
        Text(x, y, shortened(left, 3, room, bold=False), 3),
        Text(x + width, y, right, 3, fill=SOFT, anchor="end"),
    ]
