"""What comes along: forwards, backwards, in rounds, once each, within bounds, reach and rights."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING, Forbidden, Reach
from feldsher_cloud_api.fhir import identity, include, search, store
from feldsher_tools.postgres import DatabaseServer

BASE = "https://record.example/fhir"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: nothing is committed."""
    name = f"feldsher_include_{os.getpid()}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def connection(shared: str) -> Iterator[db.Connection]:
    with db.connect(shared, db.WORKER) as opened:
        for resource in _hospital():
            assert store.insert(opened, resource, now=NOW)
        yield opened
        opened.rollback()


def _refer(text: str) -> dict[str, str]:
    return {"reference": text}


def _hospital() -> Iterator[dict[str, Any]]:
    yield {"resourceType": "Organization", "id": "clinic", "name": "Clinic"}
    yield {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Doc"}]}
    for n in (1, 2):
        yield {
            "resourceType": "Patient",
            "id": f"p{n}",
            "name": [{"family": f"P{n}"}],
            "generalPractitioner": [_refer("Practitioner/doc")],
            "managingOrganization": _refer("Organization/clinic"),
        }
        for k in (1, 2):
            yield {
                "resourceType": "Observation",
                "id": f"o{n}{k}",
                "status": "final",
                "code": {"text": "x"},
                "subject": _refer(f"Patient/p{n}"),
                "performer": [_refer("Practitioner/doc")],
                "derivedFrom": [_refer(f"Observation/o{n}1")] if k == 2 else [],
            }


def _along(
    connection: db.Connection,
    of: str,
    *pairs: tuple[str, str],
    reach: Reach = EVERYTHING,
    may: Callable[[str], bool] = lambda kind: True,
) -> set[str]:
    asked = search.understand(of, pairs, BASE, now=NOW)
    found = search.answer(connection, asked, reach, may=may).along.found
    names = [f"{f.kind}/{f.stored.logical}" for f in found]
    assert len(set(names)) == len(names)
    return set(names)


def test_forwards_backwards_and_in_rounds(connection: db.Connection) -> None:
    one = ("_id", "o12")
    assert _along(connection, "Observation", one, ("_include", "Observation:subject")) == {"Patient/p1"}
    assert _along(connection, "Observation", one, ("_include", "Observation:subject:Group")) == set()
    assert _along(connection, "Observation", one, ("_include", "*")) == {
        "Patient/p1", "Practitioner/doc", "Observation/o11",
    }  # fmt: skip
    assert _along(connection, "Patient", ("_id", "p1"), ("_revinclude", "Observation:subject")) == {
        "Observation/o11", "Observation/o12",
    }  # fmt: skip
    rounds = (("_include", "Observation:subject"), ("_include:iterate", "Patient:organization"))
    assert _along(connection, "Observation", one, *rounds) == {"Patient/p1", "Organization/clinic"}
    back = (("_revinclude", "Patient:organization"), ("_revinclude:iterate", "Observation:patient"))
    assert len(_along(connection, "Organization", *back)) == 6


def test_a_match_does_not_come_along_once_more(connection: db.Connection) -> None:
    assert _along(connection, "Observation", ("_include:iterate", "Observation:derived-from")) == set()


def test_nothing_comes_along_from_beyond_reach_or_rights(connection: db.Connection) -> None:
    first = Reach(patients=(identity.key("p1"),))
    every = (("_include", "*"), ("_revinclude:iterate", "*"), ("_include:iterate", "*"))
    assert {n for n in _along(connection, "Observation", *every, reach=first) if "2" in n} == set()
    seen = _along(connection, "Observation", *every, may=lambda kind: kind != "Patient")
    assert seen == {"Practitioner/doc"}  # the clinic is only known through the patients


def test_chains_stay_within_reach_and_rights(connection: db.Connection) -> None:
    first = Reach(patients=(identity.key("p1"),))

    def ids(name: str, value: str, reach: Reach) -> set[str]:
        of = "Practitioner" if name.startswith("_has") else "Observation"
        asked = search.understand(of, [(name, value)], BASE, now=NOW)
        return {s.logical for s in search.run(connection, asked, reach)[0]}

    assert ids("subject:Patient.name", "p2", EVERYTHING) == {"o21", "o22"}
    assert ids("subject:Patient.name", "p2", first) == set()
    assert ids("_has:Patient:general-practitioner:name", "p2", EVERYTHING) == {"doc"}
    assert ids("_has:Patient:general-practitioner:name", "p2", first) == set()
    asked = search.understand("Observation", [("subject:Patient.name", "p1")], BASE, now=NOW)
    with pytest.raises(Forbidden):
        search.answer(connection, asked, EVERYTHING, may=lambda kind: kind != "Patient")


def test_what_is_left_out_is_said(connection: db.Connection) -> None:
    asked = search.understand("Observation", [("_include", "*")], BASE, now=NOW)
    linker = search.linker(connection, asked, EVERYTHING)
    page = search.answer(connection, asked, EVERYTHING)
    along = include.along(linker, asked.search.includes, page.page.found, most=2)
    assert (len(along.found), along.more) == (2, True)
    page.along = along
    bundle = db.loads(search.bundle(BASE, "Observation", asked, page))
    modes = [e["search"]["mode"] for e in bundle["entry"]]
    assert modes == ["match"] * 4 + ["include"] * 2 + ["outcome"]
    assert bundle["entry"][-1]["resource"]["issue"][0]["severity"] == "warning"
