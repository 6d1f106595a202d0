"""Bringing an update to many gateways in stages: who comes when, and whether the next stage begins or all is halted.

Pure: the cloud's worker asks again and again with what is known by then, and does what is decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["waiting", "working", "applied", "refused", "rolled-back", "failed", "lapsed", "withdrawn"]
FAILED: frozenset[State] = frozenset({"refused", "rolled-back", "failed"})
"""What counts against an update. A gateway that never answered says nothing about it: it lapses, and is no failure."""
ENDED: frozenset[State] = frozenset({*FAILED, "applied", "lapsed"})


class RolloutError(ValueError):
    """A plan that cannot be; the text names the number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How careful a rollout is; shares are percent.

    `stages`: share of all targets that each stage reaches in all, ascending to 100. `least_applied`: share of what was
    offered that must run it before the next stage. `most_failed`: share above which failures halt it. `observe_s`:
    seconds that a stage lasts at least: some faults take a night to show.
    """

    stages: tuple[int, ...] = (5, 25, 100)
    least_applied: int = 80
    most_failed: int = 10
    observe_s: float = 86_400.0

    def __post_init__(self) -> None:
        if not self.stages or list(self.stages) != sorted(set(self.stages)) or not self.stages[0] >= 1:
            raise RolloutError(f"stages {self.stages}: ascending percentages from 1 on are needed")
        if self.stages[-1] != 100:
            raise RolloutError(f"stages {self.stages}: the last is 100, or some would never be reached")
        if not 1 <= self.least_applied <= 100:
            raise RolloutError(f"least applied {self.least_applied} %: 1 to 100")
        if not 0 <= self.most_failed <= 99:
            raise RolloutError(f"most failed {self.most_failed} %: 0 to 99")
        if self.observe_s < 0:
            raise RolloutError(f"observe {self.observe_s} s: not negative")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and why: `offer` the stage `stage`, `hold` on, `halt` for good, or it is `done`."""

    act: Literal["offer", "hold", "halt", "done"]
    why: str
    stage: int = -1


def drawn(names: Iterable[str], seed: str) -> list[str]:
    """Return names in the order in which a rollout reaches them: by lot, so that the first are not always the same."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())


def stage_of(rank: int, count: int, stages: Sequence[int]) -> int:
    """Return the stage of the target of a rank (0 is the first) among `count`; each stage reaches at least one."""
    return next(i for i, share in enumerate(stages) if rank < -(-count * share // 100))


def decide(plan: Plan, stage: int, stage_age_s: float, targets: Sequence[tuple[int, State | None]]) -> Decision:
    """Return what to do in a stage (-1: none yet) of an age, by every target's own stage and the state of its offer."""
    offered = [state for at, state in targets if at <= stage]
    failed = sum(state in FAILED for state in offered)
    applied = sum(state == "applied" for state in offered)
    if failed * 100 > plan.most_failed * len(offered):
        return Decision("halt", f"{failed} of {len(offered)} failed, more than {plan.most_failed} %", stage)
    if stage < 0:
        return Decision("offer", "begins", 0)
    if stage + 1 >= len(plan.stages):
        if all(state in ENDED for state in offered):
            return Decision("done", f"{applied} of {len(offered)} run it", stage)
        return Decision("hold", f"{applied} of {len(offered)} run it", stage)
    if applied * 100 < plan.least_applied * len(offered):
        return Decision("hold", f"{applied} of {len(offered)} run it, {plan.least_applied} % are needed", stage)
    if stage_age_s < plan.observe_s:
        return Decision("hold", f"observed for {plan.observe_s - stage_age_s:.0f} s more", stage)
    return Decision("offer", f"{applied} of {len(offered)} run it", stage + 1)
