"""The columns of the table of beats' traits: their names, and their places for the kernels that fill them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OWN = (
    *("early", "late", "ratio", "early_mean", "early_all", "early_long", "sum", "change", "restless", "restless_now"),
    *("before_early", "rr", "corr", "amp", "resid", "scale", "scale_rel", "spread", "spread_rel", "corr_prev"),
    *("corr_next", "p_corr", "p_size", "p_raw", "t_corr", "t_amp", "concord", "width", "width_rel", "p_like"),
    *("p_local", "p_rel", "like", "share", "usual", "fold"),
    *("early_usual", "late_usual", "near_usual", "before_corr", "after_corr", "after_early"),
)
"""Traits of the beat itself, the columns of the table in order."""
OF_GROUP = (
    *("early", "late", "corr", "scale_rel", "spread_rel", "p_corr", "width", "width_rel", "early_mean", "p_like"),
    *("t_corr", "amp", "concord", "resid", "p_size", "ratio", "sum", "p_rel"),
    *("early_usual", "near_usual"),
)
"""Traits whose median over the beat's group follows."""
SOURCE = np.array([OWN.index(name) for name in OF_GROUP])
NAMES = (*OWN, *(f"g_{name}" for name in OF_GROUP))
(EARLY, LATE, RATIO, MEAN, ALL, LONG, SUM, CHANGE, RESTLESS, NOW, BEFORE, RR) = range(12)
(CORR, AMP, RESID, SCALE, SCALE_REL, SPREAD, SPREAD_REL, PREV, NEXT) = range(12, 21)
(P, P_SIZE, P_RAW, T, T_AMP, CONCORD, WIDTH, WIDTH_REL, P_LIKE, P_LOCAL, P_REL) = range(21, 32)
(LIKE, SHARE, USUAL, FOLD, EARLY_USUAL, LATE_USUAL, NEAR_USUAL, BEFORE_CORR, AFTER_CORR, AFTER_EARLY) = range(32, 42)
