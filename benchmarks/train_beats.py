"""Train the beat classes: `./run train beats [--data DIR] [--check]`, models/ventricular.json, supraventricular.json.

Wants mitdb (de Chazal's DS1 without paced records), nstdb (its electrode motion is added to them), qtdb (records with
beat labels that are no excerpt of de Chazal's DS2) and cinc2017. Strips of cinc2017 labelled N hold no ectopic beats,
those labelled A no supraventricular ones, as fibrillation has none. Fusion beats (F) are not learned: of 414 in mitdb
372 are one patient's (208), and what a model called F in patients left out was F in one case of three; they are
answered N or V, and --check says how many as which. Figures are by leaving patients out, their excerpts and what was
made of them too; --check only prints them.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boost
import ectopics
import learn
import numpy as np
from accuracy import AAMI, annotated, inside
from feldsher_signal import beat_columns, beat_traits, beats, interpret, jit, quality, stream
from feldsher_signal.formats import read
from feldsher_signal.model import ModelFile, Provenance
from feldsher_signal.record import Recording
from numpy.typing import NDArray
from sets import DATA

SETS = ("mitdb", "nstdb", "qtdb", "cinc2017")
PACED = ("102", "104", "107", "217")
JUDGED = ("sel100", "sel221", "sel232")
"""Excerpts of MIT-BIH records of DS2, which must stay unseen."""
BASES = ("101", "109", "112", "115", "118", "122", "205", "220", "230")
SPARE = ("sel16265", "sel16483", "sel16795", "sel302", "sele0111", "sele0170", "sele0303", "sele0704")
FOLDS, SEED = 11, 0
_PLAIN = (*ectopics.PATTERNS, *ectopics.NORMAL)
_OWN = ("corr", "resid", "scale_rel", "spread_rel", "corr_prev", "corr_next", "concord", "p_corr", "p_raw", "width_rel")
_GROUP = ("early", "late", "corr", "spread_rel", "p_corr", "width_rel", "early_mean", "p_like", "concord", "resid")
_RATE = ("early_usual", "late_usual", "near_usual", "before_corr", "after_corr", "after_early")
_GROUP_RATE = ("g_early_usual", "g_near_usual")
V_TRAITS = (
    *("early", "late", "early_mean", *_OWN, "p_like", "p_rel", "usual"),
    *(f"g_{name}" for name in _GROUP),
    *_RATE,
    *_GROUP_RATE,
)
S_TRAITS = tuple(
    n
    for n in beat_columns.NAMES
    if n not in (*_RATE, *_GROUP_RATE, "scale", "width", "width_rel", "spread", "g_spread_rel", "g_concord", "g_width")
)
V_HOW = boost.Settings(trees=250, depth=2, rate=0.06, columns=0.2, penalty=20.0)
S_HOW = V_HOW
STRUCK = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
SHARE = {"both": 1.0, "first": 0.6, "second": 0.3, "noisy": 0.4}
MOTION_UV = 50.0
"""A block of nstdb of more is a noisy one: the others are clean."""
"""The weight of one record by the channels it was read from."""


@dataclass
class Examples:
    """Beats of one reading of one recording: traits, AAMI classes ("-" found where none is), patient."""

    name: str
    patient: str
    channels: str
    weight: float
    table: NDArray[np.float64]
    label: NDArray[np.int64]
    truth: NDArray[np.str_]
    missed: list[str] = field(default_factory=list[str])


_caught: list[tuple[NDArray[np.int64], beats.Evidence]] = []


def catch() -> None:
    """Let the engine hand its evidence to this script in place of classifying beats."""
    jit.warm()

    def caught(e: beats.Evidence) -> beats.Classes:
        _caught.append((np.empty(0, np.int64), e))
        return beats.unjudged(e.table.shape[0])

    beats.classify = caught


def evidence(recording: Recording) -> tuple[interpret.Traced, beats.Evidence] | None:
    """Return what the engine traced and the evidence on its beats, None where there was too little."""
    _caught.clear()
    x = quality.bridged(recording.microvolts())
    traced = interpret.trace(x, recording, stream.trace(recording.microvolts(), recording.leads, recording.fs))
    return (traced, _caught[0][1]) if _caught else None


def paired(r: NDArray[np.int64], at: NDArray[np.int64], reach: float) -> NDArray[np.int64]:
    """Return for each beat found the number of the nearest reference beat within `reach`, one to one, or −1."""
    out, taken = np.full(r.shape[0], -1), set[int]()
    near = np.searchsorted(at, r)
    pairs = [
        (abs(int(at[j] - r[k])), k, j)
        for k in range(r.shape[0])
        for j in (near[k] - 1, near[k])
        if 0 <= j < at.shape[0]
    ]
    for distance, k, j in sorted(pairs):
        if distance <= reach and out[k] < 0 and j not in taken:
            out[k] = j
            taken.add(j)
    return out


def labelled(
    header: Path, weight: float, channels: str, motion: NDArray[np.float32], seed: int
) -> Iterator[tuple[Examples, interpret.Traced, Recording]]:
    """Yield the beats of an annotated recording, from both channels or one, or with noise in them."""
    whole = read(header)
    if channels == "noisy":
        recording = disturbed(whole, motion, np.random.default_rng([SEED, seed]))
    else:
        recording = whole if channels == "both" else whole.only(0 if channels == "first" else 1)
    found = evidence(recording)
    if found is None:
        return
    reference, flutter = annotated(header.with_suffix(".atr"))
    at = np.array([m.at for m in reference])
    traced, e = found
    pair = paired(traced.r, at, 0.15 * recording.fs)
    pairs: list[int] = pair.tolist()
    truth = np.array([AAMI.get(reference[j].symbol, "Q") if j >= 0 else "-" for j in pairs])
    truth[[inside(int(r), flutter) for r in traced.r]] = "Q"
    missed = [AAMI.get(m.symbol, "Q") for j, m in enumerate(reference) if j not in set(pair.tolist())]
    stem = header.stem
    patient = stem[3:] if stem.startswith("sel1") and len(stem) == 6 else stem
    yield (
        Examples(stem, patient, channels, weight * SHARE[channels], e.table, e.complexes.label, truth, missed),
        traced,
        recording,
    )


def synthetic(
    traced: interpret.Traced, recording: Recording, example: Examples, pattern: str, seed: int, seconds: float
) -> Examples | None:
    """Return the beats of ectopy made of a recording's first `seconds`; beats of other classes are unclassified."""
    rng, fs = np.random.default_rng(seed), recording.fs
    x = quality.bridged(recording.microvolts())[:, : int(seconds * fs)]
    fit = (traced.r > 0.4 * fs) & (traced.r < x.shape[1] - 0.7 * fs)
    real = example.truth[fit]
    if fit.sum() < 15 or (pattern == "vrun" and (real[1:] == "V").sum() < 3):
        return None
    source = ectopics.Beats(traced.r[fit], traced.marks[fit, -1, 0], traced.marks[fit, -1, 2])
    runs = pattern == "vrun"
    made = ectopics.ventricular_runs(real == "V", rng) if runs else ectopics.plan(source.r.shape[0], pattern, rng)
    y, r = ectopics.moved(x, fs, source, made, rng)
    found = evidence(Recording(recording.leads, fs, np.round(y).astype(np.int32), (1.0,) * len(recording.leads)))
    if found is None:
        return None
    shape = real[made.source]
    want = shape if runs else np.where(shape == "N", np.where(made.early, "S", "N"), "Q")
    truth = np.array([want[j] if j >= 0 else "Q" for j in paired(found[0].r, r, 0.1 * fs).tolist()])
    kind, weight = ("runs", 0.25) if runs else ("made", 0.5)
    name = f"{example.patient}+{pattern}"
    return Examples(name, example.patient, kind, weight, found[1].table, found[1].complexes.label, truth)


