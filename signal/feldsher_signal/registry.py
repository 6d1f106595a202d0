"""Every code the engine may state: its words, its rule, its source, and the superclass it counts toward.

`docs/statements.md` shows this table; a test holds the two together. SCP: a code of SCP-ECG (EN 1064) as PTB-XL uses
it; own: the project's.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One code: text, origin (`SCP` or `own`), rule in words, source, superclass ("" = none)."""

    text: str
    origin: str
    rule: str
    source: str
    superclass: str = ""


_PART2 = "AHA/ACC/HRS 2007 part II (Mason)"
_PART3 = "AHA/ACCF/HRS 2009 part III (Surawicz)"
_PART4 = "AHA/ACCF/HRS 2009 part IV (Rautaharju)"
_PART5 = "AHA/ACCF/HRS 2009 part V (Hancock)"
_UDMI = "Fourth Universal Definition of MI 2018 (Thygesen)"
_HOUSE = "house rule, tuned on ../shared/ecg (docs/performance.md)"

REGISTRY: dict[str, Entry] = {
    "LEADOFF": Entry("Lead off or flat", "own", "a lead flat (< 25 µV per second), at the rail or missing", _HOUSE),
    "NOISE": Entry("Noise limits the interpretation", "own", "a lead rough (> 60 µV about its 20 ms mean)", _HOUSE),
    "NOTREAD": Entry("Not interpretable", "own", "no usable lead, or fewer than three beats", _HOUSE),
    "REVARM": Entry(
        "Suspected reversal of the arm electrodes",
        "own",
        "P and QRS negative in I, aVR upright, V5 and V6 upright",
        "AHA/ACC/HRS 2007 part I (Kligfield); Batchvarov 2007",
    ),
    "REVLEG": Entry(
        "Suspected limb electrode on the wrong side (right arm and leg)",
        "own",
        "P and QRS negative in I, II and III together, aVR upright",
        "Batchvarov 2007",
    ),
    "SR": Entry("Sinus rhythm", "SCP", "P waves that repeat before ≥ 50 % of normal beats, 60–100/min", _PART2),
    "SBRAD": Entry("Sinus bradycardia", "SCP", "as SR, under 60/min; alarmed under 35/min", _PART2),
    "STACH": Entry("Sinus tachycardia", "SCP", "as SR, over 100/min; alarmed over 150/min", _PART2),
    "SARRH": Entry("Sinus arrhythmia", "SCP", "as SR, normal intervals vary (5th–95th percentile) > 160 ms", _PART2),
    "AFIB": Entry(
        "Atrial fibrillation",
        "SCP",
        "intervals of non-ectopic beats change by > 6 % (median) and no repeating P wave (likeness < 0.55)",
        f"{_PART2}; {_HOUSE}",
    ),
    "RUND": Entry("Rhythm undetermined: regular without clear P waves", "own", "neither SR nor AFIB", _HOUSE),
    "PVC": Entry("Ventricular premature complex", "SCP", "a beat unlike the prevailing one, early and wide", _PART2),
    "PAC": Entry("Atrial premature complex", "SCP", "an early beat like the prevailing one", _PART2),
    "BIGU": Entry("Bigeminy", "SCP", "every second beat early, three times in a row", _PART2),
    "TRIGU": Entry("Trigeminy", "SCP", "every third beat early, three times in a row", _PART2),
    "VTAC": Entry("Ventricular tachycardia", "own", "≥ 3 ventricular beats in a row over 100/min", "AHA/ACC/HRS 2017"),
    "SVTAC": Entry(
        "Supraventricular tachycardia",
        "SCP",
        "regular, over 140/min, QRS < 130 ms, no P waves seen; alarmed over 180/min",
        _PART2,
    ),
    "WCT": Entry(
        "Wide complex tachycardia",
        "own",
        "regular, over 140/min, QRS ≥ 130 ms, no P waves seen",
        "AHA/ACC/HRS 2017; Brugada 1991",
    ),
    "VFIB": Entry(
        "No organised complexes: ventricular fibrillation or disturbance",
        "own",
        "in up to 60 s, under 40 % of six and more complexes alike",
        _HOUSE,
    ),
    "ASYST": Entry(
        "Flat line: asystole or electrodes off", "own", "every lead flat (< 25 µV per second), not at the rail", _HOUSE
    ),
    "DROP": Entry(
        "Dropped beat: AV block of second degree or sinus exit block",
        "own",
        "in a steady rhythm an interval of 1.75 to 2.2 times the usual between normal beats",
        _PART2,
    ),
    "PAUSE": Entry(
        "Pause", "own", "> 2 s without a beat where the signal is good; alarmed from 3 s", "ACC/AHA/HRS 2018"
    ),
    "PACE": Entry("Paced rhythm", "SCP", "a pacemaker is known and the QRS is 120 ms or wider", _PART2),
    "PACENA": Entry("Pacing not assessed", "own", "sampling under 1000/s hides pacing spikes", "IEC 60601-2-25"),
    "LAD": Entry("Left axis deviation", "own", "QRS axis −30° to −90°", _PART3),
    "RAD": Entry("Right axis deviation", "own", "QRS axis over +90°", _PART3),
    "XAD": Entry("Extreme axis deviation", "own", "QRS axis −90° to −180°", _PART3),
    "1AVB": Entry("First-degree AV block", "SCP", "PR > 200 ms", _PART3, "CD"),
    "CRBBB": Entry(
        "Complete right bundle branch block", "SCP", "QRS ≥ 120 ms, late R in V1/V2, broad S in I/V6", _PART3, "CD"
    ),
    "CLBBB": Entry(
        "Complete left bundle branch block",
        "SCP",
        "QRS ≥ 120 ms, broad R without q in I/V6, deep S in V1",
        _PART3,
        "CD",
    ),
    "IRBBB": Entry("Incomplete right bundle branch block", "SCP", "as CRBBB, QRS 100–119 ms", _PART3, "CD"),
    "ILBBB": Entry("Incomplete left bundle branch block", "SCP", "as CLBBB, QRS 110–119 ms", _PART3, "CD"),
    "IVCD": Entry("Non-specific intraventricular conduction delay", "SCP", "QRS ≥ 120 ms, neither block", _PART3, "CD"),
    "LAFB": Entry("Left anterior fascicular block", "SCP", "axis −45° to −90°, R in aVL, r in III", _PART3, "CD"),
    "LPFB": Entry(
        "Left posterior fascicular block", "SCP", "axis over +90°, q in III/aVF, small r in aVL", _PART3, "CD"
    ),
    "WPW": Entry("Possible pre-excitation", "SCP", "PR < 120 ms and QRS > 110 ms", "WHO/ISFC 1985 (Willems)", "CD"),
    "LVH": Entry(
        "Left ventricular hypertrophy",
        "SCP",
        "voltage as VCLVH with ST depression and T inversion in V5/V6",
        _PART5,
        "HYP",
    ),
    "VCLVH": Entry(
        "Voltage of left ventricular hypertrophy",
        "SCP",
        "Sokolow-Lyon ≥ 3.5 mV (age > 35; 4.5 mV younger), Cornell > 2.8 mV men / 2.0 mV women, or R aVL ≥ 1.1 mV",
        f"{_PART5}; Sokolow & Lyon 1949; Casale 1985",
        "HYP",
    ),
    "RVH": Entry(
        "Right ventricular hypertrophy", "SCP", "R V1 ≥ 0.7 mV and > S, axis over +90°, QRS < 120 ms", _PART5, "HYP"
    ),
    "LVOLT": Entry("Low voltage", "SCP", "limb QRS < 0.5 mV and chest QRS < 1.0 mV in every lead", _PART2),
    "LAO/LAE": Entry("Left atrial enlargement", "SCP", "P ≥ 120 ms, ending ≥ 0.1 mV negative in V1", _PART5, "HYP"),
    "RAO/RAE": Entry("Right atrial enlargement", "SCP", "P > 0.25 mV in II or > 0.15 mV in V1", _PART5, "HYP"),
    "LNGQT": Entry(
        "Long QT", "SCP", "QTc (Fridericia) ≥ 450 ms men, 460 ms women; alarmed over 500 ms", _PART4, "STTC"
    ),
    "SHTQT": Entry("Short QT", "own", "QTc (Fridericia) ≤ 340 ms", "ESC 2015 (Priori)", "STTC"),
    "STE_": Entry(
        "ST elevation",
        "SCP",
        "J ≥ 0.1 mV in two contiguous leads; V2–V3: men ≥ 40 y 0.2, men < 40 y 0.25, women 0.15 mV",
        _UDMI,
        "STTC",
    ),
    "STEMI": Entry(
        "Suspected ST-elevation infarction",
        "own",
        "as STE_, ≥ 0.2 mV with reciprocal depression ≥ 0.05 mV, or four leads; not in LBBB, LVH or wide QRS",
        _UDMI,
        "MI",
    ),
    "STD_": Entry(
        "ST depression", "SCP", "horizontal or downsloping, ≥ 0.05 mV in two contiguous leads", _UDMI, "STTC"
    ),
    "INVT": Entry("T inversion", "SCP", "> 0.1 mV in two contiguous leads with prominent R", _UDMI, "STTC"),
    "NDT": Entry("Flat T waves", "SCP", "T under a tenth of R in two of I, II, V4–V6", _PART4, "STTC"),
    "ISC_": Entry("Possible ischaemia", "SCP", "STD_ and INVT together, no bundle branch block", _UDMI, "STTC"),
    "IMI": Entry("Inferior infarction, age undetermined", "SCP", "pathological Q in II/III and aVF", _UDMI, "MI"),
    "ASMI": Entry("Anteroseptal infarction, age undetermined", "SCP", "pathological Q or QS in V1–V3", _UDMI, "MI"),
    "AMI": Entry("Anterior infarction, age undetermined", "SCP", "pathological Q or QS in V2–V4", _UDMI, "MI"),
    "ALMI": Entry("Anterolateral infarction, age undetermined", "SCP", "pathological Q in V4–V6", _UDMI, "MI"),
    "LMI": Entry(
        "Lateral infarction, age undetermined", "SCP", "pathological Q in I and aVL or V5 and V6", _UDMI, "MI"
    ),
    "QWAVE": Entry("Q waves", "SCP", "a pathological Q outside the territories above", _UDMI, "MI"),
    "PEDNA": Entry("Adult criteria not applied", "own", "age under 18: voltage is not judged", "Rijnbeek 2001"),
    "AGESEX": Entry("Withheld for want of age or sex", "own", "rules that need age or sex and did not get them", _UDMI),
    "NORM": Entry(
        "Normal ECG", "SCP", "sinus rhythm 50–100/min, twelve usable leads and no other statement", _PART2, "NORM"
    ),
}

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
"""PTB-XL's diagnostic superclasses: Wagner 2020."""
FIRST = ("NOTREAD", "REVARM", "REVLEG", "LEADOFF", "NOISE")
"""Said before anything else."""
LAST = ("PACENA", "PEDNA", "AGESEX")
