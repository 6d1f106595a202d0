"""What is said before any finding: leads off, noise, electrodes in each other's place; and what was not judged."""

from __future__ import annotations

from feldsher_signal.findings import Findings, Verdict, both, grade

SPIKE_FS = 1000.0
"""Pacing spikes of 0.1–2 ms need 1000 samples a second and more: IEC 60601-2-25."""


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on the recording itself."""
    return [*_quality(f), *_reversal(f), *_unjudged(f)]


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
    flat = [set(q.issues) == {"flat"} for q in f.quality.leads.values()]
    if flat and all(flat):
        out.append(Verdict("ASYST", 0.5, True, ("no lead moves by 25 µV in a second",), "possible", True))
    if f.r.shape[0] < 3 or not f.quality.usable:
        out.append(Verdict("NOTREAD", 1.0, True, (f"{f.r.shape[0]} beats found in usable leads",), "definite"))
    return out


def _reversal(f: Findings) -> list[Verdict]:
    """Arms: I is upside down while V6 is not (else dextrocardia); right arm and leg: I, II and III are."""
    if not f.has("I", "II", "III", "aVR", "V5", "V6"):
        return []
    one, two, three, avr, v6 = (f.matrix[name] for name in ("I", "II", "III", "aVR", "V6"))
    p_known = f.p_share > 0.5
    down = both(
        grade(one.qrs_area, 0.0, -3.0), grade(one.p if p_known else one.t, -20.0, -8.0), grade(one.t, 0.0, -30.0)
    )
    up = both(
        grade(avr.qrs_area, 0.0, 3.0), grade(v6.qrs_area, 0.0, 3.0), grade(avr.p if p_known else avr.t, 0.0, 10.0)
    )
    leg = both(down, grade(two.qrs_area, 0.0, -3.0), grade(two.p, -20.0, -8.0), grade(three.qrs_area, 0.0, -3.0))
    arm = both(down, up, 1 - leg)
    text = (f"I: P {one.p:.0f} µV, QRS area {one.qrs_area:.1f} µVs, T {one.t:.0f} µV", f"aVR: P {avr.p:.0f} µV")
    return [
        Verdict("REVARM", arm, arm > 0.5, text, "possible"),
        Verdict("REVLEG", both(leg, up), both(leg, up) > 0.5, text, "possible"),
    ]


def _unjudged(f: Findings) -> list[Verdict]:
    out: list[Verdict] = []
    if f.subject.pacemaker and f.measured.qrs is not None and f.measured.qrs >= 120:
        out.append(Verdict("PACE", 0.9, True, ("pacemaker known", f"QRS {f.measured.qrs:.0f} ms"), "probable"))
    if f.fs < SPIKE_FS:
        out.append(Verdict("PACENA", 1.0, True, (f"{f.fs:g} samples per second",), "definite"))
    if f.subject.age is not None and f.subject.age < 18:
        out.append(Verdict("PEDNA", 1.0, True, (f"age {f.subject.age}",), "definite"))
    if f.has("V1", "V2") and (f.subject.age is None or f.subject.sex == "unknown"):
        unknown = [n for n, gone in (("age", f.subject.age is None), ("sex", f.subject.sex == "unknown")) if gone]
        text = ("ST elevation in V2–V3", "left ventricular voltage", "QTc limit")
        out.append(Verdict("AGESEX", 1.0, True, (f"{' and '.join(unknown)} not given", *text), "definite"))
    return out
