"""Global intervals, axes and the measurement matrix of the median beat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from feldsher_ehr_core.ecg import Measurements
from numpy.typing import NDArray

from feldsher_signal.delineate import P_OFF, P_ON, P_PEAK, QRS_OFF, QRS_ON, T_OFF, T_ON, T_PEAK

WAVE_UV = 30.0
"""The smallest wave: IEC 60601-2-25, 30 µV for at least 6 ms."""
WAVE_MS = 6.0
AXIS_LEAST_UV = 100.0
"""A QRS or T vector smaller than this in both frontal directions has no axis (P: a third of it)."""
QTC_RATES = (30.0, 150.0)
"""No QTc outside these rates: none of the four formulas was made for them."""


@dataclass(frozen=True, slots=True)
class LeadMatrix:
    """One lead of the median beat: amplitudes in µV against QRS onset (Q, S negative), durations in ms; 0 = none."""

    p: float = 0.0
    q: float = 0.0
    r: float = 0.0
    s: float = 0.0
    r2: float = 0.0
    s2: float = 0.0
    q_ms: float = 0.0
    r_ms: float = 0.0
    s_ms: float = 0.0
    peak_ms: float = 0.0
    j: float = 0.0
    st20: float = 0.0
    st40: float = 0.0
    st60: float = 0.0
    st80: float = 0.0
    t: float = 0.0
    t2: float = 0.0
    qrs_area: float = 0.0
    t_area: float = 0.0
    p2: float = 0.0

    @property
    def peak_to_peak(self) -> float:
        """The QRS from its lowest to its highest point, µV."""
        return max(self.r, self.r2, 0.0) - min(self.q, self.s, self.s2, 0.0)


def _waves(y: list[float], ms: float) -> list[tuple[float, float, float]]:
    """Return the deflections of a QRS (amplitude, duration ms, peak ms after onset) of at least the smallest wave."""
    out: list[tuple[float, float, float]] = []
    start = 0
    for end in range(1, len(y) + 1):
        if end < len(y) and (y[end] > 0) == (y[start] > 0):
            continue
        if (end - start) * ms >= WAVE_MS:
            top = max(range(start, end), key=lambda i: abs(y[i]))
            if abs(y[top]) >= WAVE_UV:
                out.append((y[top], (end - start) * ms, top * ms))
        start = end
    return out


def _named(waves: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return Q, R, S, R′, S′ by order and sign: a first negative one is Q (QS when nothing upright follows)."""
    out: dict[str, float] = {}
    for amplitude, lasts, at in waves:
        if amplitude > 0:
            name = "r" if "r" not in out else "r2"
            if amplitude <= out.get(name, 0.0):
                continue
            if name == "r":
                out["peak_ms"] = at
        elif "r" not in out:
            name = "q"
        else:
            name = "s2" if "r2" in out else "s"
        if abs(amplitude) <= abs(out.get(name, 0.0)):
            continue
        out[name] = amplitude
        if name in ("q", "r", "s"):
            out[f"{name}_ms"] = lasts
    return out


def _mean(y: list[float], a: int, b: int) -> float:
    piece = y[max(a, 0) : max(b, 0)]
    return sum(piece) / len(piece) if piece else 0.0


def _at(y: list[float], i: int, half: int) -> float:
    return _mean(y, i - half, i + half + 1)


def lead_matrix(x: NDArray[np.float32], own: NDArray[np.int64], every: NDArray[np.int64], fs: float) -> LeadMatrix:
    """Return the matrix of one lead of a median beat from its own marks and the global ones."""
    on, off = int(every[QRS_ON]), int(every[QRS_OFF])
    if on < 0 or off <= on:
        return LeadMatrix()
    half, ms = max(round(0.004 * fs), 1), 1000.0 / fs
    raw: list[float] = x.tolist()
    base = _mean(raw, on - round(0.012 * fs), on + 1)
    y = [v - base for v in raw]
    found = _named(_waves(y[on : off + 1], ms))
    for name, after in (("j", 0), ("st20", 20), ("st40", 40), ("st60", 60), ("st80", 80)):
        found[name] = _at(y, off + round(after / ms), half)
    found["qrs_area"] = sum(y[on : off + 1]) * ms / 1000
    if own[T_PEAK] >= 0:
        found |= _t_wave(y, own, half, ms)
    if own[P_PEAK] >= 0:
        found |= _p_wave(raw, own, half)
    return LeadMatrix(**found)


def _other_phase(piece: list[float], main: float) -> float:
    """Return the amplitude of a wave's phase opposite to its main one; 0 where there is none."""
    other = (min(piece) if main > 0 else max(piece)) if piece else 0.0
    return other if other * main < 0 else 0.0


def _t_wave(y: list[float], own: NDArray[np.int64], half: int, ms: float) -> dict[str, float]:
    """Return the T wave's amplitude, its other phase (if any) and its area."""
    piece = y[int(own[T_ON]) : int(own[T_OFF]) + 1]
    t = _at(y, int(own[T_PEAK]), half)
    return {"t": t, "t2": _other_phase(piece, t), "t_area": sum(piece) * ms / 1000}


def _p_wave(raw: list[float], own: NDArray[np.int64], half: int) -> dict[str, float]:
    """Return the P wave's amplitude against its own onset, and its other phase."""
    base = _at(raw, int(own[P_ON]), half)
    piece = [v - base for v in raw[int(own[P_ON]) : int(own[P_OFF]) + 1]]
    p = _at(raw, int(own[P_PEAK]), half) - base
    return {"p": p, "p2": _other_phase(piece, p)}


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
    every: NDArray[np.int64], matrix: dict[str, LeadMatrix], rate: float | None, fs: float
) -> Measurements:
    """Return the global measurements from the median beat's global marks, its matrix and the mean rate."""
    ms = 1000.0 / fs
    qt = _span(every, QRS_ON, T_OFF, ms)
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
        **(qtc(qt, rate) if qt is not None and rate is not None else {}),
        **axes,
    )


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def mean_rate(beats: NDArray[np.int64], fs: float) -> float | None:
    """Return beats per minute over the recording; None under two beats."""
    if beats.shape[0] < 2:
        return None
    return 60.0 * fs * (beats.shape[0] - 1) / float(beats[-1] - beats[0])
