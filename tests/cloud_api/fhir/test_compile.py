"""What is compiled is answered from indexes by the API's own role under row-level security, and never becomes SQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING
from feldsher_cloud_api.fhir import page, search
from feldsher_cloud_api.fhir.compile import answered
from feldsher_cloud_api.fhir.fragment import every, fragment
from feldsher_cloud_api.fhir.links import table
from feldsher_cloud_api.fhir.order import order
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_tools.postgres import DatabaseServer

BASE = "https://record.example/fhir"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
UCUM = "http://unitsofmeasure.org"
# Each class of search with the indexes, one of which its plan has to use.
CLASSES = [
    ("Patient", "name", "ann", ("patient_strings_idx",)),
    ("Patient", "name:contains", "nna", ("patient_strings_idx",)),
    ("Patient", "family:exact", "Anna", ("patient_strings_idx",)),
    ("Patient", "identifier", "urn:mrn|17", ("patient_terms_idx",)),
    ("Patient", "birthdate", "1980-05-01", ("patient_birthdate_idx",)),
    ("Patient", "general-practitioner", "Practitioner/x", ("patient_terms_idx",)),
    ("Patient", "_id", "a,b", ("patient_pkey",)),
    ("Patient", "_lastUpdated", "gt2026-01-01", ("patient_updated_id_idx",)),
    ("Observation", "code", "http://loinc.org|8480-6", ("observation_terms_idx",)),
    ("Observation", "code:in", "http://hl7.org/fhir/ValueSet/observation-status", ("observation_terms_idx",)),
    ("Observation", "code:text", "heart rate", ("observation_terms_idx",)),
    ("Observation", "identifier:of-type", "a|b|c", ("observation_terms_idx",)),
    ("Observation", "date", "ge2024-01-01", ("observation_date_idx", "observation_lower_id_idx")),
    ("Observation", "date", "sa2024-01-01", ("observation_date_idx", "observation_lower_id_idx")),
    ("Observation", "value-quantity", f"gt5.4|{UCUM}|mg", ("amount_place_",)),
    ("Observation", "code-value-quantity", "8480-6$gt140", ("amount_place_",)),
    ("Observation", "code-value-concept", "a$b", ("observation_terms_idx",)),
    ("Observation", "subject", "Patient/x", ("observation_terms_idx",)),
    ("Observation", "subject:Patient.name", "ann", ("observation_terms_idx", "One-Time Filter: false")),
    ("ValueSet", "url:below", "http://example.org/", ("valueset_strings_idx",)),
    ("Evidence", "status", "active", ("other_terms_idx", "other_pkey", "other_type_")),
]


@pytest.fixture(scope="module")
def shared(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here: nothing is committed."""
    name = f"feldsher_compile_{os.getpid()}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def connection(shared: str) -> Iterator[db.Connection]:
    with db.connect(shared, db.API) as opened:
        opened.execute("SELECT set_config('app.role', 'service', false)")
        yield opened
        opened.rollback()


@pytest.mark.parametrize(("of", "name", "value", "indexes"), CLASSES)
def test_every_class_of_search_uses_an_index(
    connection: db.Connection, of: str, name: str, value: str, indexes: tuple[str, ...]
) -> None:
    asked = search.understand(of, [(name, value)], BASE, now=NOW)
    linker = search.linker(connection, asked, EVERYTHING)
    where = every((linker.within(of), *(linker.condition(of, c) for c in asked.search.conditions)))
    # The tables are empty: what may be used is the question. Without an order the page's own index cannot help.
    connection.execute("SET enable_seqscan = off")
    query = fragment("EXPLAIN SELECT r.id FROM {t} r WHERE {w}", *where.values, t=table(of), w=where.sql)
    plan = "\n".join(str(row[0]) for row in connection.execute(query.sql, query.values).fetchall())
    assert any(index in plan for index in indexes), plan


@pytest.mark.parametrize("sort", ["", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "date", "-date"])
@pytest.mark.parametrize("later", [False, True])
def test_pages_in_the_common_orders_are_read_from_an_index_without_sorting(
    connection: db.Connection, sort: str, later: bool
) -> None:
    asked = search.understand("Observation", [("_sort", sort)] if sort else [], BASE, now=NOW)
    keys = order("Observation", asked.search.sort)
    place = ["0", "", *("2024-01-01" if k.type == "timestamptz" else "0" * 32 for k in keys.keys)]
    where = every((keys.among(0), keys.after(place))) if later else keys.among(0)
    query = fragment(
        "EXPLAIN SELECT {c} FROM fhir.observation r WHERE {w} ORDER BY {o} LIMIT 50",
        *where.values,
        c=page.COLUMNS,
        w=where.sql,
        o=keys.clause(0),
    )
    connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    plan = "\n".join(str(row[0]) for row in connection.execute(query.sql, query.values).fetchall())
    assert "Sort" not in plan, plan
    assert "Index Scan" in plan, plan
    assert ("Index Cond" in plan) is (later or sort in ("date", "-date")), plan


def test_a_composite_that_is_not_served_is_refused_by_name(connection: db.Connection) -> None:
    name = "chromosome-window-coordinate"
    assert not answered("MolecularSequence", name)
    asked = search.understand("MolecularSequence", [(name, "1$2$3")], BASE, now=NOW)
    with pytest.raises(FhirError, match=name) as caught:
        search.run(connection, asked, EVERYTHING)
    assert caught.value.status == 400


def test_value_sets_that_are_not_here_are_refused_by_name(connection: db.Connection) -> None:
    for name, value in (("code:in", "http://example.org/none"), ("code:below", "no-system")):
        asked = search.understand("Observation", [(name, value)], BASE, now=NOW)
        with pytest.raises(FhirError, match="code") as caught:
            search.run(connection, asked, EVERYTHING)
        assert caught.value.status == 400
