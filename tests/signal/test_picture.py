"""Pictures as files: one sheet, three kinds."""

from __future__ import annotations

from feldsher_signal import draw_page, picture
from sheets import SHEET


def test_kinds_begin_as_they_should() -> None:
    assert picture.encoded(SHEET, "svg").startswith(b"<svg")
    assert picture.encoded(SHEET, "pdf").startswith(b"%PDF-1.4")


def test_every_layout_has_a_word() -> None:
    assert set(picture.LAYOUTS.values()) == set(draw_page.PITCH)
