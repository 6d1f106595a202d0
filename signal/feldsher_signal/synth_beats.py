"""When the atria and ventricles of synthetic patients beat: one generator of events per rhythm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from feldsher_ehr_core.ecg import BeatKind

from feldsher_signal.synth_dipole import Form

if TYPE_CHECKING:
    from feldsher_signal.synth import Patient

LEAD_IN = 3.0
"""Seconds before the recording at which events start, so that its first sample is inside a rhythm."""
_ECTOPIC_PR = 0.12


@dataclass(frozen=True, slots=True)
class Event:
    """A P wave, a QRS complex or both; onsets in seconds; `ectopic` P waves come from below."""

    p: float | None = None
    qrs: float | None = None
    kind: BeatKind = "N"
    form: Form = "normal"
    ectopic: bool = False
    spikes: tuple[float, ...] = ()


def events(patient: Patient, seconds: float, rng: np.random.Generator) -> list[Event]:
    """Return the events of a patient from LEAD_IN before 0 to `seconds`, atria and ventricles each in order of time."""
    out: list[Event] = []
    for event in _RHYTHMS[patient.rhythm](patient, rng):
        at = event.qrs if event.qrs is not None else event.p
        if at is None or at > seconds + 1:
            break
        out.append(event)
    if patient.rhythm == "third_degree_block":
        out += _escape(patient, seconds, rng)
    return out


def _cycle(patient: Patient, t: float, rng: np.random.Generator) -> float:
    """Return the next sinus cycle (s): mean, breathing (0.25/s, a quarter of a cycle a second) and chance."""
    breathing = patient.breathing * math.sin(2 * math.pi * 0.25 * t)
    return 60 / patient.rate * max(0.4, 1 + breathing + patient.rr_sd * float(rng.standard_normal()))


def _start(patient: Patient, rng: np.random.Generator) -> float:
    return -LEAD_IN + float(rng.uniform(0, 60 / patient.rate))


def _sinus(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield sinus beats with the patient's atrial (early, reset) and ventricular (early, full pause) ectopy."""
    t = _start(patient, rng)
    pr = patient.pr / 1000
    since = 0
    while True:
        yield Event(p=t, qrs=t + pr, form=patient.conduction)
        since += 1
        cycle = _cycle(patient, t, rng)
        pvc = rng.random() < patient.pvc or (patient.pvc_every > 1 and since == patient.pvc_every - 1)
        if pvc:
            first, again = t + pr + 0.62 * cycle, 60 / patient.run_rate
            for k in range(patient.pvc_run):
                yield Event(qrs=first + k * again, kind="V", form="ventricular")
            since = 0
            t += 2 * cycle + (patient.pvc_run - 1) * again
        elif patient.exit_block and since == patient.exit_block - 1:
            since = 0
            t += 2 * cycle
        elif rng.random() < patient.pac:
            early = t + 0.62 * cycle
            yield Event(p=early, qrs=early + _ECTOPIC_PR, kind="S", form=patient.conduction, ectopic=True)
            t = early + 1.05 * cycle
        else:
            t += cycle


def _fibrillation(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield ventricular beats of atrial fibrillation: independent gamma cycles, never below the refractory time."""
    t = _start(patient, rng)
    mean = 60 / patient.rate
    refractory = min(0.28, 0.5 * mean)
    # A coefficient of variation of 0.24 is that of ventricular response in atrial fibrillation (0.2 to 0.3).
    shape = ((mean - refractory) / (0.24 * mean)) ** 2
    while True:
        yield Event(qrs=t, form=patient.conduction)
        t += refractory + float(rng.gamma(shape, (mean - refractory) / shape))


def _flutter(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield ventricular beats locked to the flutter waves: every n-th is conducted."""
    t = _start(patient, rng)
    cycle = flutter_ratio(patient) * 60 / patient.atrial_rate
    while True:
        yield Event(qrs=t, form=patient.conduction)
        t += cycle


def flutter_ratio(patient: Patient) -> int:
    """Return how many flutter waves there are to a ventricular beat."""
    return max(1, round(patient.atrial_rate / patient.rate))


def _reentry(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield a regular narrow tachycardia whose P waves are inside the QRS."""
    t = _start(patient, rng)
    while True:
        yield Event(qrs=t, kind="S", form=patient.conduction)
        t += 60 / patient.rate


def _junctional(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield narrow beats of the AV junction; the atria, woken backwards, follow or are hidden in the QRS."""
    t = _start(patient, rng)
    while True:
        yield Event(qrs=t, form=patient.conduction)
        if patient.retrograde is not None:
            yield Event(p=t + patient.retrograde / 1000, ectopic=True)
        t += _cycle(patient, t, rng)


def _ventricular(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    t = _start(patient, rng)
    while True:
        yield Event(qrs=t, kind="V", form="ventricular")
        t += _cycle(patient, t, rng)


def _wenckebach(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield Mobitz I: PR grows by less each time until a P wave is not conducted."""
    t = _start(patient, rng)
    while True:
        pr = patient.pr / 1000
        for step in range(patient.block_ratio - 1):
            yield Event(p=t, qrs=t + pr, form=patient.conduction)
            pr += 0.08 / (step + 1)
            t += _cycle(patient, t, rng)
        yield Event(p=t)
        t += _cycle(patient, t, rng)


def _mobitz(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield Mobitz II (2:1 for a ratio of 2): PR is constant and one P wave in `block_ratio` is not conducted."""
    t = _start(patient, rng)
    while True:
        for step in range(patient.block_ratio):
            conducted = step < patient.block_ratio - 1
            yield Event(p=t, qrs=t + patient.pr / 1000 if conducted else None, form=patient.conduction)
            t += _cycle(patient, t, rng)


def _atria(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    t = _start(patient, rng)
    while True:
        yield Event(p=t)
        t += _cycle(patient, t, rng)


def _escape(patient: Patient, seconds: float, rng: np.random.Generator) -> list[Event]:
    """Return the ventricular escape beats of a complete block, deaf to the atria."""
    t = _start(patient, rng)
    out: list[Event] = []
    while t < seconds + 1:
        out.append(Event(qrs=t, kind="V", form="ventricular"))
        t += 60 / patient.escape_rate * (1 + 0.005 * float(rng.standard_normal()))
    return out


def _paced(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield ventricular pacing: a spike 12 ms before each wide QRS, no P waves, no variability."""
    t = _start(patient, rng)
    while True:
        yield Event(qrs=t, kind="Q", form="paced", spikes=(t - 0.012,))
        t += 60 / patient.rate


def _paced_dual(patient: Patient, rng: np.random.Generator) -> Iterator[Event]:
    """Yield atrial and ventricular pacing."""
    for event in _paced(patient, rng):
        if event.qrs is not None:
            p = event.qrs - patient.pr / 1000
            yield replace(event, p=p, spikes=(p - 0.012, *event.spikes))


def _nothing(_patient: Patient, _rng: np.random.Generator) -> Iterator[Event]:
    return iter(())


_RHYTHMS: dict[str, Callable[[Patient, np.random.Generator], Iterator[Event]]] = {
    "sinus": _sinus,
    "atrial_fibrillation": _fibrillation,
    "atrial_flutter": _flutter,
    "supraventricular_tachycardia": _reentry,
    "ventricular_tachycardia": _ventricular,
    "junctional": _junctional,
    "ventricular_escape": _ventricular,
    "second_degree_block_1": _wenckebach,
    "second_degree_block_2": _mobitz,
    "third_degree_block": _atria,
    "paced": _paced,
    "paced_dual": _paced_dual,
    "ventricular_fibrillation": _nothing,
    "asystole": _nothing,
}
