"""Tasks: published until answered, ever more rarely, at once when the gateway is back; ended by its word or by time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import ca, db, provision
from feldsher_cloud_api.access import Forbidden, Principal
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.manage import tasks, wipe
from feldsher_cloud_api.manage.tasks import Asker, TaskError
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, HOME, Clinic

WHO = Asker("somebody")


class Broker:
    """Hears what is published."""

    def __init__(self) -> None:
        self.said: list[tuple[str, wire.DownMessage, int]] = []
        self.connected = True

    def publish(self, topic: str, payload: bytes, life_s: int) -> bool:
        if self.connected:
            self.said.append((topic, wire.decode_down(payload), life_s))
        return self.connected


def ask(clinic: Clinic, gateway: str = CLINIC, asker: Asker = WHO, **changes: Any) -> UUID:
    now = clinic.time()
    fields: dict[str, Any] = {"reason": "to try", "now": now, "life": timedelta(hours=1)} | changes
    with clinic.owner() as connection:
        return tasks.ask(connection, gateway, wire.Diagnose(**tasks.head(now)), asker, **fields)


def publish(clinic: Clinic, broker: Broker) -> int:
    with db.connect(clinic.url, db.WORKER) as connection:
        return tasks.publish_due(connection, broker, clinic.time())


def task(clinic: Clinic, identity: UUID) -> tasks.Task:
    with clinic.owner() as connection:
        found = tasks.one(connection, identity)
    assert found is not None
    return found


def later(clinic: Clinic, seconds: float) -> None:
    """Let so many seconds have passed since the last publication."""
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_task SET due_at = due_at - make_interval(secs => %s)", (seconds,))


def say(clinic: Clinic, gateway: str = CLINIC, **fields: Any) -> None:
    clinic.receive(wire.Reported(env=clinic.envelope(gateway), software="x", **fields))
    clinic.work()


def birth(clinic: Clinic, gateway: str = CLINIC) -> None:
    clinic.receive(wire.Birth(env=clinic.envelope(gateway), software="x", starts=1))
    clinic.work()


def test_it_is_published_ever_more_rarely_until_it_is_answered(clinic: Clinic) -> None:
    identity, broker = ask(clinic), Broker()
    broker.connected = False
    assert publish(clinic, broker) == 0
    broker.connected = True
    for pause in (3, 6, 12):
        assert publish(clinic, broker) == 1
        assert publish(clinic, broker) == 0
        later(clinic, pause)
    topic, message, _ = broker.said[0]
    assert (topic, message.id) == (wire.down_topic(CLINIC, "diagnose"), identity)
    assert [life for *_, life in broker.said] == [3, 6, 12]
    assert task(clinic, identity).sent == 3
    say(clinic, task=identity, task_state="applied", task_detail="sent")
    later(clinic, 1e6)
    assert publish(clinic, broker) == 0
    assert (task(clinic, identity).state, task(clinic, identity).detail) == ("applied", "sent")


def test_a_gateway_that_comes_back_is_told_at_once_also_what_it_had_begun(clinic: Clinic) -> None:
    waiting, begun, broker = ask(clinic), ask(clinic), Broker()
    say(clinic, task=begun, task_state="working")
    assert publish(clinic, broker) == 1
    birth(clinic)
    assert publish(clinic, broker) == 2
    later(clinic, 1e6)
    assert publish(clinic, broker) == 1  # what is begun is told once per start
    assert {m.id for _, m, _ in broker.said[1:3]} == {waiting, begun}


def test_only_its_own_gateway_answers_and_an_older_word_changes_nothing(clinic: Clinic) -> None:
    identity = ask(clinic)
    say(clinic, HOME, task=identity, task_state="applied")
    assert task(clinic, identity).state == "waiting"
    say(clinic, task=identity, task_state="applied")
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_task SET state_at = state_at + interval '1 hour'")
    say(clinic, task=identity, task_state="failed")
    assert task(clinic, identity).state == "applied"


def test_what_has_ended_is_not_begun_again_by_a_repeated_answer(clinic: Clinic) -> None:
    identity = ask(clinic)
    say(clinic, task=identity, task_state="failed", task_detail="why")
    say(clinic, task=identity, task_state="working")
    assert (task(clinic, identity).state, task(clinic, identity).detail) == ("failed", "why")


def test_what_nobody_answers_lapses_and_says_so(clinic: Clinic) -> None:
    silent, begun = ask(clinic), ask(clinic)
    say(clinic, task=begun, task_state="working")
    clinic.time.move(hours=2)
    with db.connect(clinic.url, db.WORKER) as connection:
        assert tasks.lapse(connection, clinic.time()) == 2
        assert tasks.lapse(connection, clinic.time()) == 0
    assert task(clinic, silent).detail == "the gateway did not answer"
    assert task(clinic, begun).detail == "the gateway did not say how it ended"
    assert publish(clinic, Broker()) == 0
    say(clinic, task=begun, task_state="applied")  # late, and true
    assert task(clinic, begun).state == "applied"


def test_what_a_gateway_has_begun_is_not_withdrawn(clinic: Clinic) -> None:
    waiting, begun = ask(clinic), ask(clinic)
    say(clinic, task=begun, task_state="working")
    with clinic.owner() as connection:
        assert tasks.withdraw(connection, [waiting, begun], "not wanted", clinic.time()) == [waiting]
        assert tasks.open_of_kind(connection, CLINIC, "diagnose", clinic.time()) == [begun]
        assert {t.id: t.state for t in tasks.of_gateway(connection, CLINIC)} == {begun: "working", waiting: "withdrawn"}


@pytest.mark.parametrize(
    ("gateway", "why"),
    [("nobody", "no such gateway"), (HOME, "nobody has claimed it"), ("gw-revoked", "it is revoked")],
)
def test_gateways_that_cannot_answer_are_not_asked(clinic: Clinic, gateway: str, why: str) -> None:
    with clinic.owner() as connection:
        connection.execute(
            "INSERT INTO cloud.gateway (id, name, revoked_at) VALUES ('gw-revoked', '', now()) ON CONFLICT DO NOTHING"
        )
    with pytest.raises(TaskError, match=why):
        ask(clinic, gateway)


def test_a_reason_is_needed(clinic: Clinic) -> None:
    with pytest.raises(TaskError, match="a reason"):
        ask(clinic, reason=" ")


def test_a_technician_asks_with_their_own_name_on_record_and_a_doctor_may_not(clinic: Clinic) -> None:
    def who(name: str) -> Principal:
        return Principal(demo_id(f"person/{name}"), name, f"The {name}", None, (), "web")

    with pytest.raises(Forbidden):
        tasks.person(who("doctor"))
    identity = ask(clinic, asker=tasks.person(who("technician")))
    assert task(clinic, identity).asked_by == "The technician"
    with clinic.owner() as connection:
        row = connection.execute("SELECT content #>> '{subtype,0,code}' FROM fhir.auditevent").fetchone()
    assert row == ("gateway-diagnose",)


def test_what_a_revoked_gateway_has_not_begun_is_withdrawn(clinic: Clinic) -> None:
    with clinic.owner() as connection:
        connection.execute(
            "INSERT INTO cloud.gateway (id, name, certificate_serial) VALUES ('gw-leaves', '', '1')"
            " ON CONFLICT (id) DO UPDATE SET revoked_at = NULL"
        )
    identity = ask(clinic, "gw-leaves")
    authority = ca.load(clinic.settings.ca_directory, clinic.time)
    with clinic.owner() as connection:
        provision.revoke_gateway(connection, authority, "gw-leaves", clinic.time())
    assert (task(clinic, identity).state, task(clinic, identity).detail) == ("withdrawn", "the gateway was revoked")


@pytest.mark.parametrize("begun", [False, True])
def test_a_new_machine_under_an_old_name_is_not_wiped(clinic: Clinic, begun: bool) -> None:
    """What was told to the machine before is on its way for up to a year, and comes at once with the first birth."""
    with clinic.owner() as connection:
        identity = wipe.ask(connection, clinic.settings, CLINIC, WHO, reason="it is broken")
    other = ask(clinic)
    if begun:
        say(clinic, task=identity, task_state="working")
    with clinic.owner() as connection:
        provision.add_gateway(connection, clinic.settings, ca.load(clinic.settings.ca_directory), CLINIC, CLINIC)
    birth(clinic)
    broker = Broker()
    assert publish(clinic, broker) == 1
    assert [message.id for _, message, _ in broker.said] == [other]
    assert task(clinic, identity).state == "withdrawn"
    say(clinic, task=identity, task_state="applied")  # the machine before it did so after all
    assert task(clinic, identity).state == "applied"
