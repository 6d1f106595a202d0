"""The hazard log is true: every hazard has a control, and every control a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOG = ROOT / "docs" / "safety" / "hazard-log.md"


def rows() -> list[list[str]]:
    lines = [line for line in LOG.read_text().splitlines() if line.startswith("| H")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_hazards_are_numbered_without_gap_or_repeat() -> None:
    assert [row[0] for row in rows()] == [f"H{n}" for n in range(1, len(rows()) + 1)]
    assert len(rows()) >= 10


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_hazard_names_controls_and_tests_that_exist(row: list[str]) -> None:
    _, hazard, control, tests = row
    assert hazard
    assert control
    links = re.findall(r"`([^`]+\.py)::(test_\w+)`", tests)
    assert links, f"{row[0]} names no test"
    for path, name in links:
        assert (ROOT / path).is_file(), f"{row[0]}: {path} does not exist"
        assert name in names_in(ROOT / path), f"{row[0]}: {path} has no {name}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
