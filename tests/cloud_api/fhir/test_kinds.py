"""Every resource type of R4 has a place, and who may see it is said."""

from __future__ import annotations

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import row
from feldsher_cloud_api.fhir.kinds import CARE, kind, kinds
from feldsher_cloud_api.fhir.r4 import definitions


def test_every_type_has_a_place() -> None:
    assert set(kinds()) == set(definitions().resources)
    assert set(CARE) < set(kinds())
    assert {k.name for k in kinds().values() if not k.shared} == set(CARE)


def test_what_is_of_patients_is_in_their_compartment() -> None:
    outside = {n for n in definitions().compartment if kind(n).scope != "compartment"}
    # Groups are of many; calendars and places of care are for all who book
    assert outside == {"Group", "Schedule"}
    assert [kind(n).scope for n in ("Task", "Binary", "Device", "ValueSet", "Subscription")] == [
        "compartment", "compartment", "device", "directory", "staff",
    ]  # fmt: skip


def test_the_tables_are_as_the_definitions_say(database: str) -> None:
    with db.connect(database) as connection:
        stored = connection.execute("SELECT type, name, scope::text FROM fhir.kind").fetchall()
        assert {r[0]: (r[1], r[2]) for r in stored} == {n: (k.table, k.letter) for n, k in kinds().items()}
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'fhir'"
        ).fetchall()
    columns: dict[str, set[str]] = {}
    for table, column in found:
        columns.setdefault(table, set()).add(column)
    for of in kinds().values():
        assert {name for name, _ in row.columns(of)} <= columns[of.table], of.name
        assert {"id", "logical", "version", "updated", "txid", "patient_id", "content"} <= columns[
            of.table + "_history"
        ]
