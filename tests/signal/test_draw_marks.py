"""Marks lie at the samples the engine gave, each lead its own, and numbers do not overlap."""

from __future__ import annotations

import itertools
import re

import pytest
from feldsher_signal import draw, draw_marks, draw_page
from feldsher_signal.draw_font import face
from feldsher_signal.draw_sheet import Box, Path, Text
from patients import interpreted

RECORDING, RESULT = interpreted("ventricular_ectopy")[0], interpreted("ventricular_ectopy")[-1]
PAGE = draw_page.lay(RECORDING, "12x1", 25, 10, 0)
ITEMS = draw_marks.marks(PAGE, RECORDING.leads, RESULT)


def _bands(row: int, colour: str) -> list[tuple[float, float]]:
    top, bottom = PAGE.row(row), PAGE.row(row + 1)
    boxes = [item for item in ITEMS if isinstance(item, Box) and top <= item.y < bottom and item.fill == colour]
    return [(box.x, box.x + box.width) for box in boxes]


@pytest.mark.parametrize(("on", "off", "colour"), [(w[2], w[4], w[1]) for w in draw_marks.WAVES])
def test_bands_are_where_the_waves_are(on: str, off: str, colour: str) -> None:
    for row, lead in enumerate(RECORDING.leads):
        cell = PAGE.cells[row]
        ends = [(getattr(wave, on), getattr(wave, off)) for wave in RESULT.waves if wave.lead == lead]
        expected = [(PAGE.x(cell, a), PAGE.x(cell, b)) for a, b in ends if a is not None and b is not None and a >= 0]
        found = _bands(row, colour)
        assert len(found) == len([pair for pair in expected if pair[1] < PAGE.x(cell, cell.stop)])
        assert all(min(abs(a - c) + abs(b - d) for c, d in expected) < 1e-6 for a, b in found)


def test_the_last_row_has_the_beats_classes_and_intervals() -> None:
    words = [item.words for item in ITEMS if isinstance(item, Text) and item.y > PAGE.row(11)]
    assert [word for word in words if word in "NSVFQ"] == [beat.kind for beat in RESULT.beats]
    first, second = RESULT.beats[:2]
    assert f"{1000 * (second.r - first.r) / RECORDING.fs:.0f}" in words
    together = [wave for wave in RESULT.waves if wave.lead == "global"]
    said = [word for word in words if re.fullmatch(r"[–\d]+ · [–\d]+ · [–\d]+", word)]
    allowed = {
        " · ".join(
            "–" if a is None or b is None else f"{1000 * (b - a) / RECORDING.fs:.0f}"
            for a, b in ((w.p_on, w.qrs_on), (w.qrs_on, w.qrs_off), (w.qrs_on, w.t_off))
        )
        for w in together
    }
    assert len(said) >= 5
    assert set(said) <= allowed


@pytest.mark.parametrize("name", ["tachycardia", "ventricular_ectopy", "atrial_fibrillation"])
def test_the_beats_numbers_do_not_overlap(name: str) -> None:
    recording, result = interpreted(name)[0], interpreted(name)[-1]
    page = draw_page.lay(recording, "3x4+1", 25, 10, 0)
    low = page.row(3) + 0.85 * page.pitch
    words = [i for i in draw_marks.marks(page, recording.leads, result) if isinstance(i, Text) and i.y > low]
    assert len(words) > 10
    for a, b in itertools.combinations(words, 2):
        near = abs(a.y - b.y) < 1
        half = [face(bold=i.bold).width(i.words, i.size) / 2 for i in (a, b)]
        middle = [i.x + (h if i.anchor == "start" else 0) for i, h in zip((a, b), half, strict=True)]
        assert not near or abs(middle[0] - middle[1]) > sum(half) - 0.5, (a, b)


def test_marks_are_drawn_only_when_asked_for_and_have_paper_below() -> None:
    plain, marked = draw.paper(RECORDING, RESULT), draw.paper(RECORDING, RESULT, marks=True)
    assert marked.height > plain.height
    assert sum(isinstance(item, Path) for item in marked.all()) > sum(isinstance(item, Path) for item in plain.all())
    low = max(item.y for item in marked.all() if isinstance(item, Text) and re.fullmatch(r"[–\d]+ · .*", item.words))
    assert low < marked.height - 15
