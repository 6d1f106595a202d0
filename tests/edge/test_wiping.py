"""Forgetting: nothing is left, keys go first, and an interrupted wipe goes on."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from feldsher_edge import wiping


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name in (
        "outbox.sqlite3",
        "outbox.sqlite3-wal",
        "identity/key.pem",
        "identity.old-1/key.pem",
        "config/kept.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"secret" * 1000)
    return tmp_path


def test_everything_is_forgotten_and_the_wish_too(state: Path) -> None:
    wiping.want(state)
    assert wiping.wanted(state) == wiping.Wanted(force=False)
    wiping.want(state, force=True, task=UUID(int=7))
    wiping.want(state)
    assert wiping.wanted(state) == wiping.Wanted(force=True, task=UUID(int=7))
    names = wiping.wipe(state)
    assert names[:2] == ["identity", "identity.old-1"]
    assert list(state.iterdir()) == []


def test_bytes_are_overwritten_before_they_go(state: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "key"
    other.hardlink_to(state / "identity" / "key.pem")  # the same blocks under another name
    wiping.wipe(state)
    assert other.read_bytes() == bytes(6000)


def test_a_link_leads_nowhere_else(state: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "file"
    other.write_text("mine")
    (state / "link").symlink_to(other)
    wiping.wipe(state)
    assert other.read_text() == "mine"
    assert list(state.iterdir()) == []


def test_an_interrupted_wipe_is_still_wanted(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wiping.want(state, force=True)
    wiping.want(state)
    assert wiping.wanted(state) == wiping.Wanted(force=True)  # a force is not taken back

    def fail(path: Path) -> None:
        if path.name == "outbox.sqlite3":
            raise OSError("the power goes")

    with monkeypatch.context() as patch:
        patch.setattr(wiping, "_overwrite", fail)
        with pytest.raises(OSError, match="the power goes"):
            wiping.wipe(state)
    assert not (state / "identity").exists()
    assert wiping.wanted(state) is not None
    (state / "wipe.json").write_text("{")
    assert wiping.wanted(state) == wiping.Wanted()
    wiping.wipe(state)
    assert list(state.iterdir()) == []
    assert wiping.wanted(state) is None
