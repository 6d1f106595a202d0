"""Train the learned scores (models/score-*.json): `python benchmarks/train_scores.py [--data DIR] [--dry]`.

Wants scikit-learn (benchmarks/learn.py) and PTB-XL in `../shared/ecg/ptbxl`; stops where either is absent. Seeds are
fixed, patients never split between folds. Rerun after any change to measurements or rules: the traits shift with them.
The features of each model were chosen by what they mean and by grouped cross-validation over the same 243 records,
which makes the figures printed slightly too good; LUDB, read by other people, is scored as a check, never learned from.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import learn
import numpy as np
from diagnoses import Case, ludb, ptbxl
from feldsher_signal import likelihood
from feldsher_signal.evidence import FEATURES, evidence
from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.interpret import interpret
from feldsher_signal.model import Provenance
from feldsher_signal.registry import SUPERCLASSES
from numpy.typing import NDArray
from scoring import auc
from sets import DATA

REPEATS = 10


def _by_lead(kind: str, leads: str) -> tuple[str, ...]:
    return tuple(f"{kind} in {lead}" for lead in leads.split())


def _rules(codes: str) -> tuple[str, ...]:
    return tuple(f"rule {code}" for code in codes.split())


class Recipe(NamedTuple):
    """How a score is learned: C of its ridge, standard deviations a trait is held in, ease of rules, what it weighs."""

    c: float
    limit: float
    ease: float
    features: tuple[str, ...]


WEIGHED: dict[str, Recipe] = {
    "NORM": Recipe(
        0.1,
        3.0,
        4.0,
        (
            *("age", "male", "QRS-T angle", "T lateral", "T/R lateral", "ST80 lateral", "QRS lasts", "PR"),
            *_rules("NORM SR PVC PAC AFIB NDT STD_ INVT IMI ASMI LVH VCLVH 1AVB LAFB IRBBB LAD"),
        ),
    ),
    "MI": Recipe(
        0.002,
        4.0,
        1.0,
        (
            *("age", "male", "QRS-T angle", "QRS lasts", "QRS axis", "QRS back"),
            *_by_lead("Q", "II III aVF I aVL V2 V3 V4 V5 V6"),
            *_by_lead("Q lasts", "II III aVF aVL V4 V5"),
            *(*_by_lead("R", "II aVF V1 V2 V3 V4"), *_by_lead("T", "II aVF I aVL V2 V3 V4 V6")),
            *(*_by_lead("ST60", "V2 V3 aVF aVL"), *_by_lead("Q/R", "II III aVF")),
            *_rules("IMI ASMI AMI ALMI LMI QWAVE STEMI STE_ INVT"),
        ),
    ),
    "STTC": Recipe(
        0.01,
        3.0,
        1.0,
        (
            *("age", "male", "T lateral", "T inferior", "T anterior", "T/R lateral", "T lowest lateral", "T lowest"),
            *("ST80 lateral", "ST60 inferior", "ST60 anterior", *_by_lead("ST slope", "V5 V6")),
            *_rules("STD_ INVT NDT"),
        ),
    ),
    "CD": Recipe(
        0.1,
        6.0,
        1.0,
        (
            *("age", "male", "QRS lasts", "PR", "left axis", "right axis", "QRS axis", "QRS left", "QRS down"),
            *("QRS back", "QRS-T angle", *_by_lead("S", "V6 I II V5 III"), *_by_lead("R", "aVR aVL")),
            *(*_by_lead("R′", "V1 V2"), *_by_lead("R peak", "V1 V6 I")),
            *_rules("1AVB CRBBB CLBBB IRBBB ILBBB IVCD LAFB LPFB WPW"),
        ),
    ),
    "HYP": Recipe(
        0.02,
        3.0,
        3.0,
        (
            *("age", "male", "strain", "Peguero", "Cornell product", "Sokolow", "QRS-T angle", "T lateral"),
            *("T axis off", *_rules("LVH VCLVH RVH LAO/LAE RAO/RAE STD_ INVT NDT ISC_ IMI ASMI CLBBB CRBBB NORM")),
        ),
    ),
    "IMI": Recipe(
        0.003,
        4.0,
        1.0,
        (
            *(
                "age",
                "male",
                "QRS axis",
                "QRS-T angle",
                *_by_lead("Q", "II III aVF"),
                *_by_lead("Q lasts", "II III aVF"),
            ),
            *(*_by_lead("Q/R", "II III aVF"), *_by_lead("R", "II III aVF"), *_by_lead("T", "II III aVF")),
            *(*_by_lead("ST60", "II aVF"), *_rules("IMI LMI QWAVE")),
        ),
    ),
}
"""What is learned, and how."""
DOUBTED = {"MI": 0.25, "IMI": 0.25}
"""Diagnoses that PTB-XL often calls 15 % likely: they teach as much as they are likely, at least this much."""


def _traits(cases: Iterable[Case]) -> tuple[NDArray[np.float64], list[dict[str, float]], NDArray[np.int64]]:
    """Return traits, diagnoses with their likelihood, and patients of the cases that learned scores are made for."""
    seen: list[NDArray[np.float64]] = []
    diagnoses: list[dict[str, float]] = []
    patients: list[int] = []

    def watch(f: Findings, found: list[Verdict]) -> list[Verdict]:
        if likelihood.fit(f, found):
            seen.append(evidence(f, found))
        return found

    with patch.object(likelihood, "weigh", watch):
        for case in cases:
            before = len(seen)
            interpret(case.recording, case.subject)
            if len(seen) > before:
                diagnoses.append(case.codes | case.classes)
                patients.append(case.patient)
    return np.array(seen), diagnoses, np.array(patients)


def main() -> None:
    """Train every score, print its figures, write the models (not with --dry)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--dry", action="store_true", help="print figures only")
    options = parser.parse_args()
    learn.sklearn()
    if not (options.data / "ptbxl" / "ptbxl_database.csv").exists():
        sys.exit(f"PTB-XL is not in {options.data / 'ptbxl'}: nothing to learn from")
    x, diagnoses, patients = _traits(ptbxl(options.data))
    other = _traits(ludb(options.data)) if (options.data / "ludb" / "ludb.csv").exists() else None
    areas: list[float] = []
    for name, recipe in WEIGHED.items():
        at = [FEATURES.index(feature) for feature in recipe.features]
        y = np.array([name in said for said in diagnoses])
        made = Provenance("benchmarks/train_scores.py", {"ptbxl": x.shape[0]}, 0, 0, 0, "", {})
        weight = np.array([max(said.get(name, 1.0), DOUBTED.get(name, 1.0)) for said in diagnoses])
        ease = {feature: recipe.ease for feature in recipe.features if feature.startswith("rule ")}
        fit = learn.logistic(recipe.features, recipe.c, limit=recipe.limit, ease=ease)
        file = learn.train(fit, x[:, at], y, patients, made, repeats=REPEATS, weight=weight)
        figures = file.provenance.cross_validated
        areas += [figures["auc"]] if name in SUPERCLASSES else []
        if other is not None and name in SUPERCLASSES:
            figures["auc_ludb"] = auc(learn.log_odds(file, other[0][:, at]), np.array([name in s for s in other[1]]))[0]
        print(name, f"{int(y.sum())} of {y.shape[0]}", figures)
        if not options.dry:
            learn.write(likelihood.LEARNED[name], file)
    print(f"macro AUC of superclasses {np.mean(areas):.3f}")


if __name__ == "__main__":
    main()
