"""The ledger of losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from feldsher_edge.ledger import Ledger, Loss
from feldsher_edge.store import Store

LOSS = Loss("vitals", "outbox full: more than 5 rows", 1, 100, 100, "AA:BB", readings=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "o")
    yield opened
    opened.close()


def test_losses_of_one_kind_cause_and_device_are_one_entry(store: Store) -> None:
    ledger = Ledger(store)
    ledger.dropped(LOSS)
    ledger.dropped(replace(LOSS, first_us=50, last_us=200, count=2, readings=5))
    ledger.dropped(replace(LOSS, device="CC:DD"))
    ledger.dropped(replace(LOSS, device=None))
    found = {loss.device: loss for loss in ledger.take()}
    assert found["AA:BB"] == replace(LOSS, count=3, first_us=50, last_us=200, readings=8)
    assert found["CC:DD"] == replace(LOSS, device="CC:DD")
    assert found[None] == replace(LOSS, device=None)
    assert ledger.take() == []
    assert ledger.total("dropped") == 5


def test_what_was_only_noted_is_not_counted_as_dropped(store: Store) -> None:
    ledger = Ledger(store)
    ledger.note(LOSS)
    ledger.thinned(replace(LOSS, what="reading", count=7, readings=7))
    assert (ledger.total("dropped"), ledger.total("thinned")) == (0, 7)
    assert len(ledger.take()) == 2
