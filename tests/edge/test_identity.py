"""An identity on disk: what is damaged is named, and what a claim left half done is finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_edge import identity
from feldsher_edge.identity import ProvisionError, load_identity
from feldsher_edge.provision import claim_identity
from feldsher_tools.office import Office


@pytest.fixture
def state(office: Office, tmp_path: Path) -> Path:
    claim_identity(office.claim(), tmp_path / "state")
    return tmp_path / "state"


def test_two_thirds_of_thirty_days_are_twenty(state: Path, office: Office) -> None:
    mine = load_identity(state)
    assert mine is not None
    assert round((mine.due() - office.now()).total_seconds() / 86_400, 1) == 20.0
    assert round(mine.left(office.now()).total_seconds() / 86_400, 1) == 30.0


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_a_damaged_file_is_named(state: Path, name: str) -> None:
    mine = load_identity(state)
    assert mine is not None
    (state / "identity" / name).write_text("x")
    with pytest.raises(ProvisionError, match=f"{name}: damaged"):
        mine.shown() if name == "certificate.pem" else mine.private()


def test_a_claim_interrupted_before_its_last_step_is_finished(state: Path) -> None:
    identity.at(state).rename(state / "identity.next")
    assert load_identity(state) is not None
    assert identity.settle(state) == "settled"


def test_what_is_not_complete_is_never_used(state: Path) -> None:
    (state / "identity.next").mkdir()
    (state / "identity.next" / "key.pem").write_text("x")
    assert identity.settle(state) == "settled"
    assert not identity.is_next_complete(state)


def test_without_a_claim_there_is_none(tmp_path: Path) -> None:
    assert load_identity(tmp_path) is None
    assert identity.settle(tmp_path) == "none"
