"""Which statement takes others away, because it explains what they would be stated from."""

from __future__ import annotations

from dataclasses import replace

from feldsher_signal.findings import Verdict
from feldsher_signal.registry import FIRST, LAST, REGISTRY
from feldsher_signal.repolarisation import TERRITORIES

_PHASE = ("MIACUTE", "MIRECENT", "MIOLD")
_Q_WAVES = ("IMI", "ILMI", "IPMI", "ASMI", "AMI", "ALMI", "LMI", "PMI", "QWAVE", *_PHASE)
_ISCHAEMIA = ("ISC_", *TERRITORIES)
_STT = ("STD_", "STSPREAD", "STPOST", "INVT", "NDT", *_ISCHAEMIA)
_OCCLUSION = ("STEMI", "DEWINTER", "STPOST")
_RAISED = ("STE_", "EARLY", "PERI", "BRUG1")
_BLOOD = ("HYPOK", "HYPOCA", "HYPERCA")
_CHAMBERS = ("LVH", "VCLVH", "RVH", "BVH")
_FORM = (*_CHAMBERS, *_Q_WAVES, "PRWP", "S1Q3T3", *_RAISED, *_STT, *_OCCLUSION, "IVCD", *_BLOOD)
"""What only normally conducted beats can show: statements of form, from voltage, Q waves, ST and T."""
_DRIVEN = ("RUND", "JUNC", "VESC", "CLBBB", "CRBBB", "ILBBB", "IRBBB", "LAFB", "LPFB", "LNGQT")
"""What a driven ventricle shows whatever its own conduction is."""
_SINUS = ("SR", "SBRAD", "STACH", "SARRH", "RUND")
_ORIGIN = ("ATR", "JUNC", "VESC")
_P_WAVES = ("LAO/LAE", "RAO/RAE", "WPW")
_FLUTTER = (*_SINUS, *_ORIGIN, "AFIB", "SVTAC", "PAC", "PSVT", "1AVB", "2AVB", "SHPR", "DROP", "SAB", "LNGQT", "HYPOCA")
"""What flutter waves are mistaken for: P waves, ends of T waves, beats of changing conduction for early or dropped."""
SUPPRESSED: dict[str, tuple[str, ...]] = {
    "CLBBB": _FORM,
    "CRBBB": (
        "DEWINTER",
        "STPOST",
        "INVT",
        "NDT",
        "RVH",
        "BVH",
        "IVCD",
        "PMI",
        "IPMI",
        "BRUG1",
        "EARLY",
        "ISCAN",
        "ISCAS",
    ),
    "IVCD": (*_OCCLUSION, "STD_", "EARLY", "PERI"),
    "PACE": (*_FORM, *_DRIVEN),
    "APACE": ("RUND", "ATR"),
    "LVH": (*_OCCLUSION, *_STT, "EARLY", "PERI", "PRWP"),
    "VCLVH": ("STPOST", "PRWP"),
    "RVH": ("STPOST", "PMI", "IPMI"),
    "BVH": ("LVH", "VCLVH", "RVH"),
    "2AVB": ("1AVB", "AFIB", "RUND", "SARRH", "SBRAD", "SVTAC", "JUNC", "VESC"),
    "SAB": ("SARRH",),
    "DROP": ("SARRH",),
    "SVTAC": ("RUND",),
    "3AVB": ("1AVB", "SHPR", "AFIB", "RUND", "SR", "SBRAD", "SARRH", "PVC", "IVR", *_ORIGIN, *_P_WAVES),
    "AFIB": ("1AVB", "SHPR", *_ORIGIN, *_P_WAVES),
    "AFLT": (*_FLUTTER, *_P_WAVES),
    "ATR": (*_SINUS, "LAO/LAE", "RAO/RAE"),
    "JUNC": (*_SINUS, "SHPR", "SVTAC", *_P_WAVES),
    "VESC": ("RUND",),
    "VTAC": ("SR", "SBRAD", "STACH"),
    "LAFB": ("LAD", "PRWP"),
    "LPFB": ("RAD", "LMI"),
    "WPW": (*_Q_WAVES, *_STT, "IVCD", "CLBBB", "ILBBB", "SHPR", "PRWP", "LVH", "VCLVH"),
    "PERI": ("STEMI", "STE_", "EARLY"),
    "EARLY": ("STE_",),
    "BRUG1": ("STE_", "STEMI", "IRBBB"),
    "STEMI": _PHASE,
    "DEWINTER": ("HYPERK",),
    "ILMI": ("IMI", "LMI", "ALMI"),
    "IPMI": ("IMI", "PMI"),
    "ASMI": ("AMI",),
    "STSPREAD": ("STD_", *_ISCHAEMIA),
}
"""AHA/ACCF/HRS 2009 parts III–VI: no hypertrophy by voltage and no infarct by Q in left bundle branch block, secondary
ST–T changes; a statement of two walls or chambers takes the place of those of one."""
DISORDERED = ("VFIB", "WCT", "NOTREAD")
"""Without organised complexes, without knowing where they come from or with too few, nothing is said of their form."""
KEPT = frozenset((*FIRST, *LAST, "VFIB", "WCT", "ASYST", "PAUSE", "PACE", "APACE"))
"""What is still said when complexes are disordered."""
_LIMB = ("LAD", "RAD", "XAD", "AXIND", "LAFB", "LPFB", "IMI", "ILMI", "IPMI", "LMI", "QWAVE", *_PHASE, "S1Q3T3")
_CHEST = ("ASMI", "AMI", "ALMI", "PMI", "QWAVE", *_PHASE, "PRWP", "IRBBB")
_SHARED = (*_RAISED, *_STT, "DEWINTER", "STPOST", "RVH", "BVH")
HIDES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("REVARM", "REVLEG", "REVFLAT", "DEXTRO"), (*_LIMB, *_SHARED, "LVOLT", "LAO/LAE", "RAO/RAE", "ATR")
    ),
    "REVLEFT": ("LAD", "IMI", "ILMI", "IPMI", "LAFB", "ATR"),
    "REVCHEST": (*_CHEST, *_SHARED),
}
"""Not stated when limb or chest electrodes seem to be in each other's place; a suspected infarction is (IF_RIGHT)."""
IF_RIGHT = "only if the electrodes are where they belong"
"""Said of STEMI beside a suspected exchange, which is itself only possible and must not hide it."""
_BRANCH = ("CRBBB", "CLBBB")
_ESCAPED = (*_CHAMBERS, *_Q_WAVES, "PRWP", "S1Q3T3", "IVCD", *_STT)
"""What a ventricular escape hides too, unless it has the form of a bundle branch block: then it may as well come from
the AV junction, and its form is read."""
BLOCKED = ("CLBBB", "PACE")
"""Beside which alone Sgarbossa's criteria are stated."""


