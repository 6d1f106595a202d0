"""Where leads lie: standard order, equal shares of time, whole 5 mm squares."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import draw_page
from feldsher_signal.record import Recording

TWELVE = Recording(STANDARD_LEADS, 500.0, np.zeros((12, 6000), np.int32), (1.0,) * 12)
BY_COLUMN = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))


def test_three_by_four_with_a_rhythm_strip() -> None:
    page = draw_page.lay(TWELVE, "3x4+1", 25, 10, 0)
    rows = tuple(tuple(STANDARD_LEADS[c.lead] for c in page.cells if c.row == row) for row in range(page.rows))
    assert rows == BY_COLUMN
    assert [(c.start, c.stop, c.x) for c in page.cells[:4]] == [
        (0, 1250, 10), (1250, 2500, 72.5), (2500, 3750, 135), (3750, 5000, 197.5),
    ]  # fmt: skip
    assert (page.cells[-1].start, page.cells[-1].stop) == (0, 5000)


@pytest.mark.parametrize("layout", list(draw_page.PITCH))
@pytest.mark.parametrize("gain", draw_page.GAINS)
def test_the_grid_is_whole_and_rows_start_on_heavy_lines(layout: draw_page.Layout, gain: int) -> None:
    page = draw_page.lay(TWELVE, layout, 25, gain, 0)
    assert page.width % 5 == page.height % 5 == page.pitch % 5 == 0
    assert all(page.middle(row) % 5 == 0 for row in range(page.rows))


def test_a_sample_lies_where_its_time_is() -> None:
    page = draw_page.lay(TWELVE, "6x2", 50, 10, 500)
    cell = page.cells[1]
    assert cell.start == 500 + 2500
    assert page.x(cell, cell.start) == draw_page.MARGIN + draw_page.PULSE + 5 * 50
    assert page.x(cell, cell.start + 250) - page.x(cell, cell.start) == 25


def test_room_grows_by_whole_squares_up_to_forty_millimetres() -> None:
    page = draw_page.lay(TWELVE, "12x1", 25, 10, 0)

    def grown(up: int, down: int) -> tuple[float, float]:
        lines = [np.array([[0, 0, 1]], np.int32) for _ in page.cells]
        lines[0], lines[-1] = np.array([[0, -up, 1]], np.int32), np.array([[0, down, 1]], np.int32)
        new = draw_page.with_room(page, lines, 0.01)
        return new.above, new.below

    free_up, free_down = 100 * round(page.middle(0)), 100 * round(page.height - page.middle(11))
    assert grown(0, 0) == (0, 0)
    assert grown(free_up - 100, free_down - 100) == (0, 0)
    assert grown(free_up + 300, free_down + 1000) == (5, 15)
    assert grown(900_000, 900_000) == (40, 40)


def test_rows_cross_by_how_far_waves_reach_past_each_other() -> None:
    page = draw_page.lay(TWELVE, "6x2", 25, 10, 0)
    lines = [np.array([[0, 0, 1]], np.int32) for _ in page.cells]
    down, up = round(100 * page.pitch), round(50 * page.pitch)
    lines[0] = np.array([[0, 0, 1], [1, down, 1]], np.int32)
    every = range(12)
    assert draw_page.crossing(page, lines, 0.01, every) == 0
    # The cell below it, not the one beside that.
    lines[3] = np.array([[0, -up, 1]], np.int32)
    assert draw_page.crossing(page, lines, 0.01, every) == 0
    lines[2] = np.array([[0, -up, 1]], np.int32)
    assert draw_page.crossing(page, lines, 0.01, every) == pytest.approx(0.5)
    assert draw_page.crossing(page, lines, 0.01, [k for k in every if k != page.cells[2].lead]) == 0
