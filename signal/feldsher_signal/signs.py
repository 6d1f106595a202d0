"""What is said before any finding: leads off and noise; and what was not judged."""

from __future__ import annotations

from feldsher_signal import elevation
from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.paediatric import ORIGIN, is_child, unjudged

SPIKE_FS = 1000.0
"""Pacing spikes of 0.1–2 ms need 1000 samples a second and more: IEC 60601-2-25."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on the recording itself."""
    return [*_quality(f), *_unjudged(f)]


def _quality(f: Findings) -> list[Verdict]:
    off = [n for n, q in f.quality.leads.items() if not q.usable and {"flat", "clipped", "missing"} & set(q.issues)]
    noisy = [n for n, q in f.quality.leads.items() if {"noise", "artefact"} & set(q.issues)]
    out: list[Verdict] = []
    if off:
        text = tuple(f"{name}: {', '.join(f.quality.leads[name].issues)}" for name in off)
        out.append(Verdict("LEADOFF", 1.0, True, text, "definite"))
    if noisy:
        text = tuple(f"{name}: {', '.join(f.quality.leads[name].issues)}" for name in noisy)
        out.append(Verdict("NOISE", 1.0, True, text, "definite"))
    if f.r.shape[0] < 3 or not f.quality.usable:
        out.append(Verdict("NOTREAD", 1.0, True, (f"{f.r.shape[0]} beats found in usable leads",), "definite"))
    return out


def _unjudged(f: Findings) -> list[Verdict]:
    out: list[Verdict] = []
    seen = _paced(f)
    out += seen
    if not seen and f.subject.pacemaker and f.measured.qrs is not None and f.measured.qrs >= 120:
        out.append(Verdict("PACE", 0.9, True, ("pacemaker known", f"QRS {f.measured.qrs:.0f} ms"), "probable"))
    if f.fs < SPIKE_FS and not seen:
        out.append(Verdict("PACENA", 1.0, True, (f"{f.fs:g} samples per second",), "definite"))
    young = unjudged(f.subject)
    if young:
        days = f.subject.age_days
        age = f"age {f.subject.age} y" if days is None else f"age {days} days"
        out.append(Verdict("PEDNA", 1.0, True, (age, *young), "definite"))
    lacking = leadless(f)
    if lacking:
        out.append(Verdict("LEADNA", 1.0, True, (f"leads judged: {len(f.matrix)}", *lacking), "definite"))
    gone = withheld(f)
    if gone:
        unknown = " and ".join(
            n for n, lost in (("age", f.subject.age is None), ("sex", f.subject.sex == "unknown")) if lost
        )
        out.append(Verdict("AGESEX", 1.0, True, (f"{unknown} not given", *gone), "definite"))
    return out


def _paced(f: Findings) -> list[Verdict]:
    """Return paced rhythm where spikes keep their distance to the beats."""
    if f.paced is None or not f.paced.mode:
        return []
    parts = (("ventricles", f.paced.ventricular), ("atria", f.paced.atrial))
    because = tuple(
        f"spikes before {int(driven.sum())} of {driven.shape[0]} beats drive the {what}"
        for what, driven in parts
        if driven.any()
    )
    code = "APACE" if f.paced.mode == "atrial" else "PACE"
    return [Verdict(code, 0.98, True, because, "definite")]


def leadless(f: Findings) -> tuple[str, ...]:
    """Return what is not judged because too few leads could be measured; () of twelve, and where no beat was."""
    if f.twelve or not f.matrix:
        return ()
    parts = (
        (len(f.matrix) < elevation.FEWEST or not f.has("I", "II"), "ST elevation"),
        (True, "ST depression, T waves"),
        (True, "infarction by Q waves"),
        (True, ORIGIN),
        (f.measured.axis_qrs is None, "QRS axis"),
        (not f.has("I", "V1", "V6"), "bundle branch block"),
        (not f.has("aVL", "V1", "V2", "V3", "V4", "V5", "V6"), "ventricular hypertrophy"),
    )
    return tuple(words for lost, words in parts if lost)


def withheld(f: Findings) -> tuple[str, ...]:
    """Return what is not judged, or judged only roughly, because the age or the sex was not given."""
    age, sex = f.subject.age is None, f.subject.sex == "unknown"
    if is_child(f.subject):
        return ("limits of one sex (the wider of both are taken)",) if sex else ()
    parts = (
        (age and f.r.shape[0] > 0, "limits of children (an adult's are taken)"),
        (age and f.has("V1", "V5", "V6"), "Sokolow-Lyon"),
        (sex and f.has("aVL", "V3"), "Cornell, Peguero-Lo Presti"),
        ((age or sex) and (f.has("V2") or f.has("V3")), "ST elevation in V2–V3 under the highest limit"),
        (sex and f.measured.qt is not None, "limit of QTc"),
    )
    return tuple(words for lost, words in parts if lost)
