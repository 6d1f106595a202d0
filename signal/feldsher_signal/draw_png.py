"""A sheet as PNG: its PDF page drawn by PDFium, so that all three formats show the same lines.

Needs the extra `pictures` (pypdfium2: Apache-2.0 or BSD-3-Clause), loaded only when a PNG is asked for.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from typing import Any

from feldsher_signal.draw_pdf import pdf
from feldsher_signal.draw_sheet import Sheet

DPI = 200
"""Dots per inch: a 1 mm square is 8 dots wide and its lines are still seen."""
_DPI_RANGE = (50, 600)


def png(sheet: Sheet, dpi: int = DPI) -> bytes:
    """Return the sheet as an RGB PNG that knows its size in metres; ImportError where the extra is missing."""
    if not _DPI_RANGE[0] <= dpi <= _DPI_RANGE[1]:
        raise ValueError(f"dpi: {dpi} is outside {_DPI_RANGE[0]} to {_DPI_RANGE[1]}")
    reader: Any = importlib.import_module("pypdfium2")
    document = reader.PdfDocument(pdf(sheet, a4=False))
    try:
        image = document[0].render(scale=dpi / 72, rev_byteorder=True, prefer_bgrx=False).to_numpy()
        height, width, _ = image.shape
        # Every row begins with its filter: none.
        rows = b"".join(b"\0" + row.tobytes() for row in image[:, :, :3])
    finally:
        document.close()
    per_metre = round(dpi / 0.0254)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">2LB", per_metre, per_metre, 1)),
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