def noise(data: Path) -> NDArray[np.float32]:
    """Return electrode motion in µV (2, n) at 360 Hz: what nstdb added to record 118, the blocks without left out."""
    clean, noisy = (read(data / name).microvolts() for name in ("mitdb/118.hea", "nstdb/118e12.hea"))
    n = min(clean.shape[1], noisy.shape[1])
    added = noisy[:, :n] - clean[:, :n]
    parts = [added[:, at : at + 21_600] for at in range(0, n - 21_600, 21_600)]
    return np.concatenate([part for part in parts if part.std() > MOTION_UV], axis=1)


def disturbed(recording: Recording, motion: NDArray[np.float32], rng: np.random.Generator) -> Recording:
    """Return a recording with electrode motion in every second stretch of 20 s, in one lead or all of them."""
    x, width = recording.microvolts(), round(20 * recording.fs)
    last = int(motion.shape[1]) - width
    for at in range(0, x.shape[1] - width, 2 * width):
        start = int(rng.integers(last))
        gain = rng.uniform(0.1, 0.7) * np.array(STRUCK[int(rng.integers(len(STRUCK)))], np.float32)
        x[:, at : at + width] += gain[: x.shape[0], None] * motion[: x.shape[0], start : start + width]
    return Recording(recording.leads, recording.fs, np.round(x).astype(np.int32), (1.0,) * len(recording.leads))


