"""The recording that travels through feldsher: integer samples with their scale, never rescaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MISSING = np.int32(-(2**31))
"""A sample that was not measured (lost frame, invalid in the source file)."""
EXACT = 2**24
"""Whole numbers up to this are float32."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An electrocardiogram as sampled.

    `leads`: names, one per row of `samples`; `fs`: samples per second; `samples`: int32 (leads, n), MISSING where not
    measured; `uv_per_bit`: microvolts per unit, one per lead; `baseline`: the unit that means 0 µV, one per lead.
    """

    leads: tuple[str, ...]
    fs: float
    samples: NDArray[np.int32]
    uv_per_bit: tuple[float, ...]
    baseline: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Samples per lead."""
        return int(self.samples.shape[1])

    def microvolts(self) -> NDArray[np.float32]:
        """Return the samples in µV, float32 (leads, n), NaN where missing."""
        scale = np.array(self.uv_per_bit, dtype=np.float64)[:, None]
        if self._exact(scale):
            return self.samples.astype(np.float32) * scale.astype(np.float32)
        counted = self.samples - np.array(self.baseline, dtype=np.float64)[:, None] if self.baseline else self.samples
        out = np.empty(self.samples.shape, np.float32)
        # Computed in float64 and stored at once: no whole recording lies in memory in between.
        np.multiply(counted, scale, out=out, casting="same_kind")
        missing = self.samples == MISSING
        if missing.any():
            out[missing] = np.nan
        return out

    def _exact(self, scale: NDArray[np.float64]) -> bool:
        """Return whether samples and scale are float32 as they are, none missing: a product is rounded once then."""
        if any(self.baseline) or not self.samples.size or not (scale == scale.astype(np.float32)).all():
            return False
        return int(self.samples.min()) >= -EXACT and int(self.samples.max()) <= EXACT

    def only(self, lead: int) -> Recording:
        """Return the recording of one lead alone, by row."""
        base = (self.baseline[lead],) if self.baseline else ()
        return Recording((self.leads[lead],), self.fs, self.samples[lead : lead + 1], (self.uv_per_bit[lead],), base)
