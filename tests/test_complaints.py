"""docs/complaints.md is true: every complaint of the research has a row, and every row a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "complaints.md"
WANTED = (
    "#1507", "#959", "#1483", "#284", "#2124", "#2094", "#877", "#389", "#318", "#1526", "#21", "#208", "#348", "#4390",
    "#1278", "#1161", "#167", "#76544", "#2485", "#212", "#80", "#190", "#360",
)  # fmt: skip


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "#" in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


def test_every_complaint_has_a_row() -> None:
    assert sorted(number for row in rows() for number in re.findall(r"#\d+", row[0])) == sorted(WANTED)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_names_tests_that_exist(row: list[str]) -> None:
    links = re.findall(r"`([^`]+\.py)::(test_\w+)`", row[2])
    assert links
    for path, name in links:
        assert name in names_in(ROOT / path), f"{path} has no {name}"
