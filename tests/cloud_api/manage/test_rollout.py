"""Rollouts in the database: stage after stage as gateways answer, halted where too many fail, resumed by people."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.manage import rollout
from feldsher_cloud_api.manage.release import Artefact, ReleaseError, find
from feldsher_cloud_api.manage.tasks import Asker, TaskError
from feldsher_ehr_core import wire
from feldsher_ehr_core.rollout import Plan
from feldsher_tools.clinic import Clinic

WHO = Asker("The technician")
PLAN = Plan((20, 60, 100), least_applied=100, most_failed=25, observe_s=3600)


class Fleet:
    """Five claimed gateways, an update for them, and what they say."""

    def __init__(self, clinic: Clinic, worker: db.Connection) -> None:
        self.clinic, self.worker = clinic, worker
        self.names = [f"gw-{uuid4().hex[:12]}" for _ in range(5)]
        with clinic.owner() as connection:
            connection.execute("INSERT INTO cloud.release_key (public, name) VALUES ('key', 'test')")
            for name in self.names:
                connection.execute(
                    "INSERT INTO cloud.gateway (id, name, certificate_serial) VALUES (%s, '', '1')", (name,)
                )
        self.artefact = self.add("a")
        self.rollout = UUID(int=0)

    def add(self, letter: str, **changes: Any) -> Artefact:
        values = {"kind": "gateway", "sequence": 5, "target": "x86_64", "python": "3.11", "board": ""} | changes
        with self.clinic.owner() as connection:
            connection.execute(
                "INSERT INTO cloud.artefact (sha256, kind, version, sequence, target, python, board, size, manifest,"
                " signature, release_key, added_by, added_at) VALUES (repeat(%s, 64), %s, '2.0', %s, %s, %s, %s, 1, '',"
                " repeat('x', 64)::bytea, 'key', 'x', now())",
                (letter, *values.values()),
            )
            return find(connection, letter * 64)

    def start(self, plan: Plan = PLAN, **changes: Any) -> None:
        fields: dict[str, Any] = {"reason": "newer", "now": self.clinic.time()} | changes
        with self.clinic.owner() as connection:
            targets = [(name, "") for name in self.names]
            self.rollout = rollout.start(connection, self.artefact, targets, plan, WHO, **fields)

    def step(self) -> int:
        return rollout.step(self.worker, self.clinic.time())

    def targets(self) -> list[rollout.TargetState]:
        return rollout.targets(self.worker, self.rollout)

    def say(self, state: wire.ReportedState, count: int = 1) -> None:
        """Let so many gateways that have not answered yet say what became of their update."""
        silent = [t for t in self.targets() if t.state == "waiting"][:count]
        assert len(silent) == count
        for target in silent:
            env = self.clinic.envelope(target.gateway)
            self.clinic.receive(wire.Reported(env=env, software="x", task=target.task, task_state=state))
        self.clinic.work()

    def now(self) -> rollout.Rollout:
        return next(r for r in rollout.rollouts(self.worker) if r.id == self.rollout)


@pytest.fixture
def fleet(clinic: Clinic, worker: db.Connection) -> Fleet:
    return Fleet(clinic, worker)


def test_stage_after_stage_until_everybody_runs_it(fleet: Fleet) -> None:
    fleet.start()
    assert (fleet.step(), fleet.step()) == (1, 0)
    fleet.say("applied")
    assert fleet.step() == 0
    assert "observed for" in (fleet.now().why or "")
    fleet.clinic.time.move(hours=1)
    assert (fleet.step(), fleet.step()) == (2, 0)
    fleet.say("applied")
    fleet.clinic.time.move(hours=2)
    assert fleet.step() == 0  # one of two has not answered
    fleet.say("applied")
    assert fleet.step() == 2
    fleet.say("applied", 2)
    fleet.step()
    found = fleet.now()
    assert (found.state, found.stage, found.counts) == ("done", 2, {"applied": 5})


def test_too_many_failures_halt_it_and_what_nobody_has_begun_is_withdrawn(fleet: Fleet) -> None:
    fleet.start()
    fleet.step()
    fleet.say("applied")
    fleet.clinic.time.move(hours=1)
    assert fleet.step() == 2
    fleet.say("rolled-back")
    assert fleet.step() == 0
    found = fleet.now()
    assert (found.state, found.why) == ("halted", "1 of 3 failed, more than 25 %")
    assert found.counts == {"applied": 1, "rolled-back": 1, "withdrawn": 1, "not yet": 2}
    assert fleet.step() == 0
    rollout.resume(fleet.worker, fleet.rollout, "looked at", fleet.clinic.time())
    fleet.step()
    assert fleet.now().state == "halted"  # nothing has changed


def test_a_person_who_tolerates_the_failures_lets_it_go_on(fleet: Fleet) -> None:
    fleet.start()
    fleet.step()
    fleet.say("failed")
    fleet.step()
    with fleet.clinic.owner() as connection:
        rollout.tolerate(connection, fleet.rollout, 99)
        rollout.resume(connection, fleet.rollout, "its disk was full", fleet.clinic.time())
    fleet.clinic.time.move(hours=1)
    assert fleet.step() == 0
    assert fleet.now().state == "halted"  # one of one: 100 % is above any limit


def test_one_over_which_it_stumbles_holds_no_other_up(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.start()
    broken, real = fleet.rollout, rollout.targets
    fleet.artefact, fleet.names = fleet.add("b", sequence=6), fleet.names[:1]
    fleet.start(Plan((100,), least_applied=100, most_failed=25, observe_s=3600))

    def targets(connection: db.Connection, identity: UUID) -> list[rollout.TargetState]:
        if identity == broken:
            connection.execute("SELECT 1 / 0")
        return real(connection, identity)

    monkeypatch.setattr(rollout, "targets", targets)
    assert fleet.step() == 1
    monkeypatch.undo()
    assert fleet.step() == 1  # nothing of it was lost


def test_a_paused_rollout_offers_nothing_and_goes_on_where_it_was(fleet: Fleet) -> None:
    fleet.start()
    now = fleet.clinic.time
    with fleet.clinic.owner() as connection:
        rollout.pause(connection, fleet.rollout, "a holiday", now())
        assert fleet.step() == 0
        rollout.resume(connection, fleet.rollout, "it is over", now())
        assert fleet.step() == 1
        rollout.halt(connection, fleet.rollout, "another is better", now())
        assert fleet.now().counts == {"withdrawn": 1, "not yet": 4}
        rollout.resume(connection, fleet.rollout, "it is not", now())
        assert fleet.step() == 1  # what was withdrawn is offered again
        with pytest.raises(ReleaseError, match="no rollout that is paused or halted"):
            rollout.resume(connection, fleet.rollout, "x", now())
        with pytest.raises(ReleaseError, match="no rollout that is running"):
            rollout.pause(connection, uuid4(), "x", now())


def test_those_beside_whom_somebody_stands_come_first(fleet: Fleet) -> None:
    ahead = fleet.names[2:4]
    fleet.start(first=ahead)
    assert fleet.step() >= 2
    assert set(ahead) <= {t.gateway for t in fleet.targets() if t.stage == 0}
    with pytest.raises(ReleaseError, match="elsewhere: the update is not for it"):
        fleet.start(first=["elsewhere"])


def test_a_gateway_revoked_since_holds_nobody_up(fleet: Fleet) -> None:
    fleet.start(Plan((100,), least_applied=100, most_failed=0, observe_s=0))
    with fleet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET revoked_at = now() WHERE id = %s", (fleet.names[0],))
    assert fleet.step() == 4
    with fleet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET revoked_at = now() WHERE id = %s", (fleet.names[1],))
    fleet.say("applied", 3)
    fleet.step()
    assert fleet.now().state == "done"


def test_a_retired_key_halts_what_it_signed(fleet: Fleet) -> None:
    fleet.start()
    with fleet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.release_key SET retired_at = now()")
    assert fleet.step() == 0
    assert (fleet.now().state, "is retired" in (fleet.now().why or "")) == ("halted", True)


def test_an_update_is_for_gateways_of_its_machine_that_run_an_older_one(fleet: Fleet) -> None:
    def report(name: str, **fields: Any) -> None:
        env = fleet.clinic.envelope(name)
        fleet.clinic.receive(wire.Reported(env=env, software="x", **fields))

    newer, other, arm, fits, silent = fleet.names
    report(newer, update=5, machine="x86_64", python="3.11")
    report(other, update=4, machine="x86_64", python="3.13")
    report(arm, update=4, machine="aarch64", python="3.11")
    report(fits, update=4, machine="x86_64", python="3.11")
    fleet.clinic.work()
    with fleet.clinic.owner() as connection:

        def found(artefact: Artefact) -> set[str]:
            return {gateway for gateway, _ in rollout.candidates(connection, artefact)} & set(fleet.names)

        assert found(fleet.artefact) == {fits, silent}
        assert found(fleet.add("b", target="any", sequence=6)) == {newer, arm, fits, silent}


def test_a_firmware_is_for_kits_of_our_own_behind_gateways_that_can_be_reached(fleet: Fleet) -> None:
    for device, model in (("kit-1", rollout.KIT_MODEL), ("kit-2", rollout.KIT_MODEL), ("cyton", "OpenBCI Cyton")):
        env = fleet.clinic.envelope(fleet.names[0])
        fleet.clinic.receive(wire.DeviceStatus(env=env, device=device, state="present", model=model))
    fleet.clinic.work()
    firmware = fleet.add("c", kind="kit", target="", python="", board="B")
    with fleet.clinic.owner() as connection:
        found = rollout.candidates(connection, firmware)
    assert [t for t in found if t[0] in fleet.names] == [(fleet.names[0], "kit-1"), (fleet.names[0], "kit-2")]


def test_a_rollout_needs_targets_and_a_reason(fleet: Fleet) -> None:
    with pytest.raises(TaskError, match="a reason"):
        fleet.start(reason="")
    fleet.names = []
    with pytest.raises(ReleaseError, match="no gateway or kit"):
        fleet.start()
