"""Every code the engine may state: its words, its rule, its source, and the superclass it counts toward.

`docs/statements.md` shows this table; a test holds the two together. SCP: a code of SCP-ECG (EN 1064) as PTB-XL uses
it; own: the project's.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from feldsher_ehr_core.ecg import About, Severity

from feldsher_signal.registry_form import CHILD, ELECTRODES, FORM, HOUSE, PART2, UDMI, Entry

_PART2, _HOUSE = PART2, HOUSE

REGISTRY: dict[str, Entry] = {
    "LEADOFF": Entry("Lead off or flat", "own", "a lead flat (< 25 µV per second), at the rail or missing", _HOUSE),
    "NOISE": Entry("Noise limits the interpretation", "own", "a lead rough (> 60 µV about its 20 ms mean)", _HOUSE),
    "NOTREAD": Entry("Not interpretable", "own", "no usable lead, or fewer than three beats", _HOUSE),
    **ELECTRODES,
    "SR": Entry("Sinus rhythm", "SCP", "P waves that repeat before ≥ 50 % of normal beats, 60–100/min", _PART2),
    "SBRAD": Entry("Sinus bradycardia", "SCP", "as SR, under 50/min (ACC/AHA/HRS 2018); alarmed under 35/min", _PART2),
    "STACH": Entry("Sinus tachycardia", "SCP", "as SR, over 100/min; alarmed over 150/min", _PART2),
    "SARRH": Entry("Sinus arrhythmia", "SCP", "as SR, normal intervals vary (5th–95th percentile) > 160 ms", _PART2),
    "AFIB": Entry(
        "Atrial fibrillation",
        "SCP",
        "learned: irregular intervals without order, no repeating P wave, atrial waves (probability ≥ 0.4 in a window "
        "of 30 beats, or of all up to 130); alarmed over 150/min",
        f"{_PART2}; benchmarks/train_rhythm.py",
    ),
    "AFLT": Entry(
        "Atrial flutter",
        "SCP",
        "between the QRS complexes of III and V1 waves at 220–340/min, ≥ 50 µV (RMS), that repeat over two periods "
        "(≥ 0.40 at 2:1, else ≥ 0.55), conducted at a whole ratio or a changing one; alarmed over 150/min",
        f"{_PART2}; house limits (flutter.py)",
    ),
    "ATR": Entry(
        "Atrial rhythm, not from the sinus node",
        "own",
        "P inverted in II, III and aVF (≥ 50 µV each), upright in aVR, PR 120–200 ms; over 100/min atrial tachycardia",
        f"{_PART2}; house limits (origin.py)",
    ),
    "JUNC": Entry(
        "Junctional rhythm",
        "own",
        "steady, QRS < 120 ms, 35–100/min, P inverted in II, III and aVF: before the QRS (PR < 120 ms) or behind it; "
        "no P wave at all: 35–60/min; twelve leads",
        f"{_PART2}; house limits (origin.py)",
    ),
    "VESC": Entry(
        "Ventricular escape rhythm",
        "own",
        "steady, under 45/min, QRS ≥ 130 ms, no P waves and no pacemaker; twelve leads",
        f"{_PART2}; ACC/AHA/HRS 2018",
    ),
    "RUND": Entry("Rhythm undetermined: regular without clear P waves", "own", "none of the rhythms above", _HOUSE),
    "PVC": Entry("Ventricular premature complex", "SCP", "a beat unlike the prevailing one, early and wide", _PART2),
    "PAC": Entry("Atrial premature complex", "SCP", "an early beat like the prevailing one", _PART2),
    "BIGU": Entry("Bigeminy", "SCP", "every second beat early, three times in a row", _PART2),
    "TRIGU": Entry("Trigeminy", "SCP", "every third beat early, three times in a row", _PART2),
    "VPAIR": Entry("Ventricular couplets", "own", "two ventricular beats in a row", _PART2),
    "VTAC": Entry("Ventricular tachycardia", "own", "≥ 3 ventricular beats in a row over 100/min", "AHA/ACC/HRS 2017"),
    "IVR": Entry(
        "Idioventricular rhythm",
        "own",
        "≥ 3 ventricular beats in a row at up to 100/min; accelerated from 40/min",
        _PART2,
    ),
    "PSVT": Entry("Supraventricular run", "SCP", "≥ 3 early narrow beats in a row over 100/min", _PART2),
    "SVTAC": Entry(
        "Supraventricular tachycardia",
        "SCP",
        "regular, over 140/min, QRS < 130 ms, no P waves seen; alarmed over 150/min",
        _PART2,
    ),
    "WCT": Entry(
        "Wide complex tachycardia",
        "own",
        "regular, over 140/min, QRS ≥ 130 ms, no P waves seen",
        "AHA/ACC/HRS 2017; Brugada 1991",
    ),
    "VFIB": Entry(
        "No organised complexes: ventricular fibrillation or flutter",
        "own",
        "4 s and more of a wave that is its own mirror image half a period later (leakage < 0.45); alarmed",
        "Kuo & Dillman 1978; house limit (chaos.py)",
    ),
    "ASYST": Entry(
        "Flat line: asystole or electrodes off",
        "own",
        "3 s and more, no beat, no usable lead, at least half of them flat (< 25 µV per second); alarmed",
        _HOUSE,
    ),
    "2AVB": Entry(
        "AV block of second degree",
        "SCP",
        "P waves of one train, single ones lead to no beat: 2:1; Mobitz I (PR shorter after it by ≥ 35 ms); Mobitz II; "
        "alarmed under 40/min",
        "AHA/ACC/HRS 2007 part II (Mason); ACC/AHA/HRS 2018",
        "CD",
    ),
    "3AVB": Entry(
        "Complete AV block",
        "SCP",
        "P waves of one train, a steady ventricular rhythm under 60/min that does not keep step with them; alarmed",
        "ACC/AHA/HRS 2018",
        "CD",
    ),
    "SAB": Entry(
        "Sinus exit block",
        "own",
        "as DROP, P waves followed through the recording, none of them without a beat",
        _PART2,
    ),
    "DROP": Entry(
        "Dropped beat: AV block of second degree or sinus exit block",
        "own",
        "in a steady rhythm an interval of 1.75 to 2.2 times the usual between normal beats",
        _PART2,
    ),
    "PAUSE": Entry(
        "Pause",
        "own",
        "> 2 s without a beat, at the ends too, where the signal is good or flat in every lead; alarmed from 3 s",
        "ACC/AHA/HRS 2018",
    ),
    "PACE": Entry(
        "Paced rhythm",
        "SCP",
        "spikes at one distance before the beats, or a pacemaker is known and the QRS is 120 ms or wider",
        _PART2,
    ),
    "APACE": Entry("Atrial paced rhythm", "own", "spikes at one distance before P waves, none before the QRS", _PART2),
    "PACENA": Entry(
        "Pacing not assessed",
        "own",
        "sampling under 1000/s may hide pacing spikes, and none were seen",
        "IEC 60601-2-25",
    ),
    **FORM,
    "PEDNA": Entry(
        "Not judged at this age",
        "own",
        "age under 18: what no table is there for is named",
        CHILD,
        "",
        "note",
        "recording",
    ),
    "LEADNA": Entry(
        "Not judged for want of leads",
        "own",
        "fewer than I, II, V1–V6 and two more leads usable: what needs them is named",
        HOUSE,
        "",
        "note",
        "recording",
    ),
    "AGESEX": Entry(
        "Withheld for want of age or sex",
        "own",
        "rules that need age or sex and did not get them are named",
        UDMI,
        "",
        "note",
        "recording",
    ),
    "NORM": Entry(
        "Normal ECG",
        "SCP",
        "sinus rhythm 50–100/min, twelve usable leads, 5 s, "
        "age and sex given, no other statement but notes, and a learned score of 0.5",
        f"{_PART2}; Spodick 1992",
        "NORM",
    ),
}

_WEIGHTS: dict[str, tuple[Severity, str]] = {
    **dict.fromkeys(("LEADOFF", "NOISE"), ("note", "recording")),
    "NOTREAD": ("urgent", "recording"),
    "PACENA": ("note", "recording"),
    **dict.fromkeys(("SR", "SARRH"), ("normal", "rhythm")),
    **dict.fromkeys(("SBRAD", "STACH", "RUND", "ATR"), ("borderline", "rhythm")),
    **dict.fromkeys(("PVC", "PAC"), ("borderline", "ectopy")),
    **dict.fromkeys(("BIGU", "TRIGU", "VPAIR", "PSVT"), ("abnormal", "ectopy")),
    **dict.fromkeys(("VTAC", "WCT", "VFIB", "ASYST", "3AVB"), ("urgent", "rhythm")),
    "NORM": ("normal", "summary"),
}
"""How much statements of rhythm weigh, where not `abnormal`, and their kind, where not `rhythm`."""
REGISTRY.update({c: REGISTRY[c]._replace(severity=s, category=k) for c, (s, k) in _WEIGHTS.items() if c in REGISTRY})

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
"""PTB-XL's diagnostic superclasses: Wagner 2020."""
FIRST = ("NOTREAD", *ELECTRODES, "LEADOFF", "NOISE")
"""Said before anything else."""
LAST = ("PACENA", "LEADNA", "PEDNA", "AGESEX")

FEWEST = 20
"""A statement with fewer recordings behind it is marked `rule only`: its score is graded, not tested."""
POSITIVES = Path(__file__).parent / "models" / "positives.json"
"""How many of the shared recordings carry a diagnosis, by code: written by benchmarks/count_positives.py."""


@functools.cache
def positives() -> dict[str, int]:
    """Return the recordings behind each code; {} where the file is not there."""
    return json.loads(POSITIVES.read_text("utf-8"))["positives"] if POSITIVES.exists() else {}


def rule_only(code: str) -> bool:
    """Say whether fewer than FEWEST recordings were there to test a statement."""
    return positives().get(code, 0) < FEWEST


@functools.cache
def about(code: str) -> About:
    """Return what stands behind a code, as the contract wants it."""
    entry = REGISTRY[code]
    return About(entry.category, entry.severity, entry.source, rule_only(code))
