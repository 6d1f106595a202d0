"""docs/statements.md shows the registry, and every code that rules can emit is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from feldsher_ehr_core.ecg import Severity
from feldsher_signal import registry
from feldsher_tools import statements
from patients import interpreted

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "signal" / "feldsher_signal"


def test_page_and_registry_agree() -> None:
    text = statements.PAGE.read_text(encoding="utf-8")
    assert statements.page(text) == text


def test_weights_and_counts() -> None:
    assert registry.about("NORM").severity == "normal"
    assert not registry.about("NORM").rule_only
    assert registry.about("WPW").rule_only
    assert registry.about("STEMI").severity == "urgent"
    assert set(registry.positives()) <= set(registry.REGISTRY) | {"AFLT"}
    assert {e.severity for e in registry.REGISTRY.values()} <= set(get_args(Severity))


def test_every_emitted_code_is_registered() -> None:
    emitted: set[str] = set()
    for path in SOURCE.glob("*.py"):
        emitted |= set(re.findall(r'(?:Verdict|judged|_partly)\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
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
