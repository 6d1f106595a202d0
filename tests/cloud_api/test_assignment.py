"""Whose a reading is: by device, user number and the time of measurement; what is doubtful waits for staff."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from feldsher_cloud_api import assignment
from feldsher_cloud_api.assignment import AssignmentError
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.fleet import life
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CUFF, HOME, Clinic

BP = {150021: "132", 150022: "84", 149546: "71"}
ADDRESS = "AA:BB:CC:00:00:61"


def cuff(clinic: Clinic) -> UUID:
    with clinic.owner() as connection:
        return life.register(connection, gateway=HOME, address=ADDRESS, kind="cuff", now=clinic.time.now)


def give(clinic: Clinic, device: UUID, patient: int, hours_ago: float, user: int | None = None) -> bool:
    start = clinic.time.now - timedelta(hours=hours_ago)
    with clinic.owner() as connection:
        return assignment.assign(connection, device, UUID(clinic.patients[patient]), start, user=user)


def reading(clinic: Clinic, hours_ago: float, user: int | None = 1, **changes: Any) -> wire.VitalsBatch:
    """A reading measured some hours ago and received now."""
    made = clinic.vitals(
        clinic.time.now - timedelta(hours=hours_ago), BP | {149546: str(60 + hours_ago)}, device=ADDRESS
    )
    n, now = len(made.reading), int(clinic.time.now.timestamp() * 1_000_000)
    return msgspec.structs.replace(made, **{"user": (user,) * n, "received_us": (now,) * n} | changes)


def owners(clinic: Clinic, *messages: wire.VitalsBatch) -> list[str]:
    """Whose each reading became: the patient's place, or why it waits."""
    clinic.receive(*messages)
    clinic.work()
    found: list[str] = []
    with clinic.owner() as connection:
        for message in messages:
            row = connection.execute(
                "SELECT DISTINCT coalesce(o.patient_id::text, u.reason) FROM fhir.observation o"
                " LEFT JOIN cloud.unassigned u ON u.id = %s WHERE o.terms && ARRAY[fhir.term('identifier=' || %s)]",
                (message.reading[0], f"urn:feldsher:reading|{message.reading[0]}"),
            ).fetchall()
            found += [str(clinic.patients.index(r[0])) if r[0] in clinic.patients else r[0] for r in row]
    return found


def test_users_of_a_shared_cuff_have_their_own_records(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 48, user=1)
    give(clinic, device, 1, 48, user=2)
    said = owners(clinic, *(reading(clinic, h, u) for h, u in ((1, 1), (2, 2), (3, None), (4, 3))))
    assert said == ["0", "1", assignment.SHARED, assignment.NOBODY]


def test_a_cuff_of_one_patient_is_theirs_whatever_user_number_it_sends(clinic: Clinic) -> None:
    give(clinic, cuff(clinic), 2, 48)
    assert owners(clinic, reading(clinic, 1, 1), reading(clinic, 2, 2), reading(clinic, 3, None)) == ["2", "2", "2"]


def test_a_user_number_changes_hands_by_the_time_of_measurement(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 48, user=1)
    give(clinic, device, 1, 48, user=2)
    give(clinic, device, 2, 10, user=1)
    assert owners(clinic, *(reading(clinic, h) for h in (20, 5))) == ["0", "2"]
    assert owners(clinic, *(reading(clinic, h, 2) for h in (21, 6))) == ["1", "1"]


def test_stored_readings_of_the_user_before_never_reach_the_new_one(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 100)
    with clinic.owner() as connection:
        assert assignment.end(connection, device, clinic.time.now - timedelta(hours=50)) == 1
    give(clinic, device, 1, 10)
    said = owners(clinic, *(reading(clinic, h) for h in (150, 60, 30, 5)))
    assert said == [assignment.NOBODY, "0", assignment.NOBODY, "1"]


def test_a_reading_without_a_time_is_a_new_users_only_after_the_cuff_was_emptied(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 100)
    give(clinic, device, 1, 10)
    timeless: dict[str, Any] = {"sent_at": (None,) * 3}
    assert owners(clinic, reading(clinic, 1, **timeless)) == [assignment.LEFT_OVER]
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.device SET cleaned_at = %s WHERE id = %s", (clinic.time.now, device))
    assert owners(clinic, reading(clinic, 2, **timeless)) == ["1"]


def test_a_time_ahead_of_its_arrival_decides_nothing_between_patients(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 100)
    ahead = reading(clinic, -24 * 30)  # the cuff's clock is a month ahead; nobody compared it
    give(clinic, device, 1, 10)
    assert owners(clinic, ahead) == [assignment.AHEAD]
    assert owners(clinic, reading(clinic, -0.1)) == ["1"]  # six minutes: any cheap clock


