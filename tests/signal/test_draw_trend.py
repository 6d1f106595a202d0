"""The trend of QTc: marks at their time and value, limits by sex, formulas never joined."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta

import pytest
from feldsher_signal import draw_trend
from feldsher_signal.draw_sheet import Path, Sheet, Text
from feldsher_signal.draw_trend import Point, trend

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
POINTS = [
    Point(START + timedelta(days=d), q, m, c)
    for d, q, m, c in (
        (10, 450.0, "Fridericia", True), (0, 410.0, "Fridericia", False), (40, 520.0, "Fridericia", True),
        (0, 430.0, "Bazett", False), (40, 540.0, "Bazett", False),
    )
]  # fmt: skip


def _marks(sheet: Sheet) -> list[tuple[float, float, str]]:
    """Return centre and fill of every mark below the legend, the circles first."""
    out: list[tuple[float, float, str]] = []
    for item in sheet.items:
        if isinstance(item, Path) and item.fill and item.lines[0][0][1] > 16:
            (ring,) = item.lines
            centre = [sum(each) / len(ring) for each in zip(*ring, strict=True)]
            out.append((centre[0], centre[1], item.fill))
    return out


def test_marks_lie_at_time_and_value_and_are_filled_when_confirmed() -> None:
    marks = _marks(trend(POINTS))
    assert len(marks) == 5
    circles = marks[:3]
    assert (circles[1][0] - circles[0][0]) / (circles[2][0] - circles[0][0]) == pytest.approx(10 / 40)
    assert (circles[1][1] - circles[0][1]) / (circles[2][1] - circles[0][1]) == pytest.approx(40 / 110)
    assert [fill != "#ffffff" for *_, fill in marks] == [False, True, True, False, False]


def test_lines_join_one_formula_in_order_of_time() -> None:
    lines = [i.lines[0] for i in trend(POINTS).items if isinstance(i, Path) and not i.fill and i.stroke[1] in "12"]
    assert sorted(len(line) for line in lines) == [2, 3]
    assert all(a[0] < b[0] for line in lines for a, b in itertools.pairwise(line))


@pytest.mark.parametrize(("sex", "limits"), [("male", {450, 500}), ("female", {460, 500}), ("unknown", {500})])
def test_limits_by_sex(sex: draw_trend.Sex, limits: set[int]) -> None:
    sheet = trend(POINTS, sex=sex)
    dashed = [item.lines[0][0][1] for item in sheet.items if isinstance(item, Path) and item.dash]
    assert len(dashed) == len(limits)
    words = [item for item in sheet.items if isinstance(item, Text) and item.size == 2.4 and item.words.isdigit()]
    assert {int(item.words) for item in words} == limits
    by_value = {mark[1]: value for mark, value in zip(_marks(sheet), (410, 450, 520, 430, 540), strict=True)}
    (a, qa), (b, qb) = min(by_value.items()), max(by_value.items())
    for y, value in zip(sorted(dashed), sorted(limits, reverse=True), strict=True):
        assert y == pytest.approx(a + (value - qa) / (qb - qa) * (b - a))


def test_one_measurement_and_extremes_stay_on_the_paper() -> None:
    for points in ([POINTS[0]], [Point(START, 250.0, "Hodges"), Point(START, 760.0, "Hodges")]):
        sheet = trend(points)
        assert all(0 < x < sheet.width and 0 < y < sheet.height for x, y, _ in _marks(sheet))
        assert all(math.isfinite(x) for item in sheet.items if isinstance(item, Path) for x, _ in item.lines[0])


def test_refused() -> None:
    for points in ([], [Point(START, math.nan, "Bazett")]):
        with pytest.raises(ValueError, match="points"):
            trend(points)
