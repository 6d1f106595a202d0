"""What a Patient gives the identity index, and what it leaves out."""

from __future__ import annotations

from datetime import date

from feldsher_cloud_api.identity import weights
from feldsher_cloud_api.identity.traits import traits
from feldsher_ehr_core.identity import LEVELS, Name, Traits


def test_all_that_identifies() -> None:
    found = traits(
        {
            "resourceType": "Patient",
            "name": [{"family": "Соловьёва", "given": ["Анна", "Петровна"]}, {"use": "maiden", "family": "Ким"}],
            "birthDate": "1980-03-07",
            "gender": "female",
            "identifier": [
                {"system": "urn:snils", "value": "112-233-445 95"},
                {"system": "urn:old", "value": "1", "use": "old"},
                {"value": "of no system"},
            ],
            "telecom": [
                {"system": "phone", "value": "+7 912 000-00-01"},
                {"system": "email", "value": "a@example.org"},
            ],
            "address": [{"city": "Ключи"}, {"postalCode": "614000"}],
        }
    )
    assert found == Traits(
        (Name("Соловьёва", "Анна", "Петровна"), Name("Ким")),
        date(1980, 3, 7),
        "female",
        frozenset({("urn:snils", "11223344595")}),
        frozenset({"9120000001"}),
        "614000",
    )


def test_what_is_missing_or_not_well_formed_is_left_out() -> None:
    odd = {"name": "Anna", "birthDate": "1980-03", "gender": "other", "identifier": [None], "telecom": [{"value": 1}]}
    assert traits(odd) == Traits()


def test_every_level_has_its_weights() -> None:
    by = weights.load()
    assert {f: set(of) for f, of in by.levels.items()} == {f: set(of) for f, of in LEVELS.items()}
    assert all(0 < number <= 1 for of in by.levels.values() for pair in of.values() for number in pair)
    assert by.possible < by.probable < by.certain < 1
