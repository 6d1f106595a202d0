"""Accuracy of the ECG engine on real recordings, parameters fixed: `python benchmarks/accuracy.py [SET …] [--json]`.

Sets: mitdb, nstdb, beats, af, rhythm, ludb, qtdb, ptbxl, statements, electrodes, cinc2017. Recordings are read from
`../shared/ecg` (or --data); a set that is not there is said to be absent. What chose parameters and what did not are
reported apart.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import diagnoses
import names
import numpy as np
from delineation import ludb, qtdb
from electrodes import electrodes
from feldsher_signal import model
from feldsher_signal.formats import marks, read
from feldsher_signal.interpret import interpret, warm
from feldsher_signal.likelihood import LEARNED
from feldsher_signal.registry import SUPERCLASSES
from numpy.typing import NDArray
from scoring import Tally, auc, binary, match, reliability
from sets import DATA, annotated_headers, where
from statements import statements

Report = dict[str, Any]

TUNED = frozenset(["101", "106", "108", "112", "115", "118", "122", "201", "203", "205", "207", "208", "215", "223"])
"""Records of mitdb that chose parameters of QRS detection: every second one, 203 and 207."""
# AAMI EC57 classes of the MIT-BIH symbols.
AAMI = {**dict.fromkeys("NLRej", "N"), **dict.fromkeys("AaJS", "S"), **dict.fromkeys("VE", "V"), "F": "F"}


def annotated(path: Path) -> tuple[list[marks.Mark], list[tuple[int, int]]]:
    """Return the beats of an annotation file outside ventricular flutter, and the flutter's stretches."""
    found = marks.read(path)
    opened = [m.at for m in found if m.symbol == "["]
    closed = [m.at for m in found if m.symbol == "]"]
    flutter = list(zip(opened, closed, strict=False))
    return [m for m in marks.beats(found) if not inside(m.at, flutter)], flutter


def inside(at: int, stretches: list[tuple[int, int]]) -> bool:
    """Return whether a sample lies in one of the stretches."""
    return any(a <= at <= b for a, b in stretches)


def _qrs(headers: list[Path], channel: int | None, skip_s: float = 0.0) -> Report:
    """Score QRS detection record by record: ±150 ms, whole record, ventricular flutter excluded (EC57)."""
    total, records = Tally(), dict[str, str]()
    spread: list[float] = []
    for header in headers:
        recording = read(header)
        reference, flutter = annotated(header.with_suffix(".atr"))
        found = [b.r for b in interpret(recording, channel=channel).beats if not inside(b.r, flutter)]
        first = skip_s * recording.fs
        one = match([r for r in found if r >= first], [m.at for m in reference if m.at >= first], recording.fs)
        total.add(one)
        middle = float(np.median(one.errors)) if one.errors else 0.0
        spread.append(float(np.std(np.array(one.errors) - middle)) if one.errors else 0.0)
        records[header.stem] = f"{one.missed}+{one.false}"
    return {**total.summary(), "r_sd_ms": round(float(np.mean(spread or [np.nan])), 2), "missed+false": records}


def mitdb(data: Path) -> Report:
    """QRS on MIT-BIH or any records with beats; TUNED chose parameters."""
    headers = annotated_headers(where(data, "mitdb"))
    held = [h for h in headers if h.stem not in TUNED]
    return {
        "channel 0": _qrs(headers, 0),
        "channel 0, not tuned on": _qrs(held, 0),
        "both channels": _qrs(headers, None),
    }


def _accepted(headers: list[Path], channel: int | None, skip_s: float = 0.0) -> Report:
    """Score QRS detection on what quality does not refuse, and give the share refused (%), from `skip_s` on."""
    total, refused, whole = Tally(), 0, 0
    for header in headers:
        recording = read(header)
        result, first = interpret(recording, channel=channel), round(skip_s * recording.fs)
        out = [(s.start, s.end - 1) for s in result.quality.segments if s.lead == "all"]
        reference, flutter = annotated(header.with_suffix(".atr"))
        truth = [m.at for m in reference if m.at >= first and not inside(m.at, out)]
        found = [b.r for b in result.beats if b.r >= first and not inside(b.r, [*out, *flutter])]
        total.add(match(found, truth, recording.fs))
        refused += sum(max(b + 1 - max(a, first), 0) for a, b in out)
        whole += recording.n - first
    return {**total.summary(), "refused_percent": round(100.0 * refused / whole, 2)}


def nstdb(data: Path) -> Report:
    """QRS in electrode-motion noise, from minute five: all of it, and what is not refused; clean mitdb beside it."""
    headers = sorted((data / "nstdb").glob("*.hea"))
    out: Report = {h.stem: _qrs([h], 0, 300.0) for h in headers}
    out |= {f"{h.stem} accepted": _accepted([h], 0, 300.0) for h in headers}
    out["all accepted"] = _accepted(headers, 0, 300.0)
    out["mitdb accepted"] = _accepted(annotated_headers(where(data, "mitdb")), 0)
    return out


