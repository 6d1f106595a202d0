"""What learned scores weigh: numbers of the matrix, of the heart's vectors, of the intervals, and what rules say."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS, LeadMatrix
from numpy.typing import NDArray

from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.jit import inner, kernel
from feldsher_signal.order import median, steps

Floats = NDArray[np.float64]

BY_LEAD = {
    "Q": "mV", "Q lasts": "ms", "Q/R": "", "R": "mV", "S": "mV", "R′": "mV", "R peak": "ms",
    "ST60": "mV", "ST80": "mV", "T": "mV", "T′": "mV", "T/R": "",
    "ST slope": "mV/s",
}  # fmt: skip
"""What is taken of each of the twelve leads, with its unit; Q and S as depths (a QS counts as both)."""
FORM = {
    "QRS left": "µV·s", "QRS down": "µV·s", "QRS back": "µV·s", "T left": "µV·s", "T down": "µV·s", "T back": "µV·s",
    "QRS-T angle": "°", "gradient": "µV·s", "T size": "µV·s", "left axis": "°", "right axis": "°", "T axis off": "°",
    "Sokolow": "mV", "Cornell": "mV", "Cornell product": "mV", "Peguero": "mV", "P end in V1": "mV", "P in II": "mV",
    "strain": "mV", "T lateral": "mV", "T inferior": "mV", "T anterior": "mV", "T lowest lateral": "mV",
    "T lowest": "mV", "T/R lateral": "", "ST80 lateral": "mV", "ST60 inferior": "mV", "ST60 anterior": "mV",
}  # fmt: skip
"""What the leads say together, with units; left, right axis: degrees beyond 0° and 75°; T axis off: from 40°."""
WHOLE = {
    "age": "years", "male": "", "QRS lasts": "ms", "QRS axis": "°", "rate": "/min", "PR": "ms", "P lasts": "ms",
    "QTc": "ms", "P share": "", "P likeness": "", "ectopy share": "", "RR change": "",
}  # fmt: skip
"""What is known of the person, the intervals and the rhythm, with units."""
RULES = (
    "NORM", "SR", "AFIB", "PVC", "PAC", "LAD", "1AVB", "CRBBB", "CLBBB", "IRBBB", "ILBBB", "IVCD", "LAFB", "LPFB",
    "WPW", "LVH", "VCLVH", "RVH", "LAO/LAE", "RAO/RAE", "LNGQT", "STE_", "STEMI", "STD_", "INVT", "NDT", "ISC_",
    "IMI", "ASMI", "AMI", "ALMI", "LMI", "QWAVE",
)  # fmt: skip
"""The rules whose scores are weighed, as log-odds."""
SURE = 0.003
"""A rule's score is held this far from 0 and 1, so that its log-odds stay within ±5.8."""
FEATURES: tuple[str, ...] = (
    *(f"{kind} in {lead}" for kind in BY_LEAD for lead in STANDARD_LEADS),
    *(*FORM, *WHOLE),
    *(f"rule {code}" for code in RULES),
)
"""Every trait in the order of `evidence`."""

_UNITS = {f"{kind} in {lead}": unit for kind, unit in BY_LEAD.items() for lead in STANDARD_LEADS} | FORM | WHOLE
_AT = {name: k for k, name in enumerate(LeadMatrix.__struct_fields__)}
_NONE = (math.nan,) * len(_AT)
_P, _P2, _Q, _Q_MS, _R, _S, _R2, _S2 = (_AT[name] for name in ("p", "p2", "q", "q_ms", "r", "s", "r2", "s2"))
_PEAK, _ST60, _ST80, _SLOPE, _T, _T2 = (_AT[name] for name in ("peak_ms", "st60", "st80", "st_slope", "t", "t2"))
_QRS_AREA, _T_AREA = _AT["qrs_area"], _AT["t_area"]
_I, _II, _AVL, _AVF, _V1, _V2, _V3, _V4, _V5, _V6 = 0, 1, 4, 5, 6, 7, 8, 9, 10, 11
_MALE, _QRS_MS, _AXIS = 1, 2, 3

KORS: Floats = np.array(
    [
        [0.38, -0.07, -0.13, 0.05, -0.01, 0.14, 0.06, 0.54],
        [-0.07, 0.93, 0.06, -0.02, -0.05, 0.06, -0.17, 0.13],
        [0.11, -0.23, -0.43, -0.06, -0.14, -0.20, -0.11, 0.31],
    ]
)
"""Leads I, II, V1–V6 to X (left), Y (down), Z (back), by regression: Kors et al., Eur Heart J 1990;11:1083."""


@inner
def _less(a: float, b: float) -> float:
    """Return the smaller of two, NaN where either is: `min` keeps whichever comes first."""
    return a if a < b or np.isnan(a) else b


@inner
def _vector(table: Floats, column: int, out: Floats) -> None:
    """Write an area's vector (left, down, back) in µV·s."""
    for way in range(3):
        out[way] = KORS[way, 0] * table[_I, column] + KORS[way, 1] * table[_II, column]
        for k in range(6):
            out[way] += KORS[way, 2 + k] * table[_V1 + k, column]


@inner
def _angles(out: Floats, axis: float, axis_t: float) -> None:
    """Write the angle in space between QRS and T, Wilson's gradient (their sum), T's size and the axes."""
    dot = out[0] * out[3] + out[1] * out[4] + out[2] * out[5]
    qrs = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    t = math.sqrt(out[3] ** 2 + out[4] ** 2 + out[5] ** 2)
    out[6] = math.degrees(math.acos(min(max(dot / (qrs * t), -1.0), 1.0))) if qrs * t > 0 else math.nan
    out[7] = math.sqrt((out[0] + out[3]) ** 2 + (out[1] + out[4]) ** 2 + (out[2] + out[5]) ** 2)
    out[8] = t
    out[9] = math.nan if np.isnan(axis) else (max(-axis, 0.0) if axis > -120 else 60.0)
    out[10] = math.nan if np.isnan(axis) else max(axis - 75.0, 0.0)
    out[11] = abs((axis_t - 40.0 + 180.0) % 360.0 - 180.0)


