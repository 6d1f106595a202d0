"""People who do not exist, written down twice with typing errors: they measure the identity index and its weights.

`python -m feldsher_tools.identities` prints recall and precision of the weights in use on a set that they were not
estimated from; `--estimate` prints the weights that another set gives (cloud_api `identity/weights.toml` holds them).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate

from feldsher_cloud_api.identity import weights
from feldsher_cloud_api.synthetic import region
from feldsher_ehr_core import identity
from feldsher_ehr_core.identity import Name, Traits

FAMILIES = 4000
_STEM = ("ба", "ве", "го", "да", "жу", "за", "ка", "ле", "му", "ни", "по", "ря", "са", "ту", "фе", "ха", "че", "ша")
_END = ("ков", "нин", "лев", "рин", "цов", "мов", "дин", "хин", "щев", "гин")
_LETTERS = "абвгдежзийклмнопрстуфхцчшщыэюя"
_LATIN = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y - e iu ia".replace("-", "").split(" "),
        strict=True,
    )
)
"""ICAO Doc 9303, part 3, section 6: as passports write names."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How often something is written differently the second time. Chosen by us: no register's errors are public.

    The order of magnitude is that of studies of registration errors: some percent of records per field.
    """

    letter: float = 0.04
    second_letter: float = 0.01
    yo: float = 0.5
    latin: float = 0.02
    swapped: float = 0.01
    initial: float = 0.02
    married: float = 0.08
    no_father: float = 0.08
    digit: float = 0.02
    day_month: float = 0.005
    no_identifier: float = 0.35
    wrong_identifier: float = 0.01
    identifier_digit: float = 0.01
    moved: float = 0.25
    no_phone: float = 0.4
    new_phone: float = 0.3


class Population:
    """Residents by number, the same for the same seed; some are twins, some fathers and sons of one name."""

    def __init__(self, seed: int) -> None:
        """Make the family names, a few of which are many people's (Zipf)."""
        self.seed = seed
        draw = random.Random(f"{seed}/families")  # noqa: S311 - nothing secret is made
        names = region.data()["names"]
        made = {
            "".join(draw.choices(_STEM, k=draw.randint(1, 3))).capitalize() + draw.choice(_END) for _ in range(9000)
        }
        self.families: list[str] = [*names["family"], *sorted(made)][:FAMILIES]
        self.weights = list(accumulate(1 / (rank + 10) for rank in range(len(self.families))))
        self.names = names

    def person(self, number: int) -> Traits:
        """Return one resident; every fiftieth is the twin of the one before."""
        if number % 50 == 49:
            return self._twin(self.person(number - 1), number)
        draw = random.Random(f"{self.seed}/{number}")  # noqa: S311
        sex = draw.choice(("male", "female"))
        family = draw.choices(self.families, cum_weights=self.weights)[0]
        given, father = draw.choice(self.names[sex]), draw.choice(self.names["patronymic"])
        if sex == "female":
            family, father = family + "а", father + "на"
        else:
            father += "ич"
        born = date(2026, 11, 23) - timedelta(days=int(draw.triangular(0, 95 * 365, 45 * 365)))
        return Traits(
            (Name(family, given, father),),
            born,
            sex,
            frozenset({("urn:demo:insurance", f"{draw.randrange(10**16):016d}")}),
            frozenset({f"{9_000_000_000 + draw.randrange(10**9)}"}),
            f"{614000 + draw.randrange(1000):06d}",
        )

    def _twin(self, of: Traits, number: int) -> Traits:
        draw = random.Random(f"{self.seed}/twin/{number}")  # noqa: S311
        other = draw.choice([n for n in self.names[of.sex] if n != of.names[0].given])
        insurance = frozenset({("urn:demo:insurance", f"{draw.randrange(10**16):016d}")})
        return replace(of, names=(replace(of.names[0], given=other),), identifiers=insurance)


def written(of: Traits, draw: random.Random, by: Errors) -> Traits:
    """Return a person as somebody else writes them down."""

    def happens(chance: float) -> bool:
        return draw.random() < chance

    name = of.names[0]
    if of.sex == "female" and happens(by.married):
        name = replace(name, family=draw.choice(region.data()["names"]["family"]) + "а")
    parts = [_mistyped(p, draw, by) for p in (name.family, name.given, name.patronymic)]
    if happens(by.latin):
        parts = ["".join(_LATIN.get(c, c) for c in p.lower()).capitalize() for p in parts]
    if happens(by.initial):
        parts[1:] = [p[:1] + "." for p in parts[1:]]
    if happens(by.no_father):
        parts[2] = ""
    if happens(by.swapped):
        parts[:2] = parts[1::-1]
    identifiers = frozenset[tuple[str, str]]() if happens(by.no_identifier) else of.identifiers
    if identifiers and happens(by.wrong_identifier):
        identifiers = frozenset({("urn:demo:insurance", f"{draw.randrange(10**16):016d}")})
    if identifiers and happens(by.identifier_digit):
        identifiers = frozenset({(system, _misread(value, draw)) for system, value in identifiers})
    phones = frozenset({f"{9_000_000_000 + draw.randrange(10**9)}"}) if happens(by.new_phone) else of.phones
    place = f"{614000 + draw.randrange(1000):06d}" if happens(by.moved) else of.place
    born = _misdated(of.birth or date.min, draw, by)
    return Traits((Name(*parts),), born, of.sex, identifiers, frozenset() if happens(by.no_phone) else phones, place)


