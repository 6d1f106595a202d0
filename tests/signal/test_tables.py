"""Reports become tables, and find their place on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
import tables


def test_rows_of_the_same_columns_share_a_table() -> None:
    report = {"held": {"P": {"se": 98.25, "sd_ms": 16.0}, "T": {"se": 99.0, "sd_ms": float("nan")}}}
    text = tables.markdown("ludb", report)
    assert text.splitlines() == [
        "### ludb",
        "",
        "| | se | sd_ms |",
        "|---|---|---|",
        "| held, P | 98.25 | 16 |",
        "| held, T | 99 | – |",
    ]


def test_leaves_beside_dictionaries_have_a_row() -> None:
    text = tables.markdown("ptbxl", {"records": 243, "NORM": {"auc": (0.9, 0.8, 1.0)}, "critical": []})
    assert "| ptbxl | 243 |  |" in text
    assert "| NORM | 0.9 / 0.8 / 1 |" in text


def test_texts_by_record_stay_in_their_cell() -> None:
    text = tables.markdown("mitdb", {"one": {"se": 99.9, "missed+false": {"100": "0+0", "108": "3+1"}}})
    assert "| one | 99.9 | 100 0+0, 108 3+1 |" in text


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- ecg -->\nold\n<!-- end of ecg -->\nafter\n")
    tables.place(page, "ecg", "new\n")
    tables.place(page, "ecg", "newer\n")
    assert page.read_text() == "before\n<!-- ecg -->\n\nnewer\n\n<!-- end of ecg -->\nafter\n"


def test_a_page_without_the_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- ecg -->\n")
    with pytest.raises(ValueError, match="end of ecg"):
        tables.place(page, "ecg", "new\n")
    assert page.read_text() == "before\n<!-- ecg -->\n"
