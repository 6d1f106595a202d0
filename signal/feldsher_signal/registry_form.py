"""The statements of form: electrodes, conduction, voltage, ST, T, QT, infarction; the other half of registry.py."""

from __future__ import annotations

from typing import NamedTuple

from feldsher_ehr_core.ecg import Severity


class Entry(NamedTuple):
    """One code: text, origin (`SCP` or `own`), rule in words, source, superclass ("" = none), severity, category."""

    text: str
    origin: str
    rule: str
    source: str
    superclass: str = ""
    severity: Severity = "abnormal"
    category: str = "rhythm"


PART2 = "AHA/ACC/HRS 2007 part II (Mason)"
PART3 = "AHA/ACCF/HRS 2009 part III (Surawicz)"
PART4 = "AHA/ACCF/HRS 2009 part IV (Rautaharju)"
PART5 = "AHA/ACCF/HRS 2009 part V (Hancock)"
PART6 = "AHA/ACCF/HRS 2009 part VI (Wagner)"
UDMI = "Fourth Universal Definition of MI 2018 (Thygesen)"
CHILD = "Rijnbeek 2001"
HOUSE = "house rule, tuned on ../shared/ecg (docs/performance.md)"


def _electrodes(text: str, rule: str, source: str) -> Entry:
    return Entry(text, "own", rule, source, "", "urgent", "recording")


ELECTRODES: dict[str, Entry] = {
    "REVARM": _electrodes(
        "Suspected reversal of the arm electrodes",
        "P and QRS negative and T not upright in I, P of aVR not under −50 µV, V6 upright",
        "AHA/ACC/HRS 2007 part I (Kligfield); Batchvarov 2007",
    ),
    "REVLEG": _electrodes(
        "Suspected limb electrode on the wrong side (right arm and leg)",
        "P and QRS negative and T not upright in II, P not upright in III, QRS of aVR and V6 upright",
        "Batchvarov 2007",
    ),
    "REVFLAT": _electrodes(
        "Suspected exchange of an arm and the right leg electrode",
        "one of I, II, III under 60 µV, the others over 0.3 mV",
        "Haisty 1993; Batchvarov 2007",
    ),
    "REVLEFT": _electrodes(
        "Suspected reversal of left arm and left leg electrodes",
        "P and T in I over those in II, both negative in III, P axis under −20°",
        "Abdollah & Milliken 1997",
    ),
    "REVCHEST": _electrodes(
        "Suspected reversal of two chest electrodes",
        "exchanging two neighbours leaves under 28 % of the bending of QRS, T and P from V1 to V6",
        f"Hedén 1995; {HOUSE}",
    ),
    "DEXTRO": _electrodes(
        "Suspected dextrocardia",
        "I upside down as in REVARM, but QRS of V6 negative and no more upright than that of V5",
        "AHA/ACC/HRS 2007 part I (Kligfield)",
    ),
}


def _qrs(
    text: str, rule: str, source: str, superclass: str = "", severity: Severity = "abnormal", origin: str = "SCP"
) -> Entry:
    return Entry(text, origin, rule, source, superclass, severity, "conduction")