def gathered(data: Path) -> Iterator[Examples]:
    """Yield everything there is to learn from."""
    motion = noise(data)
    headers = [h for h in sorted((data / "mitdb").glob("*.hea")) if h.stem not in PACED]
    extra = [
        h for h in sorted((data / "qtdb").glob("*.hea")) if h.with_suffix(".atr").exists() and h.stem not in JUDGED
    ]
    for n, header in enumerate([*headers, *extra]):
        for channels in SHARE:
            if channels == "noisy" and header not in headers:
                continue
            whole = 1.0 if header in headers else 0.5
            for example, traced, recording in labelled(header, whole, channels, motion, n):
                yield example
                if channels == "both" and header.stem in (*BASES, *SPARE):
                    usual = np.array([t == "N" for t in example.truth])
                    for k, pattern in enumerate(_PLAIN):
                        made = synthetic(traced, recording, example, pattern, 100 * n + k, 360.0)
                        if made is not None and usual.mean() > 0.8:
                            yield made
                if channels in ("both", "first"):
                    made = synthetic(traced, recording, example, "vrun", 100 * n + 50, 600.0)
                    if made is not None:
                        yield made
    yield from strips(data)


def strips(data: Path) -> Iterator[Examples]:
    """Yield single-lead strips whose rhythm label excludes ectopy, and ectopy made of the normal ones."""
    count = {"A": 300, "N": 220}
    with (data / "cinc2017" / "REFERENCE.csv").open(encoding="utf-8") as lines:
        for n, (name, label) in enumerate(csv.reader(lines)):
            header = data / "cinc2017" / f"{name}.hea"
            if count.get(label, 0) <= 0 or not header.exists():
                continue
            recording = read(header)
            found = evidence(recording) if recording.n >= 25 * recording.fs else None
            if found is None or found[1].table.shape[0] < 20:
                continue
            count[label] -= 1
            truth = np.full(found[1].table.shape[0], "N" if label == "N" else "A")
            weight = 1.2 if label == "A" else 0.5
            example = Examples(name, name, "strip", weight, found[1].table, found[1].complexes.label, truth)
            yield example
            if label == "N":
                made = synthetic(found[0], recording, example, _PLAIN[n % len(_PLAIN)], 5000 + n, 60.0)
                if made is not None:
                    yield made


@dataclass(frozen=True)
class Rows:
    """Examples of many recordings as rows."""

    x: NDArray[np.float64]
    truth: NDArray[np.str_]
    weight: NDArray[np.float64]
    patient: NDArray[np.str_]
    made: NDArray[np.bool_]


