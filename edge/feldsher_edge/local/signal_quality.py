"""How good a running ECG is, lead by lead, for whoever fastens the electrodes: one word each, of two seconds.

A help for the hand at the bedside, no part of the interpretation, which judges quality by itself.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from feldsher_edge.local.words import Piece

WINDOW_S = 2.0
FLAT_UV, LARGE_UV = 30.0, 5000.0
"""Less than low-voltage QRS complexes; more than any heart gives on the skin, as when an electrode swings."""
NOISE_UV = 40.0
"""Half of all steps from sample to sample, twice differenced, over this: muscle or mains, in which waves drown."""
_HOLES = 0.02


class SignalQuality:
    """Judges the pieces of one recording as they come."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._held = 0

    def take(self, piece: Piece) -> None:
        """Take a piece; another recording than before begins anew."""
        if self._pieces and (self._pieces[-1].leads, self._pieces[-1].device) != (piece.leads, piece.device):
            self._pieces.clear()
            self._held = 0
        self._pieces.append(piece)
        self._held += len(piece.uv[0])
        while self._held - len(self._pieces[0].uv[0]) >= WINDOW_S * piece.fs:
            self._held -= len(self._pieces.popleft().uv[0])

    def words(self) -> dict[str, str]:
        """Return `good`, `noisy`, `flat`, `large` or `holes` for each lead of the last two seconds."""
        if not self._pieces:
            return {}
        leads = self._pieces[-1].leads
        return {lead: judged([v for piece in self._pieces for v in piece.uv[i]]) for i, lead in enumerate(leads)}


def judged(uv: list[int | None]) -> str:
    """Return the word for the samples of a lead in µV, None where one is missing."""
    there = np.array([value for value in uv if value is not None], dtype=np.float64)
    if len(there) < (1 - _HOLES) * len(uv) or len(there) < 3:
        return "holes"
    spread = float(there.max() - there.min())
    if spread < FLAT_UV:
        return "flat"
    if spread > LARGE_UV:
        return "large"
    return "noisy" if float(np.median(np.abs(np.diff(there, 2)))) > NOISE_UV else "good"
