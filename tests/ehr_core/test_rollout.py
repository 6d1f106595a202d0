"""Rollouts: everybody is reached once, stage after stage, and failures above the limit stop it at once."""

from __future__ import annotations

from typing import get_args

import pytest
from feldsher_ehr_core import rollout
from feldsher_ehr_core.rollout import Plan, RolloutError, State, decide, drawn, stage_of
from hypothesis import given
from hypothesis import strategies as st

PLAN = Plan((10, 50, 100), least_applied=80, most_failed=10, observe_s=100)
_stages = st.sets(st.integers(1, 99), max_size=4).map(lambda s: (*sorted(s), 100))
_states = st.sampled_from([None, *get_args(State)])


@given(_stages, st.integers(1, 300))
def test_every_target_has_one_stage_and_the_shares_are_kept(stages: tuple[int, ...], count: int) -> None:
    found = [stage_of(rank, count, stages) for rank in range(count)]
    assert found == sorted(found)
    for i, share in enumerate(stages):
        reached = sum(stage <= i for stage in found)
        assert reached >= 1
        assert count * share <= reached * 100 < count * share + 100


def test_who_is_first_is_drawn_anew_for_each_rollout() -> None:
    names = [f"gw-{n}" for n in range(50)]
    assert drawn(names, "a") == drawn(reversed(names), "a")
    assert sorted(drawn(names, "a")) == sorted(names)
    assert drawn(names, "a")[:5] != drawn(names, "b")[:5]


def _ten(states: str) -> list[tuple[int, State | None]]:
    """Return ten targets of PLAN's stages: one, four more, the rest; a applied, f failed, w waiting, . not offered."""
    of: dict[str, State | None] = {"a": "applied", "f": "failed", "w": "waiting", "l": "lapsed", ".": None}
    return [(0 if i < 1 else 1 if i < 5 else 2, of[letter]) for i, letter in enumerate(states)]


@pytest.mark.parametrize(
    ("stage", "age", "states", "act", "at"),
    [
        (-1, 0.0, "..........", "offer", 0),
        (0, 500.0, "w.........", "hold", 0),
        (0, 99.0, "a.........", "hold", 0),  # not observed for long enough
        (0, 100.0, "a.........", "offer", 1),
        (0, 0.0, "f.........", "halt", 0),  # one of one
        (0, 1e9, "l.........", "hold", 0),  # nobody has shown yet that it works
        (1, 100.0, "aaaaw.....", "offer", 2),
        (1, 100.0, "aaaww.....", "hold", 1),
        (1, 100.0, "aaaaf.....", "halt", 1),  # 20 %
        (2, 0.0, "aaaaaaaaaw", "hold", 2),
        (2, 0.0, "aaaaaaaaaf", "done", 2),  # 10 % is not more than 10 %
        (2, 0.0, "aaaaaaaawf", "hold", 2),
        (2, 0.0, "aaaaaaaaff", "halt", 2),
        (2, 0.0, "aaaaaaaaal", "done", 2),
    ],
)
def test_decisions_by_hand(stage: int, age: float, states: str, act: str, at: int) -> None:
    found = decide(PLAN, stage, age, _ten(states))
    assert (found.act, found.stage) == (act, at)
    assert found.why


@given(st.integers(-1, 2), st.floats(0, 1e6), st.lists(st.tuples(st.integers(0, 2), _states), min_size=1, max_size=40))
def test_no_stage_is_skipped_and_none_begins_over_too_many_failures(
    stage: int, age: float, targets: list[tuple[int, State | None]]
) -> None:
    found = decide(PLAN, stage, age, targets)
    offered = [state for at, state in targets if at <= stage]
    failed = sum(state in rollout.FAILED for state in offered)
    assert found.stage == (stage + 1 if found.act == "offer" else stage)
    assert (found.act == "halt") == (failed > 0.10 * len(offered) + 1e-9)
    if found.act == "offer" and stage >= 0:
        assert age >= 100
        assert offered.count("applied") * 100 >= 80 * len(offered)
    if found.act == "done":
        assert all(state in rollout.ENDED for state in offered)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"stages": ()}, "stages"),
        ({"stages": (50, 5, 100)}, "ascending"),
        ({"stages": (0, 100)}, "from 1 on"),
        ({"stages": (5, 50)}, "the last is 100"),
        ({"least_applied": 0}, "least applied 0"),
        ({"most_failed": 100}, "most failed 100"),
        ({"observe_s": -1.0}, "observe -1"),
    ],
)
def test_plans_that_cannot_be_are_named(fields: dict[str, tuple[int, ...]], why: str) -> None:
    with pytest.raises(RolloutError, match=why):
        Plan(**fields)  # type: ignore[arg-type]
