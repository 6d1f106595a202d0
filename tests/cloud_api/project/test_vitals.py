"""Whose a reading is when its gateway's clock is not right: nobody's, unless the device had one patient only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from feldsher_cloud_api import assignment
from feldsher_cloud_api.assignment import EARLIER
from feldsher_cloud_api.fleet import life
from feldsher_ehr_core import wire
from feldsher_ingest import read
from feldsher_tools.clinic import HOME, Clinic

BP = {150021: "132", 150022: "84", 149546: "71"}


@pytest.fixture
def shared(clinic: Clinic) -> Iterator[tuple[Clinic, str]]:
    """The clinic, and a cuff that the first patient had until an hour ago and the second has now."""
    address = "AA:BB:CC:00:00:51"
    with clinic.owner() as connection:
        device = life.register(connection, gateway=HOME, address=address, kind="cuff", now=clinic.time.now)
        for patient, hours in ((0, 48), (1, 1)):
            start = clinic.time.now - timedelta(hours=hours)
            assignment.assign(connection, device, UUID(clinic.patients[patient]), start)
        # emptied when it changed hands, so that a reading without a time can be the second patient's
        connection.execute("UPDATE cloud.device SET cleaned_at = %s", (clinic.time.now - timedelta(hours=1),))
    yield clinic, address
    with clinic.owner() as connection:
        connection.execute("DELETE FROM cloud.device_assignment WHERE device = %s", (device,))


def _unsynced(clinic: Clinic, behind: timedelta, **changes: Any) -> wire.VitalsBatch:
    """Return a reading of now by a gateway whose clock is behind, stamped by that clock alone."""
    made = clinic.vitals(clinic.time.now - behind, BP, **changes)
    n = len(made.reading)
    return msgspec.structs.replace(made, env=clinic.envelope(HOME, "unsynced"), sent_at=(None,) * n)


def _state(clinic: Clinic) -> tuple[set[Any], list[Any]]:
    with clinic.owner() as connection:
        of = {
            tuple(row)
            for kind in ("observation", "provenance")
            for row in connection.execute(f"SELECT patient_id::text FROM fhir.{kind}".encode())  # noqa: S608 - fixed
        }
        queue = connection.execute("SELECT reason, resolved_at IS NOT NULL FROM cloud.unassigned").fetchall()
    return {row[0] for row in of}, queue


def test_unsynced_clock_does_not_decide_between_patients(shared: tuple[Clinic, str]) -> None:
    clinic, address = shared
    clinic.receive(_unsynced(clinic, timedelta(hours=5), device=address))
    clinic.work()
    assert _state(clinic) == ({None}, [("clock not trusted", False)])


def test_correction_of_the_clock_finds_the_patient(shared: tuple[Clinic, str]) -> None:
    clinic, address = shared
    clinic.receive(_unsynced(clinic, timedelta(hours=5), device=address))
    clinic.work()
    clinic.receive(wire.ClockOffset(env=clinic.envelope(HOME), offset_us=5 * 3_600_000_000, source="ntp"))
    clinic.work()
    patients, queue = _state(clinic)
    assert (patients, [resolved for _, resolved in queue]) == ({clinic.patients[1]}, [True])
    with clinic.owner() as connection:
        rows = connection.execute("SELECT content FROM fhir.observation").fetchall()
    assert {row[0]["subject"]["reference"] for row in rows} == {f"Patient/{clinic.patients[1]}"}
    assert {row[0]["extension"][0]["url"] for row in rows} == {"urn:feldsher:time-as-sent"}


def test_correction_to_a_time_of_nobody_leaves_it_to_staff(shared: tuple[Clinic, str]) -> None:
    clinic, address = shared
    clinic.receive(_unsynced(clinic, timedelta(hours=5), device=address))
    clinic.work()
    clinic.receive(wire.ClockOffset(env=clinic.envelope(HOME), offset_us=-90 * 3_600_000_000, source="ntp"))
    clinic.work()
    assert _state(clinic) == (
        {None},
        [("the device was assigned to nobody at the time of measurement", False)],
    )


@pytest.mark.parametrize(("behind", "of"), [(timedelta(days=1), 0), (timedelta(days=4000), None)])
def test_cuff_of_one_patient_only_needs_no_clock_within_its_period(
    clinic: Clinic, behind: timedelta, of: int | None
) -> None:
    clinic.receive(_unsynced(clinic, behind))
    clinic.work()
    patients, queue = _state(clinic)
    assert patients == {None if of is None else clinic.patients[of]}
    assert queue == ([("clock not trusted", False)] if of is None else [])


def _shown(clinic: Clinic) -> dict[str, dict[str, Any]]:
    with clinic.owner() as connection:
        rows = connection.execute("SELECT content FROM fhir.observation").fetchall()
    return {row[0]["code"]["coding"][0]["code"]: row[0] for row in rows}


def _of(clinic: Clinic, values: dict[int, str], units: tuple[str, ...], **changes: Any) -> wire.VitalsBatch:
    made = clinic.vitals(clinic.time.now, values)
    return msgspec.structs.replace(made, unit=units, **changes)


@pytest.mark.parametrize(
    ("code", "unit", "loinc", "category"),
    [
        (188736, "kg", ["29463-7"], "vital-signs"),
        (150456, "%", ["2708-6", "59408-5"], "vital-signs"),
        (150364, "Cel", ["8310-5"], "vital-signs"),
        (147842, "/min", ["8867-4"], "vital-signs"),
        (160184, "mg/dL", ["41653-7"], "laboratory"),
        (160184, "mmol/L", ["14743-9"], "laboratory"),
        (188764, "kg", [], "vital-signs"),
    ],
)
def test_every_vital_sign_is_an_observation_with_its_codes(
    clinic: Clinic, code: int, unit: str, loinc: list[str], category: str
) -> None:
    clinic.receive(_of(clinic, {code: "42"}, (unit,)))
    clinic.work()
    (made,) = _shown(clinic).values()
    codings = [(c["system"], c["code"]) for c in made["code"]["coding"]]
    assert codings == [("http://loinc.org", c) for c in loinc] + [("urn:iso:std:iso:11073:10101", str(code))]
    assert (made["valueQuantity"]["unit"], made["valueQuantity"]["code"]) == (unit, unit)
    assert made["category"][0]["coding"][0]["code"] == category


def test_a_meal_is_a_coded_word(clinic: Clinic) -> None:
    clinic.receive(_of(clinic, {8417864: "3"}, ("1",)))
    clinic.work()
    made = _shown(clinic)["8417864"]
    assert made["valueCodeableConcept"]["text"] == "Fasting"


def test_running_monitoring_stays_in_the_time_series(clinic: Clinic) -> None:
    message = _of(clinic, {147842: "61"}, ("/min",), continuous=True)
    clinic.receive(message)
    clinic.work()
    assert _shown(clinic) == {}
    with clinic.owner() as connection:
        (stored,) = read.readings(connection, list(message.reading))
    assert (stored.code, stored.value) == (147842, 61)


def test_what_may_be_of_the_last_user_waits_for_staff(shared: tuple[Clinic, str]) -> None:
    clinic, address = shared
    clinic.receive(clinic.vitals(clinic.time.now, BP, device=address))
    clinic.receive(
        msgspec.structs.replace(clinic.vitals(clinic.time.now - timedelta(minutes=9), BP, device=address), unowned=True)
    )
    clinic.work()
    patients, queue = _state(clinic)
    assert patients == {clinic.patients[1], None}
    assert queue == [(EARLIER, False)]