@kernel("void(f8[:, ::1], f8, f8, f8, f8, f8[:, ::1], f8[::1])")
def form(table: Floats, male: float, qrs_ms: float, axis: float, axis_t: float, by_lead: Floats, out: Floats) -> None:
    """Write the traits of each lead into `by_lead` (kinds of BY_LEAD, 12) and those of FORM into `out`.

    `table`: LeadMatrix by lead (12, fields), a row of NaN where a lead is missing; axes in degrees.
    """
    for k in range(12):
        row = table[k]
        q, r, t = -row[_Q] / 1000, max(row[_R], row[_R2]) / 1000, row[_T] / 1000
        s = max(-row[_S], -row[_S2]) / 1000
        by_lead[0, k], by_lead[1, k], by_lead[2, k] = q, row[_Q_MS], q / (q + r + 0.001)
        by_lead[3, k], by_lead[4, k], by_lead[5, k] = r, s if r > 0 else max(s, q), row[_R2] / 1000
        by_lead[6, k], by_lead[7, k], by_lead[8, k] = row[_PEAK], row[_ST60] / 1000, row[_ST80] / 1000
        by_lead[9, k], by_lead[10, k] = t, row[_T2] / 1000
        by_lead[11, k], by_lead[12, k] = min(max(t / max(r, 0.2), -1.0), 1.5), row[_SLOPE]
    _vector(table, _QRS_AREA, out[0:3])
    _vector(table, _T_AREA, out[3:6])
    _angles(out, axis, axis_t)
    r, s, st60, st80, t, tr = by_lead[3], by_lead[4], by_lead[7], by_lead[8], by_lead[9], by_lead[11]
    out[12] = s[_V1] - _less(-r[_V5], -r[_V6])
    out[13] = r[_AVL] + s[_V3]
    # Molloy 1992: women's Cornell voltage is given 0.8 mV (then 0.6); here per 100 ms of QRS.
    out[14] = (out[13] + 0.8 * (1.0 - male)) * qrs_ms / 100
    out[15] = s.max() + s[_V4]
    out[16] = -_less(_less(table[_V1, _P2], table[_V1, _P]), 0.0) / 1000
    out[17] = table[_II, _P] / 1000
    out[18] = _less(st80[_V5], st80[_V6])
    out[19] = (t[_I] + t[_V5] + t[_V6]) / 3
    out[20] = (t[_II] + t[_AVF]) / 2
    out[21] = (t[_V2] + t[_V3] + t[_V4]) / 3
    out[22] = _less(_less(t[_I], t[_V5]), t[_V6])
    out[23] = _less(_less(out[22], t[_II]), _less(t[_V3], t[_V4]))
    out[24] = (tr[_I] + tr[_V5] + tr[_V6]) / 3
    out[25] = (st80[_I] + st80[_V5] + st80[_V6]) / 3
    out[26] = (st60[_II] + st60[_AVF]) / 2
    out[27] = (st60[_V2] + st60[_V3] + st60[_V4]) / 3


def evidence(f: Findings, found: Iterable[Verdict]) -> Floats:
    """Return the traits of a recording in the order of FEATURES; NaN where something was not measured or not judged."""
    table = np.array([msgspec.structs.astuple(f.matrix[x]) if x in f.matrix else _NONE for x in STANDARD_LEADS])
    whole = _whole(f)
    judged = {v.code: v.score for v in found}
    said = [_log_odds(judged[code]) if code in judged else math.nan for code in RULES]
    row = np.empty(len(FEATURES))
    leads = len(BY_LEAD) * 12
    after = leads + len(FORM)
    form(
        table, whole[_MALE], whole[_QRS_MS], whole[_AXIS], _known(f.measured.axis_t),
        row[:leads].reshape(len(BY_LEAD), 12), row[leads:after],
    )  # fmt: skip
    row[after:] = [*whole, *said]
    return row


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _log_odds(score: float) -> float:
    p = min(max(score, SURE), 1 - SURE)
    return math.log(p / (1 - p))


def _whole(f: Findings) -> list[float]:
    """Return the traits of WHOLE in their order."""
    m, n = f.measured, len(f.kinds)
    rr = steps(f.r)
    change = median(np.abs(steps(rr))) / median(rr) if n > 3 else math.nan
    male = {"male": 1.0, "female": 0.0}.get(f.subject.sex, math.nan)
    intervals = (m.qrs, m.axis_qrs, m.rate, m.pr, m.p_dur, m.qtc_fridericia)
    like = median(f.p_like)
    ectopic = (f.kinds.count("S") + f.kinds.count("V")) / n if n else math.nan
    return [_known(f.subject.age), male, *(_known(v) for v in intervals), f.p_share, like, ectopic, change]


def words(name: str, value: float) -> str:
    """Return a trait and its value as a reason says them, such as `T in V5 0.05 mV`; a rule by its score."""
    if value != value:
        return f"{name} not known"
    if name.startswith("rule "):
        score = f"{1 / (1 + math.exp(-value)):.2f}"
        return f"all other rules leave {score}" if name == "rule NORM" else f"{name} {score}"
    if name == "male":
        return "male" if value > 0.5 else "female"
    unit = _UNITS[name]
    return f"{name} {value:.{2 if unit in ('mV', 'mV/s', '') else 0}f}{'' if unit in ('°', '') else ' '}{unit}"