def beats(data: Path) -> Report:
    """Beat classes on MIT-BIH without paced records: ventricular and supraventricular ectopy against all else.

    Fusion beats (F) are no class that the engine answers: what it calls them is counted.
    """
    counts, fused = {"V": [0, 0, 0], "S": [0, 0, 0]}, dict.fromkeys("NSVQ-", 0)
    for header in annotated_headers(where(data, "mitdb")):
        if header.stem in ("102", "104", "107", "217"):
            continue
        recording = read(header)
        reference, flutter = annotated(header.with_suffix(".atr"))
        found = [b for b in interpret(recording).beats if not inside(b.r, flutter)]
        _count(found, reference, recording.fs, counts, fused)
    out: Report = {"F answered as": {"missed" if kind == "-" else kind: n for kind, n in fused.items() if n}}
    for kind, (hits, missed, false) in counts.items():
        out[kind] = Tally(hits, missed, false).summary()
        out[kind] = {key: out[kind][key] for key in ("reference", "se", "ppv")}
    return out


def _count(
    found: list[Any], reference: list[marks.Mark], fs: float, counts: dict[str, list[int]], fused: dict[str, int]
) -> None:
    """Count hits, misses and false ones of V and S by the nearest reference beat in 150 ms (F as V does not count).

    `fused`: what beats of class F are answered as.
    """
    at = np.array([m.at for m in reference])
    truth = [AAMI.get(m.symbol, "Q") for m in reference]
    taken = ["-"] * len(truth)
    for beat in found:
        k = int(np.argmin(np.abs(at - beat.r)))
        if abs(int(at[k]) - beat.r) <= 0.15 * fs:
            taken[k] = beat.kind
        elif beat.kind in counts:
            counts[beat.kind][2] += 1
    for real, said in zip(truth, taken, strict=True):
        fused[said] += real == "F"
        for kind, tally in counts.items():
            tally[0] += real == kind == said
            tally[1] += real == kind != said
            tally[2] += said == kind != real and real not in ("F", "Q")


def af(data: Path) -> Report:
    """Atrial fibrillation by duration on MIT-BIH's rhythm annotations, flutter counted as neither; by record."""
    total, records = np.zeros(4), dict[str, str]()
    for header in annotated_headers(where(data, "mitdb")):
        recording = read(header)
        at = np.arange(0, recording.n, round(recording.fs / 10))
        real = names.at_samples(names.annotated(header.with_suffix(".atr"), recording.n), at)
        said = names.at_samples([(s.start, s.end, s.code) for s in interpret(recording).rhythm], at) == "AFIB"
        judged = real != "AFL"
        truth = (real == "AFIB")[judged]
        one = np.array(
            [
                (said[judged] & truth).sum(),
                (~said[judged] & truth).sum(),
                (said[judged] & ~truth).sum(),
                (~said[judged] & ~truth).sum(),
            ]
        )
        total += one
        if one[:3].any():
            hit, lost, false = (one[:3] / 10).round().astype(int).tolist()
            records[header.stem] = f"missed {lost} s of {hit + lost} s, false {false} s"
    tp, fn, fp, tn = total
    return {
        "by duration": {
            "se": round(100 * tp / (tp + fn), 2),
            "sp": round(100 * tn / (tn + fp), 2),
            "ppv": round(100 * tp / (tp + fp), 2),
            "hours": round(total.sum() / 36000, 2),
        },
        "records": records,
    }


def rhythm(data: Path) -> Report:
    """Rhythm statements: each code on PTB-XL's and LUDB's labels; MIT-BIH's annotated seconds by what the spans say."""
    out: Report = {}
    for name, rows in (("PTB-XL", names.ptbxl(data)), ("LUDB", names.ludb(data))):
        codes: list[tuple[set[str], set[str]]] = []
        for header, truth in rows:
            codes.append((truth, {s.code for s in interpret(read(header)).statements}))
        for code in sorted({c for truth, _ in codes for c in truth}):
            real = np.array([code in truth for truth, _ in codes])
            out[f"{name} {code}"] = binary(
                np.array([bool(names.SAME.get(code, {code}) & said) for _, said in codes]), real
            )
    table: dict[str, dict[str, int]] = {}
    for header in annotated_headers(where(data, "mitdb")):
        recording = read(header)
        at = np.arange(0, recording.n, round(recording.fs))
        real = names.at_samples(names.annotated(header.with_suffix(".atr"), recording.n), at)
        said = names.at_samples([(s.start, s.end, s.code) for s in interpret(recording).rhythm], at)
        for a, b in zip(real.tolist(), said.tolist(), strict=True):
            row = table.setdefault(a, {})
            row[b] = row.get(b, 0) + 1
    return out | {f"mitdb seconds of {a}": dict(sorted(row.items(), key=lambda e: -e[1])) for a, row in table.items()}


