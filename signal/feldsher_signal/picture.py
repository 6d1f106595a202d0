"""A picture as a file: the same sheet as SVG, PDF or PNG."""

from __future__ import annotations

from typing import Literal

from feldsher_signal import draw_pdf, draw_svg
from feldsher_signal.draw_page import Layout
from feldsher_signal.draw_sheet import Sheet

Kind = Literal["svg", "pdf", "png"]
MEDIA: dict[Kind, str] = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}
LAYOUTS: dict[str, Layout] = {"3x4": "3x4+1", "6x2": "6x2", "12x1": "12x1", "single": "single"}
"""Layouts as the command line names them."""


class PictureError(Exception):
    """A picture cannot be made here; says what is missing."""


def encoded(sheet: Sheet, kind: Kind) -> bytes:
    """Return a sheet as a file's bytes; PictureError where what PNG needs is not installed."""
    if kind == "svg":
        return draw_svg.svg(sheet).encode()
    if kind == "pdf":
        return draw_pdf.pdf(sheet)
    from feldsher_signal import draw_png  # noqa: PLC0415 - only when a PNG is wanted

    try:
        return draw_png.png(sheet)
    except ImportError as error:
        raise PictureError("PNG needs the extra `pictures` (pypdfium2), which is not installed") from error
