"""The twelve-lead recordings of PTB-XL and LUDB with the diagnoses that people gave them, as PTB-XL's superclasses."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from count_positives import ludb_codes
from feldsher_ehr_core.ecg import Sex, Subject
from feldsher_signal.formats import read
from feldsher_signal.record import Recording
from sets import where

_LUDB_SEX: dict[str, Sex] = {"F": "female", "M": "male"}


@dataclass(frozen=True)
class Case:
    """One recording: whose (a patient's number), SCP codes and superclasses that count, how likely each is (0 … 1)."""

    name: str
    recording: Recording
    subject: Subject
    patient: int
    codes: dict[str, float]
    classes: dict[str, float]


def superclasses(data: Path) -> dict[str, str]:
    """Return each SCP code's diagnostic superclass ("" for form and rhythm): Wagner 2020."""
    with (where(data, "ptbxl") / "scp_statements.csv").open(encoding="utf-8") as lines:
        return {next(iter(r.values())): r["diagnostic_class"] for r in csv.DictReader(lines)}


def ptbxl(data: Path) -> Iterator[Case]:
    """Yield PTB-XL's recordings; a diagnosis counts where its likelihood is over 0, form and rhythm always."""
    superclass = superclasses(data)
    with (where(data, "ptbxl") / "ptbxl_database.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            said = ast.literal_eval(row["scp_codes"])
            codes = {c: (p / 100 or 1.0) for c, p in said.items() if p > 0 or not superclass.get(c)}
            classes: dict[str, float] = {}
            for code, likely in codes.items():
                if name := superclass.get(code):
                    classes[name] = max(classes.get(name, 0.0), likely)
            sex: Sex = "female" if row["sex"] == "1" else "male"
            # PTB-XL writes 300 for ages over 89.
            subject = Subject(min(int(float(row["age"])), 90) if row["age"] else None, sex)
            recording = read(where(data, "ptbxl") / f"{row['filename_hr']}.hea")
            yield Case(row["ecg_id"], recording, subject, int(float(row["patient_id"])), codes, classes)


def ludb(data: Path) -> Iterator[Case]:
    """Yield LUDB's recordings, its diagnoses (Kalyakulina 2020) put into PTB-XL's superclasses as well as they fit."""
    with (where(data, "ludb") / "ludb.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            header = where(data, "ludb") / "data" / f"{row['ID'].strip()}.hea"
            if header.exists():
                age = row["Age"].strip().lstrip(">")
                sex = _LUDB_SEX.get(row["Sex"].strip(), "unknown")
                subject = Subject(int(age) if age.isdigit() else None, sex)
                codes = dict.fromkeys(ludb_codes(row), 1.0)
                yield Case(row["ID"], read(header), subject, int(row["ID"]), codes, _ludb_classes(row))


def _ludb_classes(row: dict[str, str]) -> dict[str, float]:
    """Return the superclasses: infarction or scar, ischaemia or repolarisation, any block, a hypertrophy, or none."""
    ischaemia = row["Ischemia"].lower().replace("undefined ischemia/scar/supp.nstemi", "undefined ischemia")
    out: set[str] = set()
    if "stemi" in ischaemia or "scar formation" in ischaemia:
        out.add("MI")
    if "ischemia" in ischaemia or row["Non-specific repolarization abnormalities"].strip():
        out.add("STTC")
    if row["Conduction abnormalities"].strip():
        out.add("CD")
    if "hypertrophy" in row["Hypertrophies"].lower():
        out.add("HYP")
    return dict.fromkeys(out or {"NORM"}, 1.0)
