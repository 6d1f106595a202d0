"""The page of a long recording: nothing leaves the paper, strips show the event, bars and bands lie at their time."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from days import joined
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_signal import ambulatory_report, draw_ambulatory, draw_svg
from feldsher_signal.ambulatory import Found, Whole, find
from feldsher_signal.draw_ambulatory import HEIGHT, MARGIN, WIDTH
from feldsher_signal.draw_font import face
from feldsher_signal.draw_sheet import Box, Sheet, Text, Trace
from feldsher_signal.record import Recording


@dataclass(frozen=True)
class Made:
    sheet: Sheet
    report: Ambulatory
    found: Found
    source: Whole


@pytest.fixture(scope="module")
def made() -> Made:
    source = Whole(joined(("ventricular_ectopy", 300), ("atrial_fibrillation", 450))[0])
    found = find(source)
    report = ambulatory_report.describe(found, source, "feldsher-test 9")
    return Made(draw_ambulatory.page(report, found, source), report, found, source)


def _extent(item: Text) -> tuple[float, float, float, float]:
    width = face(bold=item.bold).width(item.words, item.size)
    left = item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor]
    return left, left + width, item.y - 0.7 * item.size, item.y


def test_words_neither_overlap_nor_leave_the_paper(made: Made) -> None:
    places = [(_extent(item), item.words) for item in made.sheet.all() if isinstance(item, Text)]
    assert len(places) > 60
    for (left, right, top, bottom), words in places:
        assert left >= MARGIN - 2, words
        assert right <= WIDTH - MARGIN + 2, words
        assert top > 0
        assert bottom < HEIGHT
    for (a, one), (b, other) in itertools.combinations(places, 2):
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2], (one, other)


def test_it_is_stamped_unless_confirmed_and_says_its_conclusion(made: Made) -> None:
    words = " ".join(item.words for item in made.sheet.all() if isinstance(item, Text))
    assert "UNCONFIRMED" in words
    assert made.report.conclusion[:60] in words
    assert "feldsher-test 9" in words
    signed = draw_ambulatory.page(made.report, made.found, made.source, confirmed="Dr <A>", title="Bed <7>")
    assert "UNCONFIRMED" not in draw_svg.svg(signed)
    assert "Bed &lt;7&gt;" in draw_svg.svg(signed)


def test_each_strip_holds_its_event_in_full_height(made: Made) -> None:
    traces = [item for item in made.sheet.all() if isinstance(item, Trace)]
    events = draw_ambulatory.chosen(made.report)
    assert len(traces) == len(events) >= 3
    assert len({event.kind for event in events}) == len(events)
    for k, trace in enumerate(traces):
        top = 166 + 25 * k
        ys = trace.y + trace.corners[:, 1] / 100
        assert top <= ys.min()
        assert ys.max() <= top + 20
        assert trace.corners[:, 0].max() / 100 <= WIDTH - 2 * MARGIN


def test_fibrillation_lies_behind_its_time(made: Made) -> None:
    bands = [item for item in made.sheet.all() if isinstance(item, Box) and item.fill == "#8e24aa"]
    left, right = MARGIN + 9, WIDTH - MARGIN
    expected = left + 300 / 750 * (right - left)
    assert min(band.x for band in bands) == pytest.approx(expected, abs=0.06 * (right - left))
    assert max(band.x + band.width for band in bands) == pytest.approx(right, abs=0.1)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 9, 10, 11, 99, 150, 999, 8000])
def test_scales_are_round_and_hold_the_highest(most: int) -> None:
    scale = draw_ambulatory._nice(most)  # pyright: ignore[reportPrivateUsage]
    assert most <= scale <= max(2, 2.5 * most)
    assert str(scale).rstrip("0") in {"1", "2", "4", "6", "8"}


def test_nothing_to_see_is_drawn_too() -> None:
    source = Whole(Recording(("II",), 250.0, np.zeros((1, 30_000), np.int32), (1.0,)))
    found = find(source)
    sheet = draw_ambulatory.page(ambulatory_report.describe(found, source, "e"), found, source)
    assert "Not interpretable" in draw_svg.svg(sheet)
    assert "nan" not in draw_svg.svg(sheet)