CONDUCTION: dict[str, Entry] = {
    "LAD": _qrs("Left axis deviation", "QRS axis −30° to −90°; children: tables", PART3, "", "borderline", "own"),
    "RAD": _qrs("Right axis deviation", "QRS axis over +90°; children: tables", PART3, "", "borderline", "own"),
    "XAD": _qrs("Extreme axis deviation", "QRS axis −90° to −180°", PART3, "", "abnormal", "own"),
    "AXIND": _qrs(
        "Indeterminate QRS axis", "net QRS under 0.1 mV in I and in aVF", "AHA/ACC/HRS 2007 part II", "", "note", "own"
    ),
    "1AVB": _qrs(
        "First-degree AV block",
        "PR > 200 ms (possible up to 210); children: over the 98th percentile",
        f"{PART3}; {CHILD}",
        "CD",
        "borderline",
    ),
    "SHPR": _qrs(
        "Short PR interval", "PR < 120 ms; children: under the 2nd percentile", "Minnesota 6-5", "", "note", "own"
    ),
    "CRBBB": _qrs(
        "Complete right bundle branch block",
        "QRS ≥ 120 ms (under 16 y 100, under 4 y 90), late R in V1/V2, broad S in I/V6",
        PART3,
        "CD",
    ),
    "CLBBB": _qrs(
        "Complete left bundle branch block",
        "QRS ≥ 120 ms, broad R without q in I/V6, deep S in V1; definite from 140 (men), 130 ms (women)",
        f"{PART3}; Strauss 2011",
        "CD",
    ),
    "IRBBB": _qrs(
        "Incomplete right bundle branch block",
        "as CRBBB, QRS 110–119 ms (under 16 y 90–99); possible from 100 ms",
        f"{PART3}; Minnesota 7-3",
        "CD",
        "borderline",
    ),
    "ILBBB": _qrs(
        "Incomplete left bundle branch block", "as CLBBB, QRS 110–119 ms (under 16 y 90–99)", PART3, "CD", "borderline"
    ),
    "IVCD": _qrs("Non-specific intraventricular conduction delay", "QRS ≥ 120 ms, neither block", PART3, "CD"),
    "LAFB": _qrs("Left anterior fascicular block", "axis −45° to −90°, R in aVL, r in III", PART3, "CD"),
    "LPFB": _qrs("Left posterior fascicular block", "axis over +90°, q in III/aVF, small r in aVL", PART3, "CD"),
    "WPW": _qrs(
        "Pre-excitation pattern",
        "PR < 120 ms, QRS ≥ 110 ms, and a slow beginning of QRS (35 ms) in most leads",
        f"WHO/ISFC 1985 (Willems); {HOUSE}",
        "CD",
    ),
}


def _volt(text: str, rule: str, source: str, severity: Severity = "abnormal", origin: str = "SCP") -> Entry:
    return Entry(text, origin, rule, source, "" if "LOW" in text.upper() else "HYP", severity, "voltage")


VOLTAGE: dict[str, Entry] = {
    "LVH": _volt(
        "Left ventricular hypertrophy",
        "voltage as VCLVH with ST depression and T inversion in V5/V6, or 5 Romhilt-Estes points",
        f"{PART5}; Romhilt & Estes 1968",
    ),
    "VCLVH": _volt(
        "Voltage of left ventricular hypertrophy",
        "Sokolow-Lyon ≥ 3.5 mV (age > 35; 4.5 mV younger), Cornell > 2.8 mV men / 2.0 mV women, or R aVL ≥ 1.1 mV; "
        "supported by Peguero-Lo Presti ≥ 2.8/2.3 mV and Cornell product ≥ 244 µV·s; children: R V6, S V1 by tables",
        f"{PART5}; Sokolow & Lyon 1949; Casale 1985; Molloy 1992; Peguero 2017; {CHILD}",
        "borderline",
    ),
    "RVH": _volt(
        "Right ventricular hypertrophy",
        "R V1 ≥ 0.7 mV and > S, or R V1 + S V5/V6 > 1.05 mV; axis > +90°, QRS < 120 ms; children: R V1, S V6 by tables",
        f"{PART5}; Myers 1948; {CHILD}",
    ),
    "BVH": _volt("Hypertrophy of both ventricles", "criteria of LVH or VCLVH and of RVH", PART5, "abnormal", "own"),
    "LVOLT": _volt("Low voltage", "every limb QRS < 0.5 mV", PART2, "borderline"),
    "LOWCH": _volt("Low voltage in the chest leads", "every chest QRS < 1.0 mV", PART2, "note", "own"),
    "LAO/LAE": _volt(
        "Left atrial enlargement",
        "P ≥ 120 ms, ending 75 µV negative in V1 with a terminal force of 4 µV·s; or 0.12 mV with 10 µV·s",
        f"{PART5}; Morris 1964",
        "borderline",
    ),
    "RAO/RAE": _volt("Right atrial enlargement", "P > 0.25 mV in II or > 0.15 mV in V1", PART5, "borderline"),
}


