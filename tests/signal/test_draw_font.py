"""The typefaces: what they can write, how wide it is, lines that fit."""

from __future__ import annotations

import zlib

import pytest
from feldsher_signal import draw_font


@pytest.mark.parametrize("bold", [False, True])
def test_what_clinics_write_can_be_drawn(bold: bool) -> None:
    face = draw_font.face(bold=bold)
    assert all(face.glyph(c) for c in "AZaz09 äßéñçžșțіїёЖяΔαµ°′″²≥≤±×–—…·•№→−")
    assert face.glyph("漢") == face.glyph("😀") == 0
    assert len(zlib.decompress(face.packed)) == face.size


def test_widths_are_those_of_the_typeface() -> None:
    """DejaVu Sans Condensed: figures are all 1,172 of 2,048 wide, a space 585 (read with fonttools)."""
    face = draw_font.face(bold=False)
    assert {face.width(c, 2048) for c in "0123456789"} == {1172}
    assert face.width(" ", 2048) == 585
    assert face.width("12 ", 10) == pytest.approx(10 * (2 * 1172 + 585) / 2048)
    assert draw_font.face(bold=True).width("Rate", 3) > face.width("Rate", 3)


@pytest.mark.parametrize("words", ["a short one", "W" * 200, "wide WWWW MMMM " * 12, "i l i l " * 40, ""])
def test_wrapped_lines_fit_and_say_everything(words: str) -> None:
    lines = draw_font.wrapped(words, 3.3, 90, bold=True)
    assert "".join("".join(lines).split()) == "".join(words.split())
    assert all(draw_font.face(bold=True).width(line, 3.3) <= 90 for line in lines)


def test_shortened_words_fit_and_end_with_an_ellipsis() -> None:
    assert draw_font.shortened("short", 3, 40, bold=False) == "short"
    cut = draw_font.shortened("V2 0.35 mV; V3 0.30 mV; V4 0.28 mV", 3, 30, bold=False)
    assert cut.endswith("…")
    assert draw_font.face(bold=False).width(cut, 3) <= 30
    assert draw_font.shortened("no room at all", 3, 0.1, bold=False) == ""
