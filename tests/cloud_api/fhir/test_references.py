"""References that lead nowhere, and resources that others refer to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import references, store
from feldsher_cloud_api.fhir.identity import key
from feldsher_cloud_api.fhir.outcome import FhirError

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANNA: dict[str, Any] = {"resourceType": "Patient", "id": "anna"}


@pytest.fixture
def connection(database: str) -> Iterator[db.Connection]:
    with db.connect(database) as connection:
        yield connection


def _note(*texts: str, name: str = "c") -> dict[str, Any]:
    found = [{"reference": t} for t in texts]
    return {"resourceType": "Composition", "id": name, "subject": found[0], "section": [{"entry": found[1:]}]}


def test_what_leads_nowhere_is_named_by_its_element(connection: db.Connection) -> None:
    store.insert(connection, ANNA, now=NOW)
    note = _note(
        "Patient/anna", "Patient/boris", "Library/x", "#p", "urn:uuid:1", "http://a/Patient/1", "Composition/d"
    )
    found = references.missing(
        connection, [note, _note("Patient/anna/_history/7", name="d"), _note("Patient/eva", name="e")]
    )
    assert [(m.number, m.path, m.text) for m in found] == [
        (0, "Composition.section[0].entry[0]", "Patient/boris"),
        (0, "Composition.section[0].entry[1]", "Library/x"),
        (2, "Composition.subject", "Patient/eva"),
    ]
    faults = references.refused(found, [note] * 3)
    assert (faults[2].expression, faults[2].status) == ("Composition.subject", 422)
    assert "Patient/eva" in faults[2].words
    assert "resource 3 of 3" in faults[2].words


def test_a_trail_may_tell_of_what_is_gone(connection: db.Connection) -> None:
    trail = {"resourceType": "Provenance", "id": "t", "target": [{"reference": "Patient/anna"}]}
    assert references.missing(connection, [trail]) == []
    store.insert(connection, ANNA, now=NOW)
    store.insert(connection, trail, now=NOW)
    references.keep(connection, "Patient", key("anna"))


@pytest.mark.parametrize("kind", ["Composition", "DocumentManifest"])
def test_what_others_refer_to_is_kept(connection: db.Connection, kind: str) -> None:
    store.insert(connection, ANNA, now=NOW)
    references.keep(connection, "Patient", key("anna"))
    store.insert(connection, _note("Patient/anna", name="first-visit") | {"resourceType": kind}, now=NOW)
    with pytest.raises(FhirError, match=f"this Patient is referred to by {kind}/first-visit") as refused:
        references.keep(connection, "Patient", key("anna"))
    assert refused.value.status == 409
    store.delete(connection, kind, key("first-visit"), now=NOW)
    references.keep(connection, "Patient", key("anna"))


def test_what_refers_to_itself_may_go(connection: db.Connection) -> None:
    store.insert(connection, ANNA | {"link": [{"other": {"reference": "Patient/anna"}, "type": "seealso"}]}, now=NOW)
    references.keep(connection, "Patient", key("anna"))