def _stt(text: str, rule: str, source: str, severity: Severity = "abnormal", origin: str = "SCP") -> Entry:
    return Entry(text, origin, rule, source, "" if severity == "note" else "STTC", severity, "repolarisation")


def _ischaemia(where: str) -> Entry:
    return _stt(f"Possible ischaemia, {where}", "ST depression with T inversion in two leads of the territory", UDMI)


REPOLARISATION: dict[str, Entry] = {
    "LNGQT": _stt(
        "Long QT",
        "QTc (Fridericia) ≥ 450 ms men, 460 ms women; children: Bazett over the 98th percentile and 460; "
        "alarmed over 500 ms",
        f"{PART4}; {CHILD}",
    ),
    "SHTQT": _stt("Short QT", "QTc (Fridericia) ≤ 340 ms", "ESC 2015 (Priori)", "abnormal", "own"),
    "STE_": _stt(
        "ST elevation",
        "J ≥ 0.1 mV in two contiguous leads; V2–V3: men ≥ 40 y 0.2, men < 40 y 0.25, women 0.15 mV, "
        "0.25 mV without age or sex",
        UDMI,
    ),
    "STD_": _stt("ST depression", "horizontal or downsloping, ≥ 0.05 mV in two contiguous leads", UDMI),
    "STSPREAD": _stt(
        "Widespread ST depression: left main stem or several vessels",
        "ST depression ≥ 0.1 mV in six leads with elevation of aVR or V1",
        UDMI,
        "urgent",
        "own",
    ),
    "INVT": _stt("T inversion", "> 0.1 mV in two contiguous leads with prominent R", UDMI),
    "NDT": _stt("Flat T waves", "T under a tenth of R in two of I, II, V4–V6", PART4, "borderline"),
    "ISC_": _stt("Possible ischaemia", "STD_ and INVT together, no bundle branch block", UDMI),
    "ISCAL": _ischaemia("anterolateral"),
    "ISCIN": _ischaemia("inferior"),
    "ISCAN": _ischaemia("anterior"),
    "ISCAS": _ischaemia("anteroseptal"),
    "ISCLA": _ischaemia("lateral"),
    "ISCIL": _ischaemia("inferolateral"),
    "EARLY": _stt(
        "Early repolarisation",
        "end-QRS notch ≥ 0.1 mV in two leads, or concave J ≥ 0.1 mV with T ≥ 0.5 mV in two of II, aVF, V3–V6",
        "Macfarlane 2015; Minnesota 9-7",
        "note",
        "own",
    ),
    "PERI": _stt(
        "Pericarditis pattern",
        "concave ST elevation in six leads, depression in aVR, ST/T > 0.25 in V6, no mirror image",
        "Spodick 2003; Ginzton & Laks 1982",
        "abnormal",
        "own",
    ),
    "BRUG1": _stt(
        "Brugada pattern type 1",
        "V1 or V2: J ≥ 0.2 mV, falling, into a negative T",
        "Bayés de Luna 2012; Corrado 2010",
        "urgent",
        "own",
    ),
    "HYPERK": _stt(
        "Pattern of hyperkalaemia",
        "T ≥ 1.0 mV, as tall as R and 90 ms wide at half height in three chest leads; alarmed with QRS ≥ 120 ms, no P",
        f"{PART4}; Surawicz 1967; {HOUSE}",
        "urgent",
        "own",
    ),
    "HYPOK": _stt(
        "Pattern of hypokalaemia",
        "U ≥ 0.1 mV and over T in two of V2–V4, with low ST",
        f"{PART4}; Surawicz 1967; {HOUSE}",
        "abnormal",
        "own",
    ),
    "HYPOCA": _stt(
        "Pattern of hypocalcaemia",
        "ST ≥ 200 ms (at 60/min) and QTc ≥ 460 ms, QRS < 120 ms",
        f"{PART4}; Surawicz 1967; {HOUSE}",
        "abnormal",
        "own",
    ),
    "HYPERCA": _stt(
        "Pattern of hypercalcaemia",
        "ST ≤ 40 ms (at 60/min) and QTc ≤ 350 ms",
        f"{PART4}; Surawicz 1967; {HOUSE}",
        "abnormal",
        "own",
    ),
}


