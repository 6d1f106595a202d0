"""The sheet: every item is found, paper has its lines where millimetres are."""

from __future__ import annotations

from feldsher_signal.draw_sheet import Box, Clip, Grid, Sheet, Text, paper


def test_all_goes_into_clips_in_order() -> None:
    inside = (Text(1, 1, "a", 3), Text(2, 2, "b", 3))
    sheet = Sheet(10, 10, (Box(0, 0, 1, 1), Clip(0, 0, 5, 5, inside), Text(3, 3, "c", 3)))
    assert [item.words for item in sheet.all() if isinstance(item, Text)] == ["a", "b", "c"]
    assert isinstance(next(sheet.all()), Box)


def test_paper_has_one_and_five_millimetre_lines() -> None:
    ground, fine, heavy = paper(2, 3, 100, 50)
    assert isinstance(ground, Box)
    assert isinstance(fine, Grid)
    assert isinstance(heavy, Grid)
    assert (fine.step, heavy.step) == (1, 5)
    assert fine.line < heavy.line
    assert {(each.x, each.y, each.width, each.height) for each in (ground, fine, heavy)} == {(2, 3, 100, 50)}
