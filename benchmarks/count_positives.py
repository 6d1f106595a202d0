"""Counts the real recordings that carry each diagnosis, for the registry: `python benchmarks/count_positives.py`.

Reads PTB-XL, ludb, the rhythms of MIT-BIH and fibrillation of cinc2017 from `../shared/ecg` (or --data) and writes
signal/feldsher_signal/models/positives.json; says so and stops where they are absent. A likelihood of 0 in PTB-XL does
not count for a diagnosis. The words of the others are brought to our codes.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from feldsher_signal.formats import marks
from feldsher_signal.registry import POSITIVES, REGISTRY
from sets import DATA

LUDB = {
    "Sinus rhythm": "SR",
    "Sinus bradycardia": "SBRAD",
    "Sinus tachycardia": "STACH",
    "Sinus arrhythmia": "SARRH",
    "Atrial fibrillation": "AFIB",
    "Atrial flutter, typical": "AFLT",
    "Electric axis of the heart: left axis deviation": "LAD",
    "Electric axis of the heart: right axis deviation": "RAD",
    "Incomplete right bundle branch block": "IRBBB",
    "Incomplete left bundle branch block": "ILBBB",
    "Complete right bundle branch block": "CRBBB",
    "Complete left bundle branch block": "CLBBB",
    "Left anterior hemiblock": "LAFB",
    "Non-specific intravintricular conduction delay": "IVCD",
    "I degree av block": "1AVB",
    "Iii degree av-block": "3AVB",
    "Left ventricular hypertrophy": "LVH",
    "Right ventricular hypertrophy": "RVH",
    "Left atrial hypertrophy": "LAO/LAE",
    "Left atrial overload": "LAO/LAE",
    "Right atrial overload": "RAO/RAE",
    "Early repolarization syndrome": "EARLY",
}
"""ludb's diagnoses (Kalyakulina 2020) that are a code of ours; territories and ectopy are counted below."""
PREFIXES = {
    "Ventricular extrasystole": "PVC",
    "Atrial extrasystole": "PAC",
    "Non-specific repolarization abnormalities": "NDT",
    "Ischemia": "ISC_",
    "Undefined ischemia": "ISC_",
    "Stemi": "STEMI",
    "Unipolar": "PACE",
    "Bipolar": "PACE",
    "Biventricular pacing": "PACE",
    "Pacemaker presence": "PACE",
}


def ptbxl(folder: Path) -> Iterator[set[str]]:
    """Yield the codes of each recording: diagnoses of a likelihood over 0, and all codes of form and rhythm."""
    with (folder / "scp_statements.csv").open(encoding="utf-8") as lines:
        diagnostic = {next(iter(row.values())) for row in csv.DictReader(lines) if row["diagnostic"] == "1.0"}
    with (folder / "ptbxl_database.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            codes: dict[str, float] = ast.literal_eval(row["scp_codes"])
            yield {code for code, likely in codes.items() if likely > 0 or code not in diagnostic}


def ludb_codes(row: dict[str, str]) -> set[str]:
    """Return our codes of one row of ludb.csv."""
    words = {word.strip() for cell in row.values() for word in (cell or "").split("\n") if word.strip()}
    found = {LUDB[word] for word in words if word in LUDB}
    return found | {code for prefix, code in PREFIXES.items() if any(word.startswith(prefix) for word in words)}


def ludb(folder: Path) -> Iterator[set[str]]:
    """Yield the codes of each recording of ludb."""
    with (folder / "ludb.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield ludb_codes(row)


RHYTHMS = {
    "(AFIB": "AFIB",
    "(AFL": "AFLT",
    "(B": "BIGU",
    "(T": "TRIGU",
    "(VT": "VTAC",
    "(SVTA": "SVTAC",
    "(VFL": "VFIB",
    "(SBR": "SBRAD",
    "(PREX": "WPW",
    "(P": "PACE",
    "(N": "SR",
}
"""MIT-BIH's rhythm annotations."""
BEATS = {"V": "PVC", "A": "PAC", "a": "PAC", "S": "PAC", "L": "CLBBB", "R": "CRBBB"}


def mitdb(folder: Path) -> Iterator[set[str]]:
    """Yield the codes of each MIT-BIH recording: rhythms and beats that occur in it."""
    for path in sorted(folder.glob("*.atr")):
        found = marks.read(path)
        rhythms = {RHYTHMS[m.text] for m in found if m.text in RHYTHMS}
        yield rhythms | {BEATS[m.symbol] for m in found if m.symbol in BEATS}


def cinc2017(folder: Path) -> Iterator[set[str]]:
    """Yield the codes of each strip of cinc2017: fibrillation alone is a code of ours."""
    with (folder / "REFERENCE.csv").open(encoding="utf-8") as lines:
        for _, label in csv.reader(lines):
            yield {"AFIB"} if label == "A" else set()


SETS = {"ptbxl": ptbxl, "ludb": ludb, "mitdb": mitdb, "cinc2017": cinc2017}


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    data: Path = parser.parse_args().data
    missing = [name for name in SETS if not (data / name).is_dir()]
    if missing:
        sys.exit(f"{', '.join(missing)}: ABSENT under {data}; nothing written")
    sets = {name: list(read(data / name)) for name, read in SETS.items()}
    counts = Counter(code for rows in sets.values() for codes in rows for code in codes if code in REGISTRY)
    out = {
        "made_by": "benchmarks/count_positives.py",
        "recordings": {name: len(rows) for name, rows in sets.items()},
        "positives": dict(sorted(counts.items())),
    }
    POSITIVES.write_text(json.dumps(out, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
