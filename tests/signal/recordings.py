"""Random recordings for the tests of the writers: whole samples, gaps, scales and baselines of all kinds."""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS, Subject
from feldsher_signal.formats import Content, Filters
from feldsher_signal.record import MISSING, Recording
from hypothesis import strategies as st

SCALES = (0.5, 1.0, 1.25, 2.5, 4.88, 5.0)


@st.composite
def contents(draw: st.DrawFn, gaps: bool = True, scales: tuple[float, ...] = SCALES, spread: int = 30_000) -> Content:
    """Draw what a file may hold: 1 to 4 standard leads of up to 300 samples, with or without missing ones."""
    # Never I, II and III together: random ones contradict each other, and that is refused.
    names = [name for name in STANDARD_LEADS if name != "III"]
    leads = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True)))
    n = draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.sampled_from([8, 100, 2000, spread]))
    baseline = draw(st.sampled_from([0, 0, 1024, -5]))
    samples = (rng.integers(-most, most, (len(leads), n)) + baseline).astype(np.int32)
    if gaps and draw(st.booleans()):
        samples[rng.random(samples.shape) < 0.2] = MISSING
        samples[:, -1] = baseline
    fs = draw(st.sampled_from([100.0, 250.0, 360.0, 500.0, 1000.0]))
    scale = tuple(draw(st.sampled_from(scales)) for _ in leads)
    subject = Subject(
        age=draw(st.none() | st.integers(0, 120)), sex=draw(st.sampled_from(["male", "female", "unknown"]))
    )
    filters = Filters(*(draw(st.sampled_from([None, value])) for value in (0.05, 150.0, 50.0)))
    return Content(Recording(leads, fs, samples, scale, (baseline,) * len(leads)), subject, filters)
