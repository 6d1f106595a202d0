"""What needs a technician is named, each by what makes it so, and nothing else is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from feldsher_cloud_api import assignment
from feldsher_cloud_api.fleet import life, trail
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CLINIC, CUFF, HOME

ADDRESS = "AA:BB:CC:00:00:71"


@pytest.fixture
def quiet(fleet: Any) -> Any:
    """A fleet with nothing wrong: gateways heard, the cuff checked."""
    fleet.beat(HOME)
    fleet.beat(CLINIC)
    check = life.Calibration(fleet.clinic.time.now.date(), 24, "Lab", "1")
    with fleet.clinic.owner() as connection:
        life.calibrate(connection, trail.administrator(), fleet.clinic.made["cuff"], check, fleet.clinic.time.now)
        connection.execute("UPDATE cloud.gateway_device SET last_seen = %s", (fleet.clinic.time.now,))
    assert fleet.problems() == set()
    return fleet


def gateway(quiet: Any, **columns: Any) -> None:
    with quiet.clinic.owner() as connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE cloud.gateway SET {name} = %s WHERE id = %s".encode(), (value, HOME))  # noqa: S608


def test_a_gateway_that_falls_silent(quiet: Any) -> None:
    quiet.clinic.time.move(hours=25)
    assert quiet.problems() == {(HOME, "silent"), (CLINIC, "silent")}


def test_a_claimed_gateway_that_was_never_heard(quiet: Any) -> None:
    with quiet.clinic.owner() as connection:
        connection.execute("DELETE FROM public.gateway_state WHERE gateway = %s", (CLINIC,))
    assert quiet.problems() == set()
    quiet.clinic.time.move(hours=25)
    quiet.beat(HOME)
    assert quiet.problems() == {(CLINIC, "silent")}


def test_a_certificate_that_ends_soon_or_has_ended(quiet: Any) -> None:
    now = quiet.clinic.time.now
    for left, said in ((8, set[Any]()), (6, {(HOME, "certificate")}), (-1, {(HOME, "certificate_over")})):
        gateway(quiet, certificate_expires=now + timedelta(days=left))
        assert quiet.problems() == said


def test_a_clock_that_nobody_vouches_for(quiet: Any) -> None:
    quiet.beat(HOME, clock="unsynced")
    assert quiet.problems() == {(HOME, "clock")}
    quiet.beat(HOME, clock="holdover")
    assert quiet.problems() == set()


def test_a_queue_that_does_not_get_through(quiet: Any) -> None:
    quiet.beat(HOME, waiting=5)
    assert quiet.problems() == set()
    quiet.beat(HOME, waiting=7)
    assert quiet.problems() == {(HOME, "queue")}


def test_a_loss_is_shown_for_a_month(quiet: Any) -> None:
    us = int(quiet.clinic.time.now.timestamp() * 1e6)
    lost = wire.Gap(
        env=quiet.clinic.envelope(HOME), what="vitals", why="no room", count=3, first_us=us, last_us=us, readings=9
    )
    quiet.tell(lost)
    assert quiet.problems() == {(HOME, "losses")}
    quiet.clinic.time.move(days=31)
    quiet.beat(HOME)
    assert (HOME, "losses") not in quiet.problems()


def test_a_claim_that_nobody_used(quiet: Any) -> None:
    with quiet.clinic.owner() as connection:
        connection.execute(
            "INSERT INTO cloud.gateway (id, name, claim_expires) VALUES ('gw-late', 'x', %s)", (quiet.clinic.time.now,)
        )
    assert quiet.problems() == {("gw-late", "claim")}


def test_devices_silent_faulty_or_flat(quiet: Any) -> None:
    quiet.status(CUFF, battery=20)
    assert quiet.problems() == {(CUFF, "battery")}
    quiet.clinic.time.move(minutes=1)
    quiet.status(CUFF, state="fault", detail="E3")
    assert quiet.problems() == {(CUFF, "battery"), (CUFF, "fault")}
    quiet.clinic.time.move(minutes=1)
    quiet.status(CUFF, battery=90)
    assert quiet.problems() == set()
    quiet.clinic.time.move(days=8)
    quiet.beat(HOME)
    quiet.beat(CLINIC)
    assert quiet.problems() == {(CUFF, "silent")}  # the cardiograph is nobody's, so it need not be heard


def test_a_check_of_today_is_of_today_wherever_the_technician_is(quiet: Any) -> None:
    """In Kamchatka the day begins twelve hours before UTC's."""
    device, check = quiet.device(ADDRESS), life.Calibration(date(2026, 11, 24), 12, "Lab", "77")
    with quiet.clinic.owner() as connection:
        with pytest.raises(life.LifeError, match="not come yet"):
            life.calibrate(connection, trail.administrator(), device, check, datetime(2026, 11, 23, 9, 59, tzinfo=UTC))
        life.calibrate(connection, trail.administrator(), device, check, datetime(2026, 11, 23, 12, tzinfo=UTC))