def _mistyped(text: str, draw: random.Random, by: Errors) -> str:
    if draw.random() < by.yo:
        text = text.replace("ё", "е")
    for chance in (by.letter, by.second_letter):
        if len(text) > 2 and draw.random() < chance:
            at = draw.randrange(len(text) - 1)
            text = draw.choice(
                (
                    text[:at] + draw.choice(_LETTERS) + text[at + 1 :],
                    text[:at] + text[at + 1 :],
                    text[:at] + draw.choice(_LETTERS) + text[at:],
                    text[:at] + text[at + 1] + text[at] + text[at + 2 :],
                )
            )
    return text


def _misread(digits: str, draw: random.Random) -> str:
    at = draw.randrange(len(digits))
    return digits[:at] + draw.choice("0123456789") + digits[at + 1 :]


def _misdated(born: date, draw: random.Random, by: Errors) -> date:
    if draw.random() < by.day_month and born.day <= 12:
        return born.replace(month=born.day, day=born.month)
    if draw.random() < by.digit:
        text = list(born.isoformat())
        at = draw.choice((2, 3, 6, 8, 9))
        text[at] = draw.choice("0123456789")
        try:
            return date.fromisoformat("".join(text))
        except ValueError:
            return born.replace(day=draw.randint(1, 28))
    return born


class Index:
    """Records found by their keys, as the database finds them."""

    def __init__(self, people: Sequence[Traits]) -> None:
        """Put everybody under their keys."""
        self.people, self.by_key = people, dict[str, list[int]]()
        for number, person in enumerate(people):
            for key in identity.keys(person):
                self.by_key.setdefault(key, []).append(number)

    def near(self, asked: Traits) -> set[int]:
        """Return the numbers of all that share a key."""
        return {n for key in identity.keys(asked, asking=True) for n in self.by_key.get(key, ())}


def pairs(seed: int, size: int, asked: int) -> Iterator[tuple[Traits, int, Traits, int]]:
    """Yield what is asked, whose it is, and each record that shares a key with it, and its number."""
    people = Population(seed)
    everybody = [people.person(n) for n in range(size)]
    index, draw = Index(everybody), random.Random(f"{seed}/errors")  # noqa: S311
    for number in draw.sample(range(size), asked):
        query = written(everybody[number], draw, Errors())
        for found in sorted(index.near(query) | {number}):
            yield query, number, everybody[found], found


def estimate(seed: int, size: int, asked: int) -> dict[str, dict[str, list[float]]]:
    """Return the weights that a set gives: m of what is written twice, u of as many pairs of any two, forty times."""
    people, draw = Population(seed), random.Random(f"{seed}/errors")  # noqa: S311
    true: dict[str, Counter[str]] = {}
    other: dict[str, Counter[str]] = {}
    for _ in range(asked):
        one = people.person(draw.randrange(size))
        query = written(one, draw, Errors())
        _count(true, query, one)
        for _ in range(40):
            _count(other, query, people.person(draw.randrange(size)))
    out: dict[str, dict[str, list[float]]] = {}
    for name, seen in identity.LEVELS.items():
        both = [(c[name], sum(c[name][s] for s in seen)) for c in (true, other)]
        out[name] = {s: [float(f"{(c[s] + 0.5) / (n + 0.5 * len(seen)):.3g}") for c, n in both] for s in seen}
    return out


def _count(into: dict[str, Counter[str]], a: Traits, b: Traits) -> None:
    for name, level in identity.levels(a, b).items():
        into.setdefault(name, Counter())[level] += 1


def measure(seed: int, size: int, asked: int) -> dict[str, float]:
    """Return recall and precision at each grade, and how many records share a key with what is asked."""
    by = weights.load()
    right, wrong = Counter[str](), Counter[str]()
    near = 0
    for query, number, person, found in pairs(seed, size, asked):
        near += 1
        grade = identity.judge(query, person, by).grade
        (right if number == found else wrong)[grade] += 1
    out: dict[str, float] = {"size": size, "asked": asked, "candidates": round(near / asked, 1)}
    taken: Counter[str] = Counter()
    for grade in ("certain", "probable", "possible"):
        taken["right"] += right[grade]
        taken["wrong"] += wrong[grade]
        out[f"recall_{grade}"] = round(taken["right"] / asked, 4)
        out[f"precision_{grade}"] = round(taken["right"] / max(1, taken.total()), 5)
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Measure or estimate; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--size", type=int, default=100_000, help="residents")
    parser.add_argument("--asked", type=int, default=5000, help="how many of them are looked for")
    parser.add_argument("--estimate", action="store_true", help="print the weights that this set gives")
    options = parser.parse_args(argv)
    made = (estimate if options.estimate else measure)(options.seed, options.size, options.asked)
    for name, of in made.items():
        print(f"[levels.{name}]" if isinstance(of, dict) else f"{name} = {of}")
        for level, numbers in of.items() if isinstance(of, dict) else ():
            print(f"{level} = {numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
