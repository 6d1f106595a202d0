"""SVG: true millimetres, well-formed, escaped, nothing that runs or is fetched."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from feldsher_signal import draw_svg
from feldsher_signal.draw_sheet import Grid, Sheet, Text
from sheets import SHEET

NS = "{http://www.w3.org/2000/svg}"
ROOT = ET.fromstring(draw_svg.svg(SHEET))  # noqa: S314 (our own)


def test_size_and_words() -> None:
    assert (ROOT.attrib["width"], ROOT.attrib["height"], ROOT.attrib["viewBox"]) == ("60mm", "40mm", "0 0 60 40")
    assert ROOT.findtext(f"{NS}title") == "One <sheet> & more"
    assert [each.text for each in ROOT.iter(f"{NS}text")] == ["Ж ≥ 5 <b> & c", "faint"]


def test_only_drawing_elements_and_no_references() -> None:
    assert {each.tag.removeprefix(NS) for each in ROOT.iter()} == {"svg", "title", "rect", "path", "text"}
    names = {name for each in ROOT.iter() for name in each.attrib}
    assert not [name for name in names if name.startswith("on") or "href" in name]
    assert "url(" not in draw_svg.svg(SHEET)


def test_control_characters_do_not_break_the_document() -> None:
    sheet = Sheet(10, 10, (Text(1, 1, "a\x00\x1b\nb", 3),), "t\x08")
    root = ET.fromstring(draw_svg.svg(sheet))  # noqa: S314
    assert root.findtext(f"{NS}text") == "a   b"


def test_a_clip_keeps_the_sheets_coordinates() -> None:
    clip = ROOT.find(f"{NS}svg")
    assert clip is not None
    assert clip.attrib["viewBox"] == "5 5 20 30"
    assert [clip.attrib[name] for name in ("x", "y", "width", "height")] == ["5", "5", "20", "30"]


def test_a_grid_has_its_lines_at_every_step_edges_included() -> None:
    (path,) = re.findall(r'd="([^"]*)"', draw_svg.svg(Sheet(20, 20, (Grid(2, 3, 10, 5, 2.5, "#ff0000", 0.1),))))
    assert path == "M2 3h10M2 5.5h10M2 8h10M2 3v5M4.5 3v5M7 3v5M9.5 3v5M12 3v5"


def test_numbers_are_short() -> None:
    assert [draw_svg.number(value) for value in (1.0, 0.5, 1.234, -0.104, 10.0)] == ["1", "0.5", "1.23", "-0.1", "10"]
