"""The made-up population by which the identity index is measured, and what the index makes of it."""

from __future__ import annotations

import random
import tomllib

import pytest
from feldsher_ehr_core.identity import LEVELS
from feldsher_tools import identities
from feldsher_tools.identities import Errors, Population


def test_the_same_seed_makes_the_same_people() -> None:
    assert [Population(3).person(n) for n in (0, 49)] == [Population(3).person(n) for n in (0, 49)]
    assert Population(3).person(0) != Population(4).person(0)


def test_twins_share_all_but_given_name_and_insurance() -> None:
    one, other = Population(3).person(48), Population(3).person(49)
    assert (one.birth, one.names[0].family, one.phones) == (other.birth, other.names[0].family, other.phones)
    assert one.names[0].given != other.names[0].given
    assert one.identifiers != other.identifiers


def test_without_errors_nothing_is_written_differently() -> None:
    person, none = Population(3).person(7), Errors(*[0.0] * len(Errors.__dataclass_fields__))
    assert identities.written(person, random.Random(1), none)  # noqa: S311 == person


def test_recall_and_precision_of_the_weights_in_use() -> None:
    found = identities.measure(seed=5, size=4000, asked=400)
    assert found["recall_possible"] >= 0.985  # of 400, six may not be found at all
    assert found["recall_certain"] >= 0.85
    assert found["precision_certain"] == 1.0  # a wrong certain link would bring two people's records together


def test_estimated_weights_cover_every_level() -> None:
    found = identities.estimate(seed=5, size=1000, asked=30)
    assert {f: tuple(of) for f, of in found.items()} == LEVELS
    assert found["birth"]["same"][0] > found["birth"]["same"][1]


def test_prints_what_the_weights_file_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert identities.main(["--estimate", "--size", "200", "--asked", "5"]) == 0
    assert set(tomllib.loads(capsys.readouterr().out)["levels"]) == set(LEVELS)