def test_checks_that_are_missing_due_or_over(quiet: Any) -> None:
    device, now = quiet.device(ADDRESS, label="BP-071"), quiet.clinic.time.now
    assert quiet.problems() == {("BP-071", "calibration_missing")}

    def enter(done: date, months: int) -> None:
        check = life.Calibration(done, months, "Lab", "77")
        with quiet.clinic.owner() as connection:
            life.calibrate(connection, trail.administrator(), device, check, now)

    enter(now.date() - timedelta(days=400), 12)
    assert quiet.problems() == {("BP-071", "calibration_over")}
    enter(now.date() - timedelta(days=350), 12)
    assert quiet.problems() == {("BP-071", "calibration")}
    enter(now.date() - timedelta(days=300), 12)
    assert quiet.problems() == set()
    enter(now.date() - timedelta(days=900), 12)  # an older one entered later changes nothing
    assert quiet.problems() == set()


def test_devices_that_came_back_and_readings_of_nobody(quiet: Any) -> None:
    device, now = quiet.device(ADDRESS, kind="scale"), quiet.clinic.time.now
    with quiet.clinic.owner() as connection:
        life.take_back(connection, trail.administrator(), device, now)
    assert quiet.problems() == {(ADDRESS, "to_clean")}
    with quiet.clinic.owner() as connection:
        life.cleaned(connection, trail.administrator(), device, now)
    quiet.vitals(ADDRESS)
    assert quiet.problems() == {(ADDRESS, "unassigned")}
    with quiet.clinic.owner() as connection:
        life.retire(connection, trail.administrator(), device, now)
    assert quiet.problems() == set()


def test_configurations_and_updates_that_did_not_take(quiet: Any) -> None:
    with quiet.clinic.owner() as connection:
        connection.execute(
            "INSERT INTO cloud.gateway_task (id, gateway, kind, payload, reason, asked_by, created, expires_at, state,"
            " state_at) VALUES ('00000000-0000-7000-8000-000000000001', %s, 'config', '', 'why', 'me', %s, %s,"
            " 'refused', %s)",
            (HOME, quiet.clinic.time.now, quiet.clinic.time.now + timedelta(days=9), quiet.clinic.time.now),
        )
        connection.execute(
            "INSERT INTO cloud.gateway_configuration (gateway, version, toml, sha256, signature, task)"
            " VALUES (%s, 4, '', repeat('0', 64), %s, '00000000-0000-7000-8000-000000000001')",
            (HOME, b"\0" * 64),
        )
    assert quiet.problems() == {(HOME, "configuration_failed")}
    with quiet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway_task SET state = 'waiting'")
    assert quiet.problems() == set()
    quiet.clinic.time.move(hours=25)
    for name in (HOME, CLINIC):
        quiet.beat(name)
    assert quiet.problems() == {(HOME, "configuration")}


def test_revoked_and_retired_gateways_need_nobody(quiet: Any) -> None:
    quiet.clinic.time.move(hours=48)
    gateway(quiet, revoked_at=quiet.clinic.time.now)
    assert quiet.problems() == {(CLINIC, "silent")}
    with quiet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET life = 'retired' WHERE id = %s", (CLINIC,))
    assert quiet.problems() == set()


def test_a_gateway_that_was_to_come_back_is_looked_for(quiet: Any) -> None:
    gateway(quiet, life="returning", life_at=quiet.clinic.time.now)
    quiet.clinic.time.move(days=13)
    quiet.beat(CLINIC)
    assert {p for p in quiet.problems() if p[0] == HOME} == set()
    quiet.clinic.time.move(days=2)
    assert (HOME, "return") in quiet.problems()


def test_an_assignment_yet_to_begin_is_no_silence(quiet: Any) -> None:
    device = quiet.device(ADDRESS, kind="scale")
    with quiet.clinic.owner() as connection:
        later = quiet.clinic.time.now + timedelta(days=20)
        assignment.assign(connection, device, quiet.clinic.patients[1], later)
    assert quiet.problems() == set()
