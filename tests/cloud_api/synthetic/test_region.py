"""A made-up region: the same for the same seed, whole, valid, and marked as test data."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from feldsher_cloud_api import db
from feldsher_cloud_api.cli import app
from feldsher_cloud_api.fhir import validate
from feldsher_cloud_api.synthetic.cli import lines
from feldsher_cloud_api.synthetic.life import record
from feldsher_cloud_api.synthetic.region import TAG, Region
from typer.testing import CliRunner

TODAY = date(2026, 11, 1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
RESIDENTS = 8


def made(seed: int) -> list[dict[str, Any]]:
    """Return what a region consists of, as a client would send it."""
    return [db.loads(line) for line in lines(Region(seed, TODAY, clinics=2), RESIDENTS, bundles=False)]


def test_the_same_seed_is_the_same_region_and_another_is_another() -> None:
    assert made(1) == made(1)
    assert not {r["id"] for r in made(1)} & {r["id"] for r in made(2)}


def test_a_resident_does_not_depend_on_how_many_there_are() -> None:
    region = Region(1, TODAY, clinics=2)
    assert [r["id"] for r in record(region, 3)] == [r["id"] for r in record(Region(1, TODAY, clinics=2), 3)]


def test_every_resource_is_valid_and_says_that_it_is_test_data() -> None:
    found = made(1)
    assert [fault for r in found for fault in validate.faults(r, NOW)] == []
    assert all(r["meta"]["tag"] == [TAG] for r in found)
    assert {"Patient", "Encounter", "Observation", "Condition", "DiagnosticReport"} <= {
        r["resourceType"] for r in found
    }


def test_every_reference_leads_to_what_came_before() -> None:
    seen = set[str]()
    for r in made(3):
        wanted = set(re.findall(r'"reference":"([^"]+)"', db.dumps(r).decode()))
        assert wanted <= seen, r["resourceType"]
        seen.add(f"{r['resourceType']}/{r['id']}")


def test_nobody_is_born_tomorrow_and_nothing_happens_before_birth() -> None:
    region = Region(4, TODAY)
    for number in range(20):
        patient, *rest = record(region, number)
        born = date.fromisoformat(patient["birthDate"])
        days = [datetime.fromisoformat(r["period"]["start"]).date() for r in rest if r["resourceType"] == "Encounter"]
        assert all(born <= day <= TODAY for day in days), number


def test_a_bundle_creates_everything_under_its_own_id() -> None:
    directory, one = (db.loads(line) for line in lines(Region(1, TODAY), 1, bundles=True))
    assert directory["type"] == one["type"] == "transaction"
    assert validate.faults(one, NOW) == []
    assert all(e["request"]["url"] == f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in one["entry"])


def test_the_command_prints_a_line_for_each_resource() -> None:
    done = CliRunner().invoke(app, ["synthetic", "region", "2026-11-01", "--residents", "1", "--clinics", "1"])
    assert done.exit_code == 0, done.output
    assert [db.loads(line)["resourceType"] for line in done.output.splitlines()][:2] == ["Organization", "Location"]