EXPLAINED = frozenset(("LVH", "LAFB", "LPFB", "BVH", "ILMI", "IPMI", "ASMI", "STSPREAD"))
"""Beside these what they hide is there all the same, only said already: its score stands."""


def hidden(found: list[Verdict]) -> dict[str, bool]:
    """Return the codes that others take away, and whether their scores stand; what is taken away hides nothing."""
    stated = [v.code for v in found if v.stated]
    out: dict[str, bool] = {} if any(code in BLOCKED for code in stated) else {"SGARB": False}
    if "VESC" in stated and not any(code in stated for code in _BRANCH):
        out |= dict.fromkeys(_ESCAPED, False)
    for code in DISORDERED:
        if code in stated:
            out |= {c: False for c in REGISTRY if c not in KEPT and c != code}
    for hides in (HIDES, SUPPRESSED):
        for code in stated:
            if code not in out:
                for other in hides.get(code, ()):
                    out[other] = out.get(other, True) and code in EXPLAINED
    return out


def settle(found: list[Verdict]) -> list[Verdict]:
    """Return the verdicts, those that others explain taken back, and their score lowered where it no longer holds."""
    gone = hidden(found)
    doubted = any(v.stated and v.code in HIDES for v in found)
    out: list[Verdict] = []
    for v in found:
        if v.code == "STEMI" and v.stated and doubted and v.code not in gone:
            out.append(replace(v, because=(*v.because, IF_RIGHT), certainty="possible"))
        elif v.code in gone:
            kept = v.score if gone[v.code] else 0.4 * v.score
            out.append(replace(v, stated=False, critical=False, score=kept))
        else:
            out.append(v)
    return out
