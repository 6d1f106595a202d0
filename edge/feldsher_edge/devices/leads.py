"""Leads of channels, exactly: nothing is rounded, because the augmented leads count in half units.

III = II − I, aVR = −(I + II)/2, aVL = I − II/2, aVF = II − I/2 (Einthoven and Goldberger; Kligfield et al., Circulation
2007;115:1306, table 2). In units of half a channel's unit the last three are −(I + II), 2·I − II and 2·II − I.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

CHANNELS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_HALVES = ("aVR", "aVL", "aVF")
_LIMB = ("I", "II", "III", *_HALVES)


class Leads:
    """The leads that channels give: those wired, and III, aVR, aVL, aVF where I and II are there in the same unit.

    `channels`: the lead of each channel, a channel of another lead ignored where it can be computed; `uv_per_bit`:
    microvolts per unit of each channel. `names` and `scales` are of the leads, in the standard order.
    """

    def __init__(self, channels: Sequence[str], uv_per_bit: Sequence[float]) -> None:
        self.channels = tuple(channels)
        scale = dict(zip(self.channels, uv_per_bit, strict=True))
        self._computed = "I" in scale and "II" in scale and scale["I"] == scale["II"]
        there = {*scale, *_LIMB} if self._computed else set(scale)
        self.names = tuple(name for name in STANDARD_LEADS if name in there)
        unit = scale["I"] if self._computed else 0.0
        limb = {name: unit / 2 if name in _HALVES else unit for name in _LIMB} if self._computed else {}
        self.scales = tuple((scale | limb)[name] for name in self.names)

    def of(self, samples: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the leads (leads, n) of channels (channels, n); MISSING stays missing.

        Channels of 24 bits cannot overflow: the largest result needs 26.
        """
        rows = dict(zip(self.channels, samples, strict=True))
        if self._computed:
            one, two = rows["I"], rows["II"]
            limb = (one, two, two - one, -(one + two), 2 * one - two, 2 * two - one)
            rows |= dict(zip(_LIMB, limb, strict=True))
        out = np.stack([rows[name] for name in self.names])
        out[:, (samples == MISSING).any(axis=0)] = MISSING
        return out

    def that_need(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Return the leads that cannot be measured where these channels cannot."""
        bad = set(channels)
        if self._computed and bad & {"I", "II"}:
            bad |= set(_LIMB) - {"I", "II"}
        return tuple(name for name in self.names if name in bad)


def twelve(uv_per_bit: float) -> Leads:
    """Return the twelve leads of our kit's eight channels, given the microvolts per unit of a channel."""
    return Leads(CHANNELS, (uv_per_bit,) * len(CHANNELS))
