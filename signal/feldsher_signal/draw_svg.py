"""A sheet as SVG: true millimetres, escaped text, no scripts, no references to anything outside."""

from __future__ import annotations

from functools import lru_cache
from xml.sax.saxutils import escape

from feldsher_signal import draw_trace
from feldsher_signal.draw_sheet import Box, Clip, Grid, Item, Path, Sheet, Text, Trace

FAMILY = "DejaVu Sans Condensed,Arial,Helvetica,Liberation Sans,sans-serif"
"""Widths are measured in the first; the others are narrower or alike, so that no line outgrows its place."""


def number(value: float) -> str:
    """Return a length with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def svg(sheet: Sheet) -> str:
    """Return the sheet as one SVG document."""
    width, height = number(sheet.width), number(sheet.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}"'
        f' font-family="{FAMILY}" stroke-linejoin="round" stroke-linecap="round" role="img">'
        f'<title>{escape(_clean(sheet.title))}</title><rect width="{width}" height="{height}" fill="#fff"/>'
    )
    return head + "".join([_item(item) for item in sheet.items]) + "</svg>"


def _item(item: Item) -> str:
    match item:
        case Text():
            return _text(item)
        case Trace():
            return (
                f'<path transform="translate({number(item.x)} {number(item.y)}) scale({draw_trace.UNIT})" fill="none"'
                f' stroke="{item.stroke}" stroke-width="{number(item.line / draw_trace.UNIT)}"'
                f' d="{draw_trace.text(item.corners)}"/>'
            )
        case Box():
            return _box(item)
        case Path():
            return _path(item)
        case Grid():
            return _grid(item)
        case Clip():
            place = f"{number(item.x)} {number(item.y)} {number(item.width)} {number(item.height)}"
            x, y, width, height = place.split()
            inside = "".join([_item(each) for each in item.items])
            return f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{place}">{inside}</svg>'


def _clean(words: str) -> str:
    """Return words without the control characters that XML 1.0 cannot hold."""
    return words if words.isprintable() else "".join(c if c.isprintable() else " " for c in words)


def _text(item: Text) -> str:
    weight = ' font-weight="bold"' if item.bold else ""
    anchor = f' text-anchor="{item.anchor}"' if item.anchor != "start" else ""
    rim = f' stroke="{item.rim}" stroke-width=".7" paint-order="stroke"' if item.rim else ""
    clear = f' fill-opacity="{number(item.opacity)}"' if item.opacity < 1 else ""
    return (
        f'<text x="{number(item.x)}" y="{number(item.y)}" font-size="{number(item.size)}" fill="{item.fill}"'
        f"{weight}{anchor}{rim}{clear}>{escape(_clean(item.words))}</text>"
    )


def _box(item: Box) -> str:
    stroke = f' stroke="{item.stroke}" stroke-width="{number(item.line)}"' if item.stroke else ""
    clear = f' fill-opacity="{number(item.opacity)}"' if item.opacity < 1 else ""
    return (
        f'<rect x="{number(item.x)}" y="{number(item.y)}" width="{number(item.width)}" height="{number(item.height)}"'
        f' fill="{item.fill or "none"}"{stroke}{clear}/>'
    )


def _path(item: Path) -> str:
    end = "Z" if item.fill else ""
    data = "".join("M" + "L".join(f"{number(x)} {number(y)}" for x, y in line) + end for line in item.lines)
    dash = f' stroke-dasharray="{number(item.dash)}"' if item.dash else ""
    return (
        f'<path d="{data}" fill="{item.fill or "none"}" stroke="{item.stroke or "none"}"'
        f' stroke-width="{number(item.line)}"{dash}/>'
    )


@lru_cache(maxsize=32)
def _grid(item: Grid) -> str:
    """Return the lines as one path: no pattern, which some viewers draw as a picture."""
    x, y, width, height = (number(each) for each in (item.x, item.y, item.width, item.height))
    down = [number(item.y + k * item.step) for k in range(int(item.height / item.step + 1e-6) + 1)]
    across = [number(item.x + k * item.step) for k in range(int(item.width / item.step + 1e-6) + 1)]
    data = "".join([f"M{x} {at}h{width}" for at in down] + [f"M{at} {y}v{height}" for at in across])
    return f'<path d="{data}" fill="none" stroke="{item.stroke}" stroke-width="{number(item.line)}"/>'
