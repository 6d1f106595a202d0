"""Slots A and B with the real launcher: trial, keeping, going back by ourselves and where nothing starts any more."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import pytest
from feldsher_edge.slots import FACTORY, Slots
from feldsher_ehr_core.signed import Manifest

LAUNCH = str(files("feldsher_edge") / "launch.sh")


def manifest(sequence: int, keys: tuple[str, ...] = ()) -> Manifest:
    return Manifest(
        kind="gateway", version=f"1.{sequence}", sequence=sequence, target="any", size=1, sha256="0" * 64,
        python="3.11", keys=keys,
    )  # fmt: skip


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    program(tmp_path / "factory" / "bin", "factory")
    return Slots(tmp_path / "software")


def program(folder: Path, says: str) -> None:
    folder.mkdir(parents=True)
    (folder / "feldsher-edge").write_text(f"#!/bin/sh\necho {says} $*\n")
    (folder / "feldsher-edge").chmod(0o755)


def launch(slots: Slots, *arguments: str) -> str:
    environment = os.environ | {
        "FELDSHER_SOFTWARE": str(slots.root),
        "FELDSHER_FACTORY": str(slots.root.parent / "factory"),
    }
    done = subprocess.run(["/bin/sh", LAUNCH, *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def install(slots: Slots, sequence: int, keys: tuple[str, ...] = ()) -> None:
    program(slots.empty_spare() / "env" / "bin", f"release {sequence}")
    slots.try_out(manifest(sequence, keys))


def test_without_an_update_the_factorys_program_runs(slots: Slots) -> None:
    assert (slots.current(), slots.sequence, slots.floor(), slots.trial()) == (FACTORY, 0, 0, None)
    assert launch(slots, "choose") == ""
    assert launch(slots, "run", "--config", "x y") == "factory run --config x y"


def test_an_update_is_tried_kept_and_the_next_takes_the_other_slot(slots: Slots) -> None:
    install(slots, 1)
    launch(slots, "choose")
    assert launch(slots, "run") == "release 1 run"
    assert slots.trial() is not None
    slots.keep()
    assert (slots.current(), slots.floor(), slots.trial()) == ("a", 1, None)
    assert (slots.settle().sequence, slots.settle().state) == (1, "applied")
    install(slots, 2)
    assert (slots.current(), launch(slots, "run")) == ("b", "release 2 run")
    slots.keep()
    assert slots.floor() == 2


def test_an_unhealthy_update_goes_back_and_stays_possible(slots: Slots) -> None:
    install(slots, 1)
    slots.keep()
    install(slots, 2)
    slots.roll_back("no connection")
    assert (slots.current(), slots.floor(), launch(slots, "run")) == ("a", 1, "release 1 run")
    last = slots.settle()
    assert (last.sequence, last.state, last.detail) == (2, "rolled-back", "no connection")


def test_the_first_update_goes_back_to_the_factory(slots: Slots) -> None:
    install(slots, 1)
    slots.roll_back("x")
    assert (slots.current(), launch(slots, "run")) == (FACTORY, "factory run")


def test_a_program_that_does_not_even_start_is_given_up_by_the_launcher_after_three_starts(slots: Slots) -> None:
    install(slots, 1)
    slots.keep()
    install(slots, 2)
    for _ in range(3):
        launch(slots, "choose")
        assert launch(slots, "run") == "release 2 run"
    launch(slots, "choose")
    assert launch(slots, "run") == "release 1 run"
    last = slots.settle()
    assert (last.sequence, last.state) == (2, "rolled-back")
    assert "three times" in (last.detail or "")
    launch(slots, "choose")
    assert launch(slots, "run") == "release 1 run"


@pytest.mark.parametrize("junk", ["", "b", "b a x", "b a 99999999999", "../../etc a 3", "\x00\x01"])
def test_a_damaged_trial_ends_with_a_program_that_runs(slots: Slots, junk: str) -> None:
    install(slots, 1)
    slots.keep()
    (slots.root / "trial").write_text(junk)
    launch(slots, "choose")
    assert launch(slots, "run") in ("release 1 run", "factory run")
    assert slots.trial() is None


def test_keys_of_an_update_are_trusted_once_it_is_kept(slots: Slots) -> None:
    install(slots, 1, keys=("new",))
    assert slots.keys(("pinned",)) == ("pinned",)
    slots.keep()
    assert slots.keys(("pinned",)) == ("new",)
    install(slots, 2)
    slots.keep()
    assert slots.keys(("pinned",)) == ("new",)


def test_without_its_record_of_what_was_kept_nothing_is_installed(slots: Slots) -> None:
    install(slots, 1)
    slots.keep()
    (slots.root / "floor.json").write_text("{")
    assert slots.floor() == 2**31 - 1


def test_an_interrupted_installation_leaves_the_running_slot_alone(slots: Slots) -> None:
    install(slots, 1)
    slots.keep()
    program(slots.empty_spare() / "env" / "bin", "half")
    assert (slots.current(), slots.record("b"), launch(slots, "run")) == ("a", None, "release 1 run")


ONE, TWO = UUID(int=1), UUID(int=2)


def test_a_command_that_is_repeated_is_answered_and_not_carried_out_again(slots: Slots) -> None:
    assert slots.answer(ONE, 1) is None
    slots.begin(ONE, 1)
    slots.note(1, "working", "fetching")
    assert slots.answer(ONE, 1) is None  # a restart has interrupted it: it goes on
    install(slots, 1)
    for task in (ONE, TWO):
        on_trial = slots.answer(task, 1)
        assert on_trial is not None
        assert (on_trial.state, on_trial.detail) == ("working", "on trial")
    slots.keep()
    applied = slots.answer(TWO, 1)
    assert applied is not None
    assert applied.state == "applied"
    assert slots.answer(TWO, 2) is None


def test_what_was_rolled_back_is_tried_again_only_by_another_command(slots: Slots) -> None:
    slots.begin(ONE, 1)
    install(slots, 1)
    slots.roll_back("no connection")
    told = slots.answer(ONE, 1)
    assert told is not None
    assert (told.state, told.detail) == ("rolled-back", "no connection")
    assert slots.answer(TWO, 1) is None
