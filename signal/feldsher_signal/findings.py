"""What the measurements hand to the rules, and what a rule hands back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from feldsher_ehr_core.ecg import BeatKind, LeadMatrix, Measurements, Quality, Subject
from numpy.typing import NDArray

from feldsher_signal.fibrillation import Chance
from feldsher_signal.fwaves import FWaves
from feldsher_signal.pacing import Pacing
from feldsher_signal.paediatric import Limits, limits
from feldsher_signal.ptrain import Train

Certainty = Literal["definite", "probable", "possible"]


_GRADES: tuple[Certainty, ...] = ("possible", "probable", "definite")


@dataclass(frozen=True)
class Findings:
    """One recording measured: R peaks in samples, classes, P evidence, median beat's matrix (µV, ms).

    `p_like`: −1 … 1, how well the stretch before QRS repeats; `p_seen`: beats with a P wave; `matrix`: usable leads;
    `alike`: share of beats whose complex is the prevailing one; `silent`: stretches where nothing could be judged;
    `chance`: of fibrillation by beat, None = to be judged from intervals and P evidence alone; `paced`: by seen spikes;
    `train`: P waves followed on their own, None = not looked for or not found; `chaos`: stretches without complexes;
    `waves`: what repeats itself between the QRS complexes at a flutter's rate, None = nothing does; `retrograde`: µV of
    a P wave behind the QRS (retrograde.py), looked for where none is before it.
    """

    fs: float
    samples: int
    leads: tuple[str, ...]
    quality: Quality
    subject: Subject
    r: NDArray[np.int64]
    kinds: tuple[BeatKind, ...]
    p_like: NDArray[np.float64]
    p_seen: NDArray[np.bool_]
    measured: Measurements
    matrix: Mapping[str, LeadMatrix]
    silent: tuple[tuple[int, int], ...] = ()
    alike: float = 1.0
    chance: Chance | None = None
    paced: Pacing | None = None
    train: Train | None = None
    chaos: tuple[tuple[int, int], ...] = ()
    waves: FWaves | None = None
    retrograde: float = 0.0

    @cached_property
    def letters(self) -> NDArray[np.uint8]:
        """The classes as ASCII codes, for comparison with `ord("V")`."""
        return np.frombuffer("".join(self.kinds).encode(), np.uint8)

    @cached_property
    def p_share(self) -> float:
        """The share of normal beats with a P wave."""
        usual = [seen for kind, seen in zip(self.kinds, self.p_seen.tolist(), strict=True) if kind == "N"]
        return sum(usual) / len(usual) if usual else 0.0

    @cached_property
    def limits(self) -> Limits | None:
        """The normal limits of a child's age; None for adults."""
        return limits(self.subject)

    @property
    def aged(self) -> bool:
        """Whether both age and sex are known."""
        return self.subject.age is not None and self.subject.sex != "unknown"

    def has(self, *leads: str) -> bool:
        """Whether all of these leads were measured."""
        return all(lead in self.matrix for lead in leads)

    @cached_property
    def st(self) -> dict[str, dict[str, float]]:
        """The ST segment: points `j`, `st40`, `st60`, `st80` by lead in µV, −aVR included as a lead of its own."""
        leads = [*self.matrix.items()]
        out = {
            "j": {lead: m.j for lead, m in leads},
            "st40": {lead: m.st40 for lead, m in leads},
            "st60": {lead: m.st60 for lead, m in leads},
            "st80": {lead: m.st80 for lead, m in leads},
        }
        if "aVR" in self.matrix:
            for point in out.values():
                point["-aVR"] = -point["aVR"]
        return out

    @cached_property
    def twelve(self) -> bool:
        """Whether enough leads were measured to speak of a 12-lead recording."""
        return self.has("I", "II", "V1", "V2", "V3", "V4", "V5", "V6") and len(self.matrix) >= 10


# Not frozen: eighty are made for each recording, and a frozen one costs three times as much to make.
@dataclass(slots=True)
class Verdict:
    """A rule's answer: `score` 0 … 1 (0.5 at the rule's limit), and whether it is stated."""

    code: str
    score: float
    stated: bool = False
    because: tuple[str, ...] = ()
    certainty: Certainty = "probable"
    critical: bool = False


def noisy(f: Findings) -> bool:
    """Return whether half of the leads are noisy: what noise can imitate is not alarmed then.

    One noisy lead of twelve must not silence an alarm that the others carry.
    """
    bad = sum("noise" in q.issues for q in f.quality.leads.values())
    return 2 * bad >= max(len(f.quality.leads), 1)


def grade(value: float | None, limit: float, width: float) -> float:
    """Return 0 … 1: 0.5 where `value` meets `limit`, rising over `width` (falling when it is negative); 0 for None."""
    if value is None:
        return 0.0
    z = (value - limit) / width
    if z > 40.0:
        return 1.0
    return 1.0 / (1.0 + math.exp(-z)) if z > -40.0 else 0.0


def both(*scores: float) -> float:
    """Return the score of all together: the weakest."""
    return min(scores)


def either(scores: Iterable[float]) -> float:
    """Return the score of any: the strongest, 0 of none."""
    return max(scores, default=0.0)


def judged(
    code: str, score: float, because: tuple[str, ...], at_most: Certainty = "definite", critical: bool = False
) -> Verdict:
    """Return the verdict that a score of 0.5 and more states, its certainty from the score (0.65, 0.85), capped."""
    place = min(2 if score > 0.85 else 1 if score > 0.65 else 0, _GRADES.index(at_most))
    return Verdict(code, score, score >= 0.5, because, _GRADES[place], critical and score >= 0.5)


def mv(uv: float) -> str:
    """Return µV written in mV."""
    return f"{uv / 1000:.2f} mV"


FRONTAL = ("aVL", "I", "-aVR", "II", "aVF", "III")
"""The limb leads in anatomical (Cabrera) order: neighbours are contiguous, AHA/ACCF/HRS 2009 part VI (Wagner)."""
CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
PAIRS = (*itertools.pairwise(FRONTAL), *itertools.pairwise(CHEST))


def neighbours(leads: Mapping[str, float], limit: Mapping[str, float]) -> tuple[float, tuple[str, ...]]:
    """Return how strongly two contiguous leads pass their limits (ratio of the weaker), and the leads that do pass.

    `leads`: a value for each lead, larger = more abnormal; `limit`: the value from which a lead counts.
    """
    strongest, passing = 0.0, set[str]()
    parts = {lead: leads[lead] / limit[lead] for lead in leads if lead in limit}
    for a, b in PAIRS:
        if a in parts and b in parts:
            pair = min(parts[a], parts[b])
            if pair > strongest:
                strongest = pair
            if pair >= 1:
                passing |= {a, b}
    return strongest, tuple(lead for lead in (*FRONTAL, *CHEST) if lead in passing) if passing else ()