def rows(examples: list[Examples]) -> Rows:
    """Return the rows to learn from: fusion and unclassified beats left out, plain normal ones thinned and weighted."""
    keep = {"both": 0.5, "first": 0.3, "second": 0.15, "noisy": 0.3, "made": 0.4, "runs": 0.6, "strip": 0.7}
    parts: list[tuple[Any, ...]] = []
    for k, e in enumerate(examples):
        share = keep[e.channels] * (1.0 if e.name.isdigit() or e.channels in ("made", "runs", "strip") else 0.3)
        odd = beat_traits.early(e.table) < 0.9
        chance = np.where(e.truth == "N", np.where(odd, min(2 * share, 1.0), share), np.where(e.truth == "A", 0.7, 1.0))
        drawn: NDArray[np.float64] = np.random.default_rng([SEED, k]).random((int(chance.shape[0]),))
        take: NDArray[np.bool_] = (drawn < chance) & ~np.isin(e.truth, ("F", "Q"))
        n = int(take.sum())
        made = np.full(n, e.channels == "made")
        parts.append((e.table[take], e.truth[take], e.weight / chance[take], np.full(n, e.patient), made))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def balanced(w: NDArray[np.float64], y: NDArray[np.bool_], patient: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return weights by which no patient's many beats of one kind drown the others'."""
    out = w.copy()
    for name in np.unique(patient):
        for kind in (True, False):
            mine = (patient == name) & (y == kind)
            if mine.any():
                out[mine] *= (300.0 / max(float(out[mine].sum()), 60.0)) ** 0.5
    return out


def fits(data: Rows, kept: tuple[str, ...], made: Provenance) -> tuple[ModelFile, ModelFile]:
    """Return both models, fitted on all patients but those kept: S is learned where V is not the answer."""
    seen = ~np.isin(data.patient, kept)
    out: list[ModelFile] = []
    for kind, names, how in (("V", V_TRAITS, V_HOW), ("S", S_TRAITS, S_HOW)):
        # Whether a beat of fibrillation is ventricular is not known of the strips; made ectopy is for S alone.
        fit = seen & ((data.truth != "A") & ~data.made if kind == "V" else data.truth != "V")
        columns = [beat_columns.NAMES.index(n) for n in names]
        y = data.truth[fit] == kind
        w = balanced(data.weight[fit], y, data.patient[fit])
        out.append(boost.fitted(data.x[fit][:, columns], y, w, names, how, made))
    return out[0], out[1]


def odds(models: tuple[ModelFile, ModelFile], e: Examples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both log-odds of one recording's beats, ventricular ones voted on."""
    v, s = (learn.log_odds(m, e.table[:, [beat_columns.NAMES.index(n) for n in m.features]]) for m in models)
    return beats.voted(v, e.label), s


def tally(e: Examples, v: NDArray[np.float64], s: NDArray[np.float64]) -> dict[str, list[int]]:
    """Return hits, misses and false ones of V and S by EC57: Q answered as either does not count, nor does F as V.

    "F": how many fusion beats were answered N, S and V.
    """
    said = np.where(v > beats.VENTRICULAR, "V", np.where(s > beats.SUPRAVENTRICULAR, "S", "N"))
    fused = said[e.truth == "F"]
    out: dict[str, list[int]] = {"F": [int((fused == kind).sum()) for kind in "NSV"]}
    for kind in "VS":
        hit = int(((said == kind) & (e.truth == kind)).sum())
        missed = int(((said != kind) & (e.truth == kind)).sum()) + e.missed.count(kind)
        free = ("V", "F", "Q") if kind == "V" else ("S", "Q")
        out[kind] = [hit, missed, int(((said == kind) & ~np.isin(e.truth, free)).sum())]
    return out


def check(examples: list[Examples], data: Rows, made: Provenance) -> dict[str, float]:
    """Print the figures on MIT-BIH by leaving patients out, record by record; return the sums with both channels."""
    scored = [e for e in examples if e.name.isdigit()]
    names = sorted({e.patient for e in scored})
    order = np.random.default_rng(SEED).permutation(len(names))
    kept: dict[tuple[str, str], dict[str, list[int]]] = {}
    for f in range(FOLDS):
        kept_out: list[int] = order[f::FOLDS].tolist()
        out = tuple(names[k] for k in kept_out)
        models = fits(data, out, made)
        for e in scored:
            if e.patient in out:
                kept[e.name, e.channels] = tally(e, *odds(models, e))
    figures: dict[str, float] = {}
    for channels in SHARE:
        mine = {name: t for (name, c), t in sorted(kept.items()) if c == channels}
        print(f"{channels}: record, V hit/missed/false, S hit/missed/false")
        for name, t in mine.items():
            print(f"  {name}  {'/'.join(map(str, t['V'])):>14s}  {'/'.join(map(str, t['S'])):>14s}")
        for kind in "VS":
            hit, missed, false = (sum(t[kind][k] for t in mine.values()) for k in range(3))
            se, ppv = 100 * hit / (hit + missed), 100 * hit / max(hit + false, 1)
            print(f"  {kind}: Se {se:.1f} %, PPV {ppv:.1f} % ({hit + missed})")
            figures[f"{channels}_{kind}_se"], figures[f"{channels}_{kind}_ppv"] = round(se, 1), round(ppv, 1)
        print(f"  F answered N/S/V: {'/'.join(str(sum(t['F'][k] for t in mine.values())) for k in range(3))}")
    return figures


def main() -> None:
    """Gather, check by leaving patients out, and unless --check write both models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--check", action="store_true", help="figures only")
    options = parser.parse_args()
    for folder in SETS:
        if not (options.data / folder).is_dir():
            sys.exit(f"{options.data / folder} is not there: training wants {', '.join(SETS)}")
    catch()
    examples = list(gathered(options.data))
    data = rows(examples)
    count = {name: sum(e.channels == name for e in examples) for name in ("both", "noisy", "strip", "made", "runs")}
    made = Provenance("benchmarks/train_beats.py", count, int(data.x.shape[0]), 0, SEED, "", {})
    figures = check(examples, data, made)
    if options.check:
        return
    for name, file in zip(("ventricular", "supraventricular"), fits(data, (), made), strict=True):
        positives = int((data.truth == name[0].upper()).sum())
        last = Provenance(made.script, count, made.examples, positives, SEED, "", figures)
        path = learn.write(name, ModelFile(file.kind, file.features, file.base, (1.0, 0.0), last, trees=file.trees))
        print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
