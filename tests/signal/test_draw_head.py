"""Header and foot: nothing overlaps, nothing leaves the paper."""

from __future__ import annotations

import itertools

import pytest
from feldsher_ehr_core.ecg import Interpretation, LeadQuality, Measurements, Quality, Statement
from feldsher_signal import draw_head
from feldsher_signal.draw_font import face
from feldsher_signal.draw_sheet import Box, Item, Text

LONG = tuple(Statement(f"X{k}", "A long statement " * 6, "possible", ("a reason " * 30,)) for k in range(9))


def _found(statements: tuple[Statement, ...]) -> Interpretation:
    return Interpretation(
        "feldsher-test 9", 500.0, ("I",), 5000, Quality(True, {"I": LeadQuality(False, ("lead_off",))}), (), (), (),
        Measurements(60.0, 160, 100, 90, 400, 405, 404, 403, 402, -30, -30, -150), statements, {}, "All in all. " * 20,
    )  # fmt: skip


def _extent(item: Text) -> tuple[float, float, float, float]:
    width = face(bold=item.bold).width(item.words, item.size)
    left = item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor]
    return left, left + width, item.y - 0.73 * item.size, item.y


def _words(items: list[Item]) -> list[Text]:
    return [item for item in items if isinstance(item, Text)]


@pytest.mark.parametrize("width", [180, 265, 515])
@pytest.mark.parametrize("confirmed", [None, "Dr. Иванова Мария Петровна, district hospital, 2026-11-23 07:00 UTC" * 2])
@pytest.mark.parametrize("statements", [(), LONG[:1], LONG])
def test_words_neither_overlap_nor_leave_the_paper(
    width: float, confirmed: str | None, statements: tuple[Statement, ...]
) -> None:
    items, height = draw_head.head("Title " * 40, _found(statements), confirmed, 7, 7, width)
    places = [(_extent(item), item.words) for item in _words(items)]
    for (left, right, top, bottom), words in places:
        assert left >= 7 - 1e-6, words
        assert right <= 7 + width + 1e-6, words
        assert top >= 7
        assert bottom <= 7 + height
    for (a, one), (b, other) in itertools.combinations(places, 2):
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2], (one, other)


def test_what_was_not_judged_stays_when_statements_have_no_room() -> None:
    last = Statement("AGESEX", "Not judged for want of age or sex", "definite", ("sex not given", "limit of QTc"))
    lines = [each.words for each in _words(draw_head.head("T", _found((*LONG, last)), None, 7, 7, 265)[0])]
    assert any("more statements" in words for words in lines)
    assert "Not judged for want of age or sex: sex not given, limit of QTc" in lines


def test_who_confirmed_takes_the_stamps_place() -> None:
    stamped, signed = draw_head.stamp(None, 0, 0, 66), draw_head.stamp("Dr. A, 2026-11-23", 0, 0, 66)
    assert [each.words for each in _words(stamped)] == ["UNCONFIRMED", "needs physician over-read"]
    assert [each.words for each in _words(signed)] == ["Confirmed", "Dr. A, 2026-11-23"]
    (frame,) = (item for item in signed if isinstance(item, Box))
    assert all(_extent(item)[3] < frame.height for item in _words(signed))


def test_the_legend_leaves_room_for_the_engine() -> None:
    left, right = _words(draw_head.foot("25 mm/s · " * 60, "feldsher 0.1", 7, 200, 265))
    assert _extent(left)[1] < _extent(right)[0]
    assert _extent(right)[1] == pytest.approx(7 + 265)
