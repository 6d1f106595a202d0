"""Names as they are compared: what is written differently is the same, what differs is told apart."""

from __future__ import annotations

import pytest
from feldsher_ehr_core import names
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Щербаков", "Shcherbakov"),
        ("Фёдоров", "Федоров"),
        ("ИВАНОВ", "иванов"),
        ("Юлия", "Iuliia"),
        ("Хабибуллин", "Khabibulin"),
        ("Цой", "Tsoy"),
        ("Соловьёв", "Solovyev"),
        ("Петрова - Водкина", "петрова-водкина"),
    ],
)
def test_the_same_name_in_two_spellings(a: str, b: str) -> None:
    assert names.alike(a, b) == "same"


@pytest.mark.parametrize(
    ("a", "b", "level"),
    [
        ("Иавнов", "Иванов", "close"),  # swapped letters
        ("Ивнов", "Иванов", "close"),
        ("Наталья", "Наталия", "close"),
        ("Петрова-Водкина", "Петрова", "close"),
        ("Е.", "Елена", "initial"),
        ("А.", "Елена", "different"),
        ("Ким", "Кин", "different"),  # in a short name one letter is another name
        ("Шаров", "Жаров", "close"),
        ("Иванов", "Петров", "different"),
        ("", "Иванов", "missing"),
        ("—", "Иванов", "missing"),
    ],
)
def test_levels(a: str, b: str, level: str) -> None:
    assert names.alike(a, b) == level
    assert names.alike(b, a) == level


def naive(a: str, b: str) -> int:
    """Optimal string alignment by its definition."""
    if not a or not b:
        return len(a) + len(b)
    best = min(naive(a[1:], b) + 1, naive(a, b[1:]) + 1, naive(a[1:], b[1:]) + (a[0] != b[0]))
    if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
        best = min(best, naive(a[2:], b[2:]) + 1)
    return best


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 4))
def test_distance_is_that_of_its_definition(a: str, b: str, most: int) -> None:
    assert names.distance(a, b, most) == min(naive(a, b), most + 1)


@given(st.text())
def test_any_text_has_a_spelling_which_is_its_own(text: str) -> None:
    spelt = names.spell(text)
    assert names.sound(text) == names.sound(text.upper()) or text.casefold() != text.upper().casefold()
    assert all("a" <= c <= "z" or c in "šžč" for c in spelt)
