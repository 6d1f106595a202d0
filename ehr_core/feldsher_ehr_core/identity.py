"""Whether two records are of one person: rules, a score after Fellegi and Sunter, and keys to find them by.

I. P. Fellegi, A. B. Sunter, "A theory for record linkage", J. Am. Stat. Assoc. 64 (1969) 1183–1210: each field agrees
on some level; the level's weight is log2(m/u), m how often it comes between records of one person, u of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import log2
from typing import Literal

from feldsher_ehr_core import names

Grade = Literal["certain", "probable", "possible", "certainly-not"]
LEVELS: Mapping[str, tuple[str, ...]] = {
    "identifier": ("same", "close", "different"),
    "birth": ("same", "close", "different"),
    "sex": ("same", "different"),
    "family": ("same", "close", "initial", "different"),
    "given": ("same", "close", "initial", "different"),
    "patronymic": ("same", "close", "initial", "different"),
    "phone": ("same", "different"),
    "place": ("same", "different"),
}
"""The fields that are compared, and on which levels they may agree; `missing` says nothing."""
GRADES: tuple[Grade, ...] = ("certain", "probable", "possible", "certainly-not")


@dataclass(frozen=True, slots=True)
class Name:
    """One name: family, given and patronymic as written, empty where not known."""

    family: str = ""
    given: str = ""
    patronymic: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What identifies a person. `identifiers`: (system, value); `phones`: last ten digits; `place`: postal code."""

    names: tuple[Name, ...] = ()
    birth: date | None = None
    sex: str = ""
    identifiers: frozenset[tuple[str, str]] = frozenset()
    phones: frozenset[str] = frozenset()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """The numbers: `levels` field → level → (m, u); `prior`: how likely any two are of one person.

    `probable`, `possible`: the least probability of these grades; `certain` asks for more than a number (see grade).
    """

    levels: Mapping[str, Mapping[str, tuple[float, float]]]
    prior: float
    certain: float
    probable: float
    possible: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison came to: probability, grade, each field's level, and the rule that decided it where one did."""

    probability: float
    grade: Grade
    levels: Mapping[str, str] = field(hash=False)
    rule: str = ""


def normal_identifier(value: str) -> str:
    """Return an identifier's value as compared: letters and digits alone, without case."""
    return "".join(c for c in value.casefold() if c.isalnum())


def normal_phone(value: str) -> str:
    """Return a telephone number's last ten digits, empty where it has fewer than seven."""
    digits = "".join(c for c in value if c.isdigit())
    return digits[-10:] if len(digits) >= 7 else ""


def levels(a: Traits, b: Traits) -> dict[str, str]:
    """Return on which level each field of two records agrees; `missing` where one of them does not have it."""
    found = {"identifier": _identifiers(a, b), "birth": _births(a.birth, b.birth), "sex": _equal(a.sex, b.sex)}
    found |= _best_names(a.names, b.names)
    found["phone"] = "missing" if not a.phones or not b.phones else "same" if a.phones & b.phones else "different"
    found["place"] = _equal(a.place, b.place)
    return found


def _equal(a: str, b: str) -> str:
    return "missing" if not a or not b else "same" if a == b else "different"


def _identifiers(a: Traits, b: Traits) -> str:
    if a.identifiers & b.identifiers:
        return "same"
    common = {s for s, _ in a.identifiers} & {s for s, _ in b.identifiers}
    pairs = [(x, y) for s, x in a.identifiers for t, y in b.identifiers if s == t and s in common]
    if not pairs:
        return "missing"
    return "close" if any(len(x) >= 6 and names.distance(x, y, 1) <= 1 for x, y in pairs) else "different"


def _births(a: date | None, b: date | None) -> str:
    if a is None or b is None:
        return "missing"
    if a == b:
        return "same"
    if (a.year, a.month, a.day) == (b.year, b.day, b.month):
        return "close"
    if names.distance(a.strftime("%Y%m%d"), b.strftime("%Y%m%d"), 1) <= 1:
        return "close"
    return "different"


_NAMED: tuple[str, ...] = ("family", "given", "patronymic")
_ORDER = ("same", "close", "initial", "missing", "different")


