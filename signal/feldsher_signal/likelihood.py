"""Learned, calibrated scores: how likely readers of PTB-XL would call a recording normal, or of which class.

A logistic regression for each (models/score-*.json, made by benchmarks/train_scores.py) weighs traits of the recording
and what the rules say; Platt's rule on cross-validated folds calibrates it. The rules state; a learned score grades how
sure that is, and a recording is called normal only where its score agrees. Twelve leads in their places are wanted:
without them the rules' own scores stand.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from feldsher_signal import model
from feldsher_signal.conflicts import DISORDERED, HIDES, hidden
from feldsher_signal.evidence import FEATURES, evidence, words
from feldsher_signal.findings import Certainty, Findings, Verdict

LEARNED = {
    "NORM": "score-norm",
    "MI": "score-mi",
    "STTC": "score-sttc",
    "CD": "score-cd",
    "HYP": "score-hyp",
    "IMI": "score-imi",
}
"""What is scored by a learned model: the superclasses, and each code with at least 20 positive recordings that it ranks
better than its rule does."""
UNFIT = frozenset((*DISORDERED, *HIDES, "NOTREAD", "ASYST"))
"""Where one of these is stated, the form of the complexes means nothing, and no learned score is given."""
DEFINITE, PROBABLE = 0.9, 0.6
"""Calibrated probability from which a learned statement is called definite, probable; below: possible."""
NORMAL = 0.5
"""No recording is called normal under this probability."""


@functools.cache
def _models() -> dict[str, tuple[model.Model, NDArray[np.intp]]]:
    """Return each code's model and where its features stand among the traits."""
    place = {name: k for k, name in enumerate(FEATURES)}
    loaded = {code: model.load(name) for code, name in LEARNED.items()}
    return {code: (one, np.array([place[x] for x in one.features])) for code, one in loaded.items()}


def certainty(probability: float) -> Certainty:
    """Return the word for a calibrated probability."""
    return "definite" if probability >= DEFINITE else "probable" if probability >= PROBABLE else "possible"


def fit(f: Findings, found: list[Verdict]) -> bool:
    """Return whether a recording is one that the learned scores were made for."""
    return f.twelve and f.r.shape[0] >= 3 and not any(v.stated and v.code in UNFIT for v in found)


def weigh(f: Findings, found: list[Verdict]) -> list[Verdict]:
    """Return the verdicts with learned scores in place of the rules' own, and one of each superclass, not stated.

    What another statement takes away keeps its lowered score: no infarct by Q waves in left bundle branch block.
    """
    if not fit(f, found):
        return found
    gone = hidden(found)
    row = evidence(f, found)
    score = {code: float(one.probability(row[None, at])[0]) for code, (one, at) in _models().items()}
    out = [_graded(v, score[v.code], row) if v.code in score and gone.get(v.code, True) else v for v in found]
    ruled = {v.code for v in found}
    return [*out, *(Verdict(code, p) for code, p in score.items() if code not in ruled)]


def _graded(v: Verdict, probability: float, row: NDArray[np.float64]) -> Verdict:
    """Return a rule's verdict with its learned score; stated, it says how likely it is and what moved that most."""
    stated = v.stated and (v.code != "NORM" or probability >= NORMAL)
    if not stated:
        return replace(v, score=probability, stated=False)
    because = (*v.because, f"learned probability {probability:.2f}: {'; '.join(reasons(v.code, row))}")
    return replace(v, score=probability, certainty=certainty(probability), because=because)


def reasons(code: str, row: NDArray[np.float64], most: int = 3) -> tuple[str, ...]:
    """Return what moved a code's learned score most, in words with the log-odds that each trait adds or takes."""
    one, at = _models()[code]
    mine = row[at]
    value = dict(zip(one.features, mine.tolist(), strict=True))
    return tuple(f"{words(name, value[name])} ({part:+.1f})" for name, part in one.reasons(mine, most))
