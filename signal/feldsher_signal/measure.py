"""Global intervals and axes of the median beat, rate and QTc."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from feldsher_ehr_core.ecg import LeadMatrix, Measurements
from numpy.typing import NDArray

from feldsher_signal import order
from feldsher_signal.delineate import P_OFF, P_ON, QRS_OFF, QRS_ON, T_OFF

AXIS_LEAST_UV = 100.0
"""A QRS or T vector smaller than this in both frontal directions has no axis (P: a third of it)."""
AREA_LEAST_UVS = 2.0
"""The same for net areas: 0.1 mV for 20 ms."""
QTC_RATES = (30.0, 150.0)
"""No QTc outside these rates: none of the four formulas was made for them."""


def axis(i: float | None, avf: float | None, least: float) -> float | None:
    """Return the frontal axis in degrees (−180 … 180) from the net deflections in I and aVF; None where indeterminate.

    aVF is the augmented lead, 2/√3 too small beside I: Macfarlane et al., Comprehensive Electrocardiology, 2011.
    """
    if i is None or avf is None:
        return None
    y = avf * 2 / math.sqrt(3)
    if abs(i) < least and abs(y) < least:
        return None
    return math.degrees(math.atan2(y, i))


def area_axis(matrix: Mapping[str, LeadMatrix]) -> float | None:
    """Return the frontal axis of the QRS in degrees from its net areas in I and aVF (Macfarlane 2011); None without."""
    i, avf = matrix.get("I"), matrix.get("aVF")
    return axis(i.qrs_area, avf.qrs_area, AREA_LEAST_UVS) if i is not None and avf is not None else None


def qtc(qt: float, rate: float) -> dict[str, float]:
    """Return QTc in ms by four formulas from QT in ms and the rate per minute.

    Bazett 1920: QT/√RR; Fridericia 1920: QT/∛RR; Framingham (Sagie 1992): QT + 154 (1 − RR); Hodges 1983:
    QT + 1.75 (rate − 60); RR in seconds.
    """
    if not QTC_RATES[0] <= rate <= QTC_RATES[1]:
        return {}
    rr = 60.0 / rate
    return {
        "qtc_bazett": round(qt / math.sqrt(rr), 1),
        "qtc_fridericia": round(qt / rr ** (1 / 3), 1),
        "qtc_framingham": round(qt + 154 * (1 - rr), 1),
        "qtc_hodges": round(qt + 1.75 * (rate - 60), 1),
    }


def frontal(matrix: dict[str, LeadMatrix], what: str) -> tuple[float | None, float | None]:
    """Return the net deflection of I and of aVF; aVF from I and II where it was not recorded (aVF = II − I/2)."""

    def net(lead: str) -> float | None:
        m = matrix.get(lead)
        if m is None:
            return None
        if what == "qrs":
            return max(m.r, m.r2, 0.0) + min(m.q, m.s, m.s2, 0.0)
        return m.p + m.p2 if what == "p" else m.t

    i, avf, ii = net("I"), net("aVF"), net("II")
    if avf is None and i is not None and ii is not None:
        avf = ii - 0.5 * i
    return i, avf


def _span(every: NDArray[np.int64], a: int, b: int, ms: float) -> float | None:
    return round(float(every[b] - every[a]) * ms, 1) if every[a] >= 0 and every[b] >= 0 else None


def measurements(
    every: NDArray[np.int64], matrix: dict[str, LeadMatrix], rate: float | None, fs: float, qt_rate: float | None = None
) -> Measurements:
    """Return the global measurements from the median beat's global marks, its matrix and the mean rate.

    `qt_rate`: the rate that its QT belongs to (`rate_before`), where it is another. A T wave that would end only after
    the next P wave begins has swallowed it: its end is not known, and QT is not given.
    """
    ms = 1000.0 / fs
    qt_rate = rate if qt_rate is None else qt_rate
    qt = None if _swallowed(every, qt_rate, fs) else _span(every, QRS_ON, T_OFF, ms)
    axes = {
        f"axis_{name}": _round(axis(*frontal(matrix, name), AXIS_LEAST_UV / (3 if name != "qrs" else 1)))
        for name in ("p", "qrs", "t")
    }
    return Measurements(
        rate=_round(rate),
        pr=_span(every, P_ON, QRS_ON, ms),
        p_dur=_span(every, P_ON, P_OFF, ms),
        qrs=_span(every, QRS_ON, QRS_OFF, ms),
        qt=qt,
        **(qtc(qt, qt_rate) if qt is not None and qt_rate is not None else {}),
        **axes,
    )


def _swallowed(every: NDArray[np.int64], rate: float | None, fs: float) -> bool:
    """Return whether the T wave ends after the next beat's P wave begins, at a rate per minute."""
    if rate is None or every[P_ON] < 0 or every[T_OFF] < 0:
        return False
    return bool(every[T_OFF] > every[P_ON] + 60.0 * fs / rate)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def heard(beats: NDArray[np.int64], silent: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return which intervals between beats lie wholly where the signal could be judged: `silent` (from, to) is not."""
    out = np.ones(max(beats.shape[0] - 1, 0), np.bool_)
    for start, end in silent:
        out &= (beats[:-1] >= end) | (beats[1:] <= start)
    return out


def mean_rate(beats: NDArray[np.int64], fs: float, silent: Sequence[tuple[int, int]] = ()) -> float | None:
    """Return beats per minute over what could be judged of the recording; None without an interval."""
    rr = order.steps(beats)[heard(beats, silent)]
    return 60.0 * fs * rr.shape[0] / float(rr.sum()) if rr.size else None


def rate_before(
    beats: NDArray[np.int64], chosen: NDArray[np.int64], fs: float, silent: Sequence[tuple[int, int]] = ()
) -> float | None:
    """Return the rate of the median interval before the `chosen` beats (indices); None without one that was judged.

    QT follows the interval before it: pauses and early beats elsewhere change the mean rate, not the QT of these beats
    (AHA/ACCF/HRS 2009 part IV advises against correcting it where intervals vary; the usual one is what is left).
    """
    before = chosen[chosen > 0] - 1
    rr = order.steps(beats)[before[heard(beats, silent)[before]]]
    return 60.0 * fs / order.median(rr) if rr.size else None
