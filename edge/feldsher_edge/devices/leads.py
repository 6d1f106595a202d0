"""Twelve leads of eight, exactly: nothing is rounded, because the augmented leads count in half units.

III = II − I, aVR = −(I + II)/2, aVL = I − II/2, aVF = II − I/2 (Einthoven and Goldberger; Kligfield et al., Circulation
2007;115:1306, table 2). In units of half a channel's unit the last three are −(I + II), 2·I − II and 2·II − I.
"""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from numpy.typing import NDArray

CHANNELS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_HALVES = ("aVR", "aVL", "aVF")


def twelve(eight: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the standard leads (12, n) of channels (8, n) in the order of CHANNELS; MISSING stays missing.

    Channels of 24 bits cannot overflow: the largest result needs 26.
    """
    one, two = eight[0], eight[1]
    out = np.concatenate([np.stack([one, two, two - one, -(one + two), 2 * one - two, 2 * two - one]), eight[2:]])
    out[:, (eight == MISSING).any(axis=0)] = MISSING
    return out


def scales(uv_per_bit: float) -> tuple[float, ...]:
    """Return the microvolts per unit of each standard lead, given those of a channel."""
    return tuple(uv_per_bit / 2 if lead in _HALVES else uv_per_bit for lead in STANDARD_LEADS)