def _best_names(a: tuple[Name, ...], b: tuple[Name, ...]) -> dict[str, str]:
    """Compare the names that fit each other best: people change them, and both stay on record."""
    best = dict.fromkeys(_NAMED, "missing")
    score = 99
    for x in a:
        for y in b:
            swapped = Name(y.given, y.family, y.patronymic)
            for other, penalty in ((y, 0), (swapped, 1)):
                found = {n: names.alike(getattr(x, n), getattr(other, n)) for n in _NAMED}
                if penalty:  # as good as a typing error where family and given name have changed places
                    found |= {n: "close" for n in ("family", "given") if found[n] == "same"}
                total = sum(_ORDER.index(level) for level in found.values()) + penalty
                if total < score:
                    best, score = found, total
    return best


def weight(found: Mapping[str, str], by: Weights) -> float:
    """Return the sum of the levels' weights, in bits; what is missing says nothing."""
    return sum(log2(m / u) for f, level in found.items() if level != "missing" for m, u in [by.levels[f][level]])


def judge(a: Traits, b: Traits, by: Weights) -> Verdict:
    """Return how likely two records are of one person, and the grade: rules first, then the score."""
    found = levels(a, b)
    bits = weight(found, by) + log2(by.prior / (1 - by.prior))
    probability = 1 / (1 + 2.0**-bits) if bits > -60 else 0.0
    rule = _rule(found)
    if rule == "identifier":
        return Verdict(max(probability, by.certain), "certain", found, rule)
    if rule:  # contradiction: a person looks at it, however high the score
        capped = min(probability, by.certain - 1e-6)
        grade: Grade = "possible" if capped >= by.possible else "certainly-not"
        return Verdict(capped, grade, found, rule)
    sure = found["birth"] == "same" and "different" not in {found[f] for f in ("identifier", *_NAMED)}
    return Verdict(probability, _grade(probability, sure, by), found)


def _rule(found: Mapping[str, str]) -> str:
    """Return the rule that decides: `identifier`, or a contradiction that no score may outweigh."""
    named = {found[n] for n in ("family", "given")}
    if found["identifier"] == "same":
        if found["birth"] == "same" and found["given"] in ("same", "close"):
            return "identifier"
        if found["birth"] == "different" or "different" in named:
            return "identifier-of-another"
    if found["given"] == "different" and found["birth"] == "same" and found["family"] in ("same", "close"):
        return "twins"
    if found["sex"] == "different" and found["identifier"] != "same":
        return "sexes"
    return ""


def _grade(probability: float, sure: bool, by: Weights) -> Grade:
    if probability >= by.certain and sure:
        return "certain"
    if probability >= by.probable:
        return "probable"
    return "possible" if probability >= by.possible else "certainly-not"


def keys(of: Traits, *, asking: bool = False) -> set[str]:
    """Return the keys under which a record is found: two of one person share one, however one field is mistyped.

    `asking`: also those under which it would stand if day and month had changed places.
    """
    found = {f"id:{system}|{value}" for system, value in of.identifiers}
    births = [of.birth] if of.birth else []
    if asking and of.birth and of.birth.day <= 12:
        births.append(of.birth.replace(month=of.birth.day, day=of.birth.month))
    for name in of.names:
        given, father = names.sound(name.given), names.sound(name.patronymic)
        for family in {names.sound(part) for part in (name.family, *names.parts(name.family))} - {""}:
            found |= set(_of_name(family, given, father, births))
        found |= {f"gb:{given}|{born:%Y%m%d}" for born in births if len(given) > 1}
        found |= {f"gp:{given}|{phone}" for phone in of.phones if given}
    return found


def _of_name(family: str, given: str, father: str, births: Iterable[date]) -> Iterator[str]:
    pair = "|".join(sorted((family, given)))  # family and given name change places in forms
    for born in births:
        yield f"fb:{family}|{born:%Y%m%d}"
        if given:
            yield f"ny:{pair}|{born:%Y}"
            yield f"nd:{pair}|{born:%m%d}"
    if given and father:
        yield f"nf:{pair}|{father}"
