"""Configurations: checked as gateways check them, signed so that a gateway believes them; their versions only grow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import db, gateway_keys
from feldsher_cloud_api.manage import configuration, tasks
from feldsher_cloud_api.manage.tasks import Asker, TaskError
from feldsher_edge.configured import Configured
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, Clinic

WHO = Asker("somebody")
BEAT = "[mqtt]\nheartbeat_s = 30.0\n"


def author(clinic: Clinic, toml: str = BEAT) -> tuple[int, UUID]:
    with clinic.owner() as connection:
        return configuration.author(connection, clinic.settings, CLINIC, toml, WHO, reason="less traffic")


def standing(clinic: Clinic) -> configuration.Standing:
    with clinic.owner() as connection:
        [found] = configuration.standing(connection, CLINIC)
    return found


def message(clinic: Clinic, task: UUID) -> wire.Configuration:
    with clinic.owner() as connection:
        row = connection.execute("SELECT payload FROM cloud.gateway_task WHERE id = %s", (task,)).fetchone()
    assert row is not None
    decoded = wire.decode_down(bytes(row[0]))
    assert isinstance(decoded, wire.Configuration)
    return decoded


def say(clinic: Clinic, **fields: Any) -> None:
    clinic.receive(wire.Reported(env=clinic.envelope(CLINIC), software="feldsher-edge 1", **fields))
    clinic.work()


@pytest.fixture(autouse=True)
def fresh(clinic: Clinic) -> None:
    """Forget what earlier tests let the shared clinic's gateway report."""
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET detail = '{}'")


def test_a_gateway_believes_what_was_authored_for_it_and_no_other_does(clinic: Clinic, tmp_path: Path) -> None:
    version, task = author(clinic)
    keys = (gateway_keys.public_text(gateway_keys.word_key(clinic.settings)),)
    it = Configured(tmp_path, {}, "edge.toml")
    assert not it.receive(message(clinic, task), "another", keys)
    assert it.receive(message(clinic, task), CLINIC, keys)
    assert it.effective().mqtt.heartbeat_s == 30
    it.keep()
    assert (it.version, version) == (1, 1)


def test_versions_grow_and_what_waits_of_earlier_ones_is_withdrawn(clinic: Clinic) -> None:
    _, first = author(clinic)
    version, second = author(clinic, "")
    assert version == 2
    with clinic.owner() as connection:
        assert [(v.version, v.state) for v in configuration.versions(connection, CLINIC)] == [
            (2, "waiting"), (1, "withdrawn")
        ]  # fmt: skip
        assert first != second
        assert configuration.wanted(connection, CLINIC) == ""


def test_a_restored_database_gives_no_version_a_second_time(clinic: Clinic) -> None:
    """A gateway passes over versions that it has seen: a backup that has forgotten some must not give them again."""
    say(clinic, config=6, config_wanted=7, config_state="rolled-back")
    assert author(clinic)[0] == 8


def test_what_became_of_a_version_is_told_by_number_and_by_task(clinic: Clinic) -> None:
    version, task = author(clinic)
    say(clinic, task=task, task_state="working", config_wanted=version, config_state="working")
    assert (standing(clinic).config_state, standing(clinic).config_differs) == ("working", True)
    say(clinic, config=version, config_wanted=version, config_state="applied")
    found = standing(clinic)
    assert (found.config, found.config_state, found.config_differs, found.open_tasks) == (1, "applied", False, 0)
    version, task = author(clinic, '[[kit]]\ndevice = "k"\nport = "/dev/x"')
    say(clinic, config=1, config_wanted=version, config_state="rolled-back", config_detail="not healthy within 180 s")
    found = standing(clinic)
    assert (found.config_wanted, found.config, found.config_state, found.config_differs) == (2, 1, "rolled-back", True)
    assert found.config_detail == "not healthy within 180 s"
    with clinic.owner() as connection:
        assert configuration.wanted(connection, CLINIC) == BEAT  # what was rolled back is nobody's ground


def test_another_text_of_the_same_version_is_a_difference(clinic: Clinic) -> None:
    version, _ = author(clinic)
    say(clinic, config=version, config_wanted=version, config_state="applied", config_sha256="0" * 64)
    assert standing(clinic).config_differs


@pytest.mark.parametrize(
    ("toml", "field"),
    [
        ("[mqtt]\nwindow = 1", r"\$\.mqtt\.window"),
        ('state = "/elsewhere"', r"only the file on the gateway sets it - at `\$\.state`"),
        ("[mqtt", "not TOML"),
        ("#" * 100_001, "more than 100000 bytes"),
    ],
)
def test_what_no_gateway_could_use_is_named_and_not_signed(clinic: Clinic, toml: str, field: str) -> None:
    with pytest.raises(TaskError, match=field):
        author(clinic, toml)
    with clinic.owner() as connection:
        assert tasks.of_gateway(connection, CLINIC) == []


def test_single_values_are_set_on_what_is_wanted() -> None:
    text = configuration.changed(BEAT, ["mqtt.window=8", "timezone=Europe/Moscow"])
    assert text == 'timezone = "Europe/Moscow"\n\n[mqtt]\nheartbeat_s = 30.0\nwindow = 8\n'
    with pytest.raises(TaskError, match="key=value"):
        configuration.changed(BEAT, ["mqtt.window"])
    with pytest.raises(TaskError, match="no table"):
        configuration.changed(BEAT, ["mqtt.heartbeat_s.x=1"])


def test_two_authors_at_once_get_two_versions(clinic: Clinic) -> None:
    settings = replace(clinic.settings)
    with db.connect(clinic.url) as one, db.connect(clinic.url) as two:
        first, _ = configuration.author(one, settings, CLINIC, BEAT, WHO, reason="r")
        two.execute("SET lock_timeout = '100ms'")
        with pytest.raises(Exception, match="lock timeout"):
            configuration.author(two, settings, CLINIC, BEAT, WHO, reason="r")
        two.rollback()
        one.commit()
        second, _ = configuration.author(two, settings, CLINIC, BEAT, WHO, reason="r")
    assert (first, second) == (1, 2)


def test_a_machine_in_the_gateways_place_gets_its_configuration_again(clinic: Clinic) -> None:
    version, task = author(clinic)
    say(clinic, config=version, config_wanted=version, config_state="applied")
    _, rolled_back = author(clinic, "")
    say(clinic, config=1, config_wanted=2, config_state="rolled-back")
    assert standing(clinic).open_tasks == 0
    say(clinic)  # another machine, which has seen nothing
    with clinic.owner() as connection:
        found = tasks.one(connection, task)
        assert found is not None
        assert (found.state, found.detail) == ("waiting", "the gateway has it no more; it is sent again")
        assert tasks.open_of_kind(connection, CLINIC, "config", clinic.time()) == [task]
        former = tasks.one(connection, rolled_back)
        assert former is not None
        assert former.state == "rolled-back"
    say(clinic)
    say(clinic, config=version, config_wanted=version, config_state="applied")
    assert standing(clinic).open_tasks == 0