def test_without_a_trusted_clock_the_user_number_still_tells(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 48, user=1)
    give(clinic, device, 1, 48, user=2)
    unsure = clinic.envelope(HOME, "unsynced")
    assert owners(clinic, reading(clinic, 1, 2, env=unsure)) == ["1"]
    unsure = clinic.envelope(HOME, "unsynced")
    assert owners(clinic, reading(clinic, 2, None, env=unsure)) == [assignment.CLOCK]


def test_one_patients_device_is_shared_before_a_number_of_it_is_given_away(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 48)
    with pytest.raises(AssignmentError, match="user number first"):
        give(clinic, device, 1, 1, user=2)
    with clinic.owner() as connection:
        assignment.share(connection, device, 1, clinic.time.now - timedelta(hours=5))
        with pytest.raises(AssignmentError, match="nothing to share"):
            assignment.share(connection, device, 1, clinic.time.now)
    give(clinic, device, 1, 4, user=2)
    assert owners(clinic, *(reading(clinic, h, u) for h, u in ((20, 2), (3, 1), (2, 2)))) == ["0", "0", "1"]


def test_a_whole_device_ends_all_numbers_and_a_later_period_is_in_the_way(clinic: Clinic) -> None:
    device = cuff(clinic)
    give(clinic, device, 0, 48, user=1)
    give(clinic, device, 1, 48, user=2)
    assert give(clinic, device, 2, 2)
    assert not give(clinic, device, 2, 1)
    assert owners(clinic, reading(clinic, 5, 2), reading(clinic, 1, 2)) == ["1", "2"]
    give(clinic, device, 0, -10)
    with pytest.raises(AssignmentError, match="later time"):
        give(clinic, device, 1, 1)
    with clinic.owner() as connection:
        assert assignment.end(connection, device, clinic.time.now) == 2


@pytest.mark.parametrize("role", ["", "doctor", "patient", "manager", "service"])
@pytest.mark.parametrize("call", ["assign_device(gen_random_uuid(), {0}, NULL, {1}, now(), NULL, NULL)",
                                  "end_assignments({0}, NULL, now())",
                                  "share_device(gen_random_uuid(), {0}, 1, now(), NULL)",
                                  "move_assignments({0}, {0}, now(), NULL)"])  # fmt: skip
def test_only_technicians_assign(clinic: Clinic, role: str, call: str) -> None:
    statement = "SELECT app." + call.format(f"'{clinic.made['cuff']}'::uuid", f"'{clinic.patients[1]}'::uuid")
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="only a technician"),
        clinic.raw(role, demo_id("person/doctor")) as connection,
    ):
        connection.execute(statement.encode())


WATCHED = "SELECT s.id, s.device, s.user_no, s.subject, s.during FROM watch_subject s WHERE NOT isempty(s.during)"
ASSIGNED = (
    "SELECT a.id, d.address, a.user_no, a.patient, a.during FROM cloud.device_assignment a"
    " JOIN cloud.device d ON d.id = a.device"
)
CANARIES = "SELECT id FROM watch_subject WHERE device LIKE 'feldsher-canary-%'"


def _act(clinic: Clinic, random: Random, devices: list[UUID]) -> None:
    """Do one of the acts that change whose devices are, whether it is refused or not."""
    device, at = random.choice(devices), clinic.time.now - timedelta(hours=random.randrange(-50, 200))
    patient, user = UUID(random.choice(clinic.patients)), random.choice((None, None, 1, 2))
    with clinic.owner() as connection, contextlib.suppress(AssignmentError, psycopg.errors.ExclusionViolation):
        match random.randrange(5):
            case 0 | 1:
                until = at + timedelta(hours=random.randrange(1, 90)) if random.random() < 0.3 else None
                assignment.assign(connection, device, patient, at, until, user=user)
            case 2:
                assignment.share(connection, device, user or 1, at)
            case 3:
                assignment.end(connection, device, at, user=user)
            case _:
                assignment.move(connection, device, random.choice(devices), at)


@pytest.mark.parametrize("seed", range(2))
def test_who_is_watched_is_who_has_a_device(clinic: Clinic, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a seeded sequence of acts
    with clinic.owner() as connection:
        devices = [
            life.register(connection, gateway=gateway, address=address, kind="cuff", now=clinic.time.now)
            for gateway, address in ((HOME, ADDRESS), (HOME, "cuff-1"), ("demo-clinic", "cuff-1"))
        ]
        for _ in range(25):
            _act(clinic, random, devices)
            watched = connection.execute(f"{WATCHED} AND s.id NOT IN ({CANARIES})".encode()).fetchall()
            assert sorted(watched, key=str) == sorted(connection.execute(ASSIGNED.encode()).fetchall(), key=str)
        names = {row[1] for row in connection.execute(ASSIGNED.encode()).fetchall()}
    assert names <= {ADDRESS, CUFF, f"{HOME}/cuff-1", "demo-clinic/cuff-1"}
    assert len(names) > 1
