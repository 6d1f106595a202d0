"""Heart vectors of synthetic patients: waves as Gaussians in time, projected on the leads.

Gaussian waves: McSharry et al., IEEE Trans Biomed Eng 2003;50:289 (ECGSYN), here as a moving dipole with three
components as in Sameni et al., EURASIP J Adv Signal Process 2007:043407, and in time rather than in phase, so that a
wave keeps its duration when the rate changes. Chest leads come from the dipole by Dower's matrix (Dower, Machado,
Osborne, Clin Cardiol 1980;3:87); a wave's frontal part is given in Einthoven's triangle (lead I at 0°, II at 60°), so
that an axis asked for is the axis that leads I and aVF show.

The onsets and ends of the ground truth: P and T waves last from 2.5 standard deviations before their first Gaussian to
2.5 after their last (4 % of the peak is left there), QRS complexes 3 (1 %): about 10 µV in either case, which a reader
of paper can just see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EDGE = 2.5
"""Standard deviations from the centre of a Gaussian to where a P or T wave counts as begun or ended."""

Form = Literal["normal", "LBBB", "RBBB", "ventricular", "paced"]
Region = Literal["anterior", "lateral", "inferior", "posterior", "diffuse"]
Vector = NDArray[np.float64]

# Dower 1980: I, II, V1 … V6 from X (left), Y (down), Z (back).
DOWER = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)


@dataclass(frozen=True, slots=True)
class Gauss:
    """One Gaussian of the heart vector: centre and widths before and after it (s), peak vector (X, Y, Z in mV)."""

    centre: float
    before: float
    after: float
    peak: Vector

    def at(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the vector (3, n) at times t (s)."""
        width = np.where(t < self.centre, self.before, self.after)
        return self.peak[:, None] * np.exp(-0.5 * ((t - self.centre) / width) ** 2)


@dataclass(frozen=True, slots=True)
class _Part:
    """A Gaussian of a QRS as parts of its duration: centre, width, frontal mV and degrees, Z in mV."""

    centre: float
    width: float
    frontal: float
    angle: float
    z: float


# Septum (right, forward), free wall (the axis), base (back). RBBB: the right ventricle comes last, right and forward.
# LBBB and ventricular beats: no septal vector, slow and notched.
_PARTS: dict[Form, tuple[_Part, ...]] = {
    "normal": (
        _Part(0.22, 0.073, 0.14, 160, -0.30),
        _Part(0.46, 0.100, 1.05, 0, 0.30),
        _Part(0.74, 0.087, 0.18, 190, 0.60),
    ),
    "RBBB": (
        _Part(0.16, 0.053, 0.14, 160, -0.30),
        _Part(0.32, 0.075, 1.05, 0, 0.45),
        _Part(0.66, 0.113, 0.42, 180, -0.70),
    ),
    "LBBB": (
        _Part(0.30, 0.100, 0.70, 10, 0.35),
        _Part(0.50, 0.100, 0.85, 0, 1.00),
        _Part(0.72, 0.093, 0.85, -10, 0.80),
    ),
    "ventricular": (
        _Part(0.32, 0.107, 0.80, 15, -0.40),
        _Part(0.52, 0.100, 1.60, 0, -0.90),
        _Part(0.72, 0.093, 0.60, -20, -0.20),
    ),
    "paced": (
        _Part(0.30, 0.100, 0.70, 10, 0.30),
        _Part(0.50, 0.100, 1.20, 0, 0.90),
        _Part(0.72, 0.093, 0.70, -10, 0.70),
    ),
}
# Injury and T changes by region: frontal part and degrees, Z, the lead whose millivolts are meant (row of DOWER, with
# aVF as -1) and its sign: a posterior injury is read as depression in V2.
_REGIONS: dict[Region, tuple[float, float, float, int, float]] = {
    "anterior": (0.1, 0, -1.0, 3, 1.0),
    "lateral": (1.0, -15, 0.0, 6, 1.0),
    "inferior": (1.0, 105, 0.1, -1, 1.0),
    "posterior": (0.1, 60, 1.0, 3, -1.0),
    "diffuse": (1.0, 50, -0.3, 1, 1.0),
}


_FRONTAL = np.linalg.inv(DOWER[:2, :2])


def vector(frontal: float, degrees: float, z: float) -> Vector:
    """Return X, Y, Z (mV) whose leads I and II are those of a frontal vector in Einthoven's triangle."""
    angle = math.radians(degrees)
    wanted = frontal * np.array([math.cos(angle), math.cos(math.radians(60) - angle)]) - DOWER[:2, 2] * z
    return np.append(_FRONTAL @ wanted, z)


def region(name: Region, millivolts: float) -> Vector:
    """Return the vector that shows `millivolts` in the region's lead: V2, V5, aVF, -V2 or II."""
    frontal, degrees, z, row, sign = _REGIONS[name]
    direction = vector(frontal, degrees, z)
    weights = DOWER[1] - DOWER[0] / 2 if row < 0 else DOWER[row]
    return direction * (sign * millivolts / float(weights @ direction))


def qrs(form: Form, onset: float, duration: float, axis: float, voltage: float) -> list[Gauss]:
    """Return the QRS complex from `onset` (s), `duration` seconds long, with its net frontal axis at `axis`."""
    parts = _PARTS[form]
    net = sum(part.frontal * part.width * complex(np.exp(1j * math.radians(part.angle))) for part in parts)
    turn = axis - math.degrees(math.atan2(net.imag, net.real))
    return [
        Gauss(
            onset + part.centre * duration,
            part.width * duration,
            part.width * duration,
            voltage * vector(part.frontal, part.angle + turn, part.z),
        )
        for part in parts
    ]


@lru_cache(maxsize=256)
def r_after(form: Form, duration: float, axis: float) -> float:
    """Return how long after its onset (s) a QRS vector is longest."""
    t = np.linspace(0, duration, 161)
    total = sum((gauss.at(t) for gauss in qrs(form, 0.0, duration, axis, 1.0)), start=np.zeros((3, 161)))
    return float(t[np.argmax(np.linalg.norm(total, axis=0))])


def repolarisation(form: Form, axis: float) -> Vector | None:
    """Return the peak T vector that a wide beat has: against its QRS; None where the patient's own T holds."""
    if form == "normal":
        return None
    if form == "RBBB":
        return vector(0.25, axis, 0.10)
    main = _PARTS[form][1]
    return vector(0.35 * main.frontal, axis + 180, -0.45 * main.z)


def p_wave(onset: float, duration: float, axis: float, scale: float) -> list[Gauss]:
    """Return a P wave: right atrium forward, left atrium back."""
    width = 0.38 * duration / EDGE
    first, second = vector(0.10 * scale, axis, -0.05 * scale), vector(0.09 * scale, axis - 10, 0.06 * scale)
    return [
        Gauss(onset + 0.38 * duration, width, width, first),
        Gauss(onset + 0.62 * duration, width, width, second),
    ]


def t_wave(peak: float, rise: float, fall: float, amplitude: Vector) -> Gauss:
    """Return a T wave that peaks at `peak` (s), rises for `rise` and falls for `fall` seconds."""
    return Gauss(peak, rise / EDGE, fall / EDGE, amplitude)


def plateau(t: NDArray[np.float64], j: float, end: float, shift: Vector) -> NDArray[np.float64]:
    """Return an ST segment (3, n) shifted by a vector from the J point (full there) to `end`, the peak of T."""
    rise = 0.5 * (1 + np.tanh((t - j + 0.012) / 0.006))
    fall = 0.5 * (1 - np.tanh((t - end) / 0.035))
    return shift[:, None] * (rise * fall)
