"""Two records of one person, or of two: levels, rules, grades, and keys that survive one mistyped field."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from feldsher_ehr_core import identity
from feldsher_ehr_core.identity import LEVELS, Name, Traits, Weights

BY = Weights({f: dict.fromkeys(of, (0.9, 0.01)) | {"different": (0.01, 0.99)} for f, of in LEVELS.items()}, 1e-5,
             0.9999, 0.9, 0.01)  # fmt: skip
ANNA = Traits(
    (Name("Соловьёва", "Анна", "Петровна"),),
    date(1980, 3, 7),
    "female",
    frozenset({("urn:snils", "11223344595")}),
    frozenset({"9120000001"}),
    "614000",
)


def named(family: str = "Соловьёва", given: str = "Анна", patronymic: str = "Петровна") -> tuple[Name, ...]:
    return (Name(family, given, patronymic),)


def test_the_same_is_certain() -> None:
    found = identity.judge(ANNA, ANNA, BY)
    assert (found.grade, found.rule) == ("certain", "identifier")
    assert set(found.levels.values()) == {"same"}


def test_without_an_identifier_the_score_decides() -> None:
    found = identity.judge(ANNA, replace(ANNA, identifiers=frozenset()), BY)
    assert (found.grade, found.rule, found.levels["identifier"]) == ("certain", "", "missing")
    assert 0.9999 < found.probability < 1


@pytest.mark.parametrize(
    ("other", "rule"),
    [
        (replace(ANNA, names=named(given="Мария"), identifiers=frozenset()), "twins"),
        (replace(ANNA, names=named("Кузнецов", "Олег", "Ильич"), birth=date(2011, 1, 1)), "identifier-of-another"),
        (replace(ANNA, sex="male", identifiers=frozenset()), "sexes"),
    ],
)
def test_a_contradiction_is_never_certain(other: Traits, rule: str) -> None:
    found = identity.judge(ANNA, other, BY)
    assert found.rule == rule
    assert found.grade in ("possible", "certainly-not")


def test_names_change_places_and_people_marry() -> None:
    assert identity.levels(ANNA, replace(ANNA, names=named("Анна", "Соловьева")))["family"] == "close"
    both = replace(ANNA, names=(*named("Иванова"), *named()))
    assert identity.levels(ANNA, both)["family"] == "same"


@pytest.mark.parametrize(
    ("other", "level"),
    [
        (date(1980, 7, 3), "close"),  # day and month
        (date(1980, 3, 17), "close"),  # a digit
        (date(1981, 3, 7), "close"),
        (date(1991, 3, 8), "different"),
        (None, "missing"),
    ],
)
def test_birth_dates(other: date | None, level: str) -> None:
    assert identity.levels(ANNA, replace(ANNA, birth=other))["birth"] == level


@pytest.mark.parametrize(
    "asked",
    [
        replace(ANNA, names=named("Саловьева"), identifiers=frozenset()),
        replace(ANNA, names=named("Иванова"), identifiers=frozenset()),  # married
        replace(ANNA, names=named(given="Аня"), identifiers=frozenset(), phones=frozenset()),
        replace(ANNA, names=named("Анна", "Соловьёва"), birth=date(1980, 3, 1), identifiers=frozenset()),
        replace(ANNA, birth=date(1980, 7, 3), identifiers=frozenset()),
        replace(ANNA, birth=None, identifiers=frozenset()),
        replace(ANNA, birth=date(1931, 3, 7), names=named(patronymic=""), identifiers=frozenset()),
        replace(ANNA, names=named("Solovyeva", "Anna", ""), identifiers=frozenset(), phones=frozenset()),
        replace(ANNA, names=(), birth=None),
    ],
)
def test_one_mistyped_field_is_found_by_another_key(asked: Traits) -> None:
    assert identity.keys(asked, asking=True) & identity.keys(ANNA)


def test_others_share_no_key() -> None:
    other = Traits(named("Кузнецова", "Ольга", "Ивановна"), date(1962, 11, 30), "female")
    assert not identity.keys(other, asking=True) & identity.keys(ANNA)


@pytest.mark.parametrize(
    ("said", "kept"), [("+7 (912) 000-00-01", "9120000001"), ("112", ""), ("89120000001", "9120000001")]
)
def test_telephone_numbers(said: str, kept: str) -> None:
    assert identity.normal_phone(said) == kept


def test_identifiers_are_compared_without_their_signs() -> None:
    assert identity.normal_identifier("112-233-445 95") == "11223344595"
    misread = replace(ANNA, identifiers=frozenset({("urn:snils", "11223344596")}))
    assert identity.levels(ANNA, misread)["identifier"] == "close"
