"""docs/statements.md shows the registry, and every code that rules can emit is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from feldsher_signal import registry
from patients import interpreted

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "signal" / "feldsher_signal"


def rows() -> dict[str, list[str]]:
    """Return the table of docs/statements.md by code."""
    text = (ROOT / "docs" / "statements.md").read_text(encoding="utf-8")
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_page_and_registry_agree() -> None:
    expected = {
        code: [entry.text, entry.origin, entry.superclass or "–", entry.rule, entry.source]
        for code, entry in registry.REGISTRY.items()
    }
    assert rows() == expected


def test_every_emitted_code_is_registered() -> None:
    emitted: set[str] = set()
    for path in SOURCE.glob("*.py"):
        emitted |= set(re.findall(r'(?:Verdict|_stated)\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
    assert len(emitted) > 40
    assert emitted <= set(registry.REGISTRY)


@pytest.mark.parametrize("name", ["normal", "paced", "noisy", "inferior_stemi"])
def test_what_is_stated_is_registered(name: str) -> None:
    assert {s.code for s in interpreted(name)[2].statements} <= set(registry.REGISTRY)


def test_every_rule_names_its_source() -> None:
    for code, entry in registry.REGISTRY.items():
        assert entry.rule, code
        assert entry.source, code
        assert entry.origin in ("SCP", "own")
        assert entry.superclass in ("", *registry.SUPERCLASSES)