def ptbxl(data: Path) -> Report:
    """Statements on PTB-XL: AUC of the scores with 95 % intervals, sensitivity and specificity of what is stated.

    The superclasses' scores have learned from these very recordings: what counts here are the cross-validated areas
    that their models carry; on recordings not learned from, those measured.
    """
    cases = list(diagnoses.ptbxl(data))
    rows = [interpret(case.recording, case.subject) for case in cases]
    out: Report = {"records": len(rows), "critical on NORM": []}
    for case, result in zip(cases, rows, strict=True):
        if "NORM" in case.codes and any(s.critical for s in result.statements):
            out["critical on NORM"].append(f"{case.name}: {[s.code for s in result.statements if s.critical]}")
    codes = {c for case in cases for c in case.codes} & {c for r in rows for c in r.scores}
    for code in [*SUPERCLASSES, *sorted(codes - {"NORM"})]:
        truth = np.array([code in (case.classes if code in SUPERCLASSES else case.codes) for case in cases])
        scores = np.array([r.scores.get(code, 0.0) for r in rows])
        stated = np.array([any(s.code == code for s in r.statements) for r in rows])
        out[code] = {"auc": auc(scores, truth), **binary(stated, truth)}
        if code in LEARNED:
            figures = model.load(LEARNED[code]).provenance.cross_validated
            kept = {f"cross_validated_{key}": figures[key] for key in ("auc", "brier", "slope")}
            out[code] |= kept | reliability(scores, truth)
    five = [out[name] for name in SUPERCLASSES]
    out["macro AUC of superclasses"] = round(float(np.mean([one["auc"][0] for one in five])), 3)
    out["macro AUC, cross-validated"] = round(float(np.mean([one["cross_validated_auc"] for one in five])), 3)
    return out


def cinc2017(data: Path) -> Report:
    """Atrial fibrillation against normal and other rhythms in single-lead strips; noise (~) not counted.

    The shipped model was fitted on all of the shared strips: on them these are training figures.
    """
    truth: list[str] = []
    said: list[bool] = []
    scores: list[float] = []
    with (where(data, "cinc2017") / "REFERENCE.csv").open(encoding="utf-8") as lines:
        for name, label in csv.reader(lines):
            header = where(data, "cinc2017") / f"{name}.hea"
            if label == "~" or not header.exists():
                continue
            result = interpret(read(header))
            truth.append(label)
            said.append(any(s.code == "AFIB" for s in result.statements))
            scores.append(result.scores.get("AFIB", 0.0))
    labels: NDArray[np.bool_] = np.array([x == "A" for x in truth])
    half: NDArray[np.bool_] = np.array([k % 2 == 0 for k in range(labels.shape[0])])
    out: Report = {"auc": auc(np.array(scores), labels), "all": binary(np.array(said), labels)}
    out["even rows"] = binary(np.array(said)[half], labels[half])
    out["odd rows"] = binary(np.array(said)[~half], labels[~half])
    return out


SETS: dict[str, tuple[str, Callable[[Path], Report]]] = {
    "mitdb": ("mitdb", mitdb),
    "nstdb": ("nstdb", nstdb),
    "beats": ("mitdb", beats),
    "af": ("mitdb", af),
    "rhythm": ("mitdb", rhythm),
    "ludb": ("ludb", ludb),
    "qtdb": ("qtdb", qtdb),
    "ptbxl": ("ptbxl", ptbxl),
    "statements": ("ptbxl", statements),
    "electrodes": ("ptbxl", electrodes),
    "cinc2017": ("cinc2017", cinc2017),
}


def score(name: str, data: Path) -> Report:
    """Return the report of one set."""
    return SETS[name][1](data)


def reports(data: Path, asked: Sequence[str]) -> Report:
    """Return the reports of the sets asked for, one process for each core; what is absent is said on standard error."""
    there = [name for name in asked if where(data, SETS[name][0]).is_dir()]
    for name in (name for name in asked if name not in there):
        sys.stderr.write(f"{name}: ABSENT, {data / SETS[name][0]} is not there\n")
    warm()  # compiled once, not by each process
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        waiting = {name: pool.submit(score, name, data) for name in there}
        return {name: future.result() for name, future in waiting.items()}


def main() -> None:
    """Score the sets named (all by default) and print a table, or one JSON line with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--data", type=Path, default=DATA, help="the shared folder, or any folder of WFDB records")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := [name for name in options.sets if name not in SETS]:
        parser.error(f"no set {', '.join(unknown)}; there are {', '.join(SETS)}")
    out = reports(options.data, options.sets or list(SETS))
    for name, report in out.items() if not options.json else ():
        for key, value in report.items():
            print(f"{name:9s} {key:26s} {json.dumps(value, ensure_ascii=False)}")
    if options.json:
        print(json.dumps(out, ensure_ascii=False))


if __name__ == "__main__":
    main()