def _mi(text: str, rule: str, source: str = UDMI, severity: Severity = "abnormal", origin: str = "SCP") -> Entry:
    return Entry(text, origin, rule, source, "MI", severity, "infarction")


INFARCTION: dict[str, Entry] = {
    "STEMI": _mi(
        "Suspected ST-elevation infarction",
        "as STE_, ≥ 0.2 mV held through ST, with mirror depression ≥ 0.05 mV or in four leads (three from 0.3 mV); "
        "V1–V4 alone: Smith > 23.4 and a quarter of QRS; V7–V9 ≥ 0.05 mV; not in LBBB, LVH with strain or IVCD",
        f"{UDMI}; {PART6}; Smith 2012; Armstrong 2012",
        "urgent",
        "own",
    ),
    "DEWINTER": _mi(
        "Suspected occlusion of the anterior artery (de Winter)",
        "upsloping ST depression ≥ 0.1 mV under T ≥ 0.6 mV in three of V2–V6, aVR raised, under 120/min",
        "de Winter 2008",
        "urgent",
        "own",
    ),
    "SGARB": _mi(
        "Suspected infarction under left bundle branch block or pacing",
        "concordant ST elevation or (V1–V3) depression ≥ 0.1 mV, or elevation of a quarter of S; alarmed in two leads",
        "Sgarbossa 1996; Smith 2012",
        "urgent",
        "own",
    ),
    "STPOST": _mi(
        "ST depression in V1–V3: posterior infarction possible",
        "ST depression with upright T in two of V1–V3, R over S in V2; V7–V9 would tell",
        UDMI,
        "urgent",
        "own",
    ),
    "IMI": _mi("Inferior infarction", "pathological Q in II/III and aVF"),
    "ILMI": _mi("Inferolateral infarction", "IMI with LMI or ALMI"),
    "IPMI": _mi("Inferoposterior infarction", "IMI with PMI"),
    "ASMI": _mi("Anteroseptal infarction", "pathological Q or QS in V1–V3"),
    "AMI": _mi("Anterior infarction", "pathological Q or QS in V2–V4"),
    "ALMI": _mi("Anterolateral infarction", "pathological Q in V4–V6"),
    "LMI": _mi("Lateral infarction", "pathological Q in I and aVL or V5 and V6"),
    "PMI": _mi("Posterior infarction", "R over S, over 40 ms wide, with upright T in V1, QRS < 120 ms"),
    "QWAVE": _mi("Q waves", "a pathological Q outside the territories above", UDMI, "borderline"),
    "MIACUTE": _mi("Infarction looks acute", "ST still raised in two leads of its territory", UDMI, "urgent", "own"),
    "MIRECENT": _mi("Infarction looks recent", "T negative in two leads of its territory", UDMI, "abnormal", "own"),
    "MIOLD": _mi("Infarction looks old", "neither ST elevation nor T inversion in its territory", UDMI, "note", "own"),
    "PRWP": Entry("Poor R progression", "own", "R ≤ 0.3 mV in V3", "Zema & Kligfield 1979", "", "note", "infarction"),
    "S1Q3T3": Entry(
        "S1Q3T3",
        "own",
        "S in I, Q in III ≥ 0.15 mV, T negative in III",
        "McGinn & White 1935",
        "",
        "note",
        "infarction",
    ),
}

FORM: dict[str, Entry] = {**CONDUCTION, **VOLTAGE, **REPOLARISATION, **INFARCTION}
