"""PDF: read back by PDFium: size, words, and lines where the sheet has them."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
import pytest
from feldsher_signal import draw_pdf
from feldsher_signal.draw_sheet import Sheet, Text
from sheets import SHEET

pdfium: Any = pytest.importorskip("pypdfium2", reason="the extra `pictures` is not installed: ./run installs it")


def _bodies(data: bytes) -> list[bytes]:
    return [zlib.decompress(each) for each in re.findall(rb"stream\n(.*?)\nendstream", data, re.DOTALL)]


def test_every_object_is_where_the_table_says() -> None:
    data = draw_pdf.pdf(SHEET)
    start = int(data.split(b"startxref\n")[1].split()[0])
    table = data[start:].split(b"trailer")[0].splitlines()[3:]
    assert len(table) > 10
    for k, row in enumerate(table):
        assert data[int(row[:10]) :].startswith(b"%d 0 obj" % (k + 1))


def test_words_can_be_read_and_the_page_has_its_size() -> None:
    document = pdfium.PdfDocument(draw_pdf.pdf(SHEET, a4=False))
    page = document[0]
    assert page.get_size() == pytest.approx((60 * 72 / 25.4, 40 * 72 / 25.4), abs=0.01)
    text = page.get_textpage().get_text_range()
    assert "Ж ≥ 5 <b> & c" in text
    assert "faint" in text
    assert document.get_metadata_value("Title") == "One <sheet> & more"


def test_lines_lie_where_the_sheet_has_them() -> None:
    """Looked at with ten dots to the millimetre: a filled triangle, a dashed line's first dash, a clipped box."""
    page = pdfium.PdfDocument(draw_pdf.pdf(SHEET, a4=False))[0]
    image = page.render(scale=254 / 72, rev_byteorder=True).to_numpy().astype(int)
    assert image.shape[:2] == (401, 601)
    assert image[214, 440, :3].tolist() == [0, 255, 0]
    assert np.abs(image[200, 310, :3] - (176, 0, 32)).max() <= 2
    assert image[125, 80, 2] > image[125, 80, 0] + 60
    assert image[125, 270, 2] < image[125, 270, 0] + 20
    # The trace from (10, 20) by 1 mm across and 5 mm up: its peak at (11, 15).
    assert image[153, 110, :3].max() < 120


def test_a_sheet_that_fits_lies_in_the_middle_of_a4() -> None:
    wide, tall, huge = Sheet(280, 200, ()), Sheet(190, 290, ()), Sheet(520, 200, ())
    document = pdfium.PdfDocument(draw_pdf.pdf(wide, tall, huge))
    sizes = [tuple(round(side / 72 * 25.4) for side in document[k].get_size()) for k in range(3)]
    assert sizes == [(297, 210), (210, 297), (520, 200)]


def test_the_same_sheet_gives_the_same_bytes_and_nothing_breaks_out_of_a_string() -> None:
    hostile = Sheet(50, 50, (Text(1, 5, ") Tj ET endstream (\\", 3),), "a) >> endobj <b")
    data = draw_pdf.pdf(hostile)
    assert data == draw_pdf.pdf(hostile)
    page = pdfium.PdfDocument(data)[0]
    assert page.get_textpage().get_text_range() == ") Tj ET endstream (\\"
    assert not any(b") Tj" in body for body in _bodies(data))
