"""A recording made of arithmetic, with an interpretation whose every number a test can check by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import numpy as np
from feldsher_cloud_api.web.ecg import Source
from feldsher_cloud_api.web.shapes import Person
from feldsher_ehr_core.ecg import (
    STANDARD_LEADS,
    Beat,
    Interpretation,
    LeadQuality,
    Measurements,
    Quality,
    QualitySegment,
    RhythmSpan,
    Statement,
    Wave,
)
from feldsher_signal.record import MISSING, Recording

FS = 500.0
SECONDS = 10
BEAT = 400
"""Samples between spikes: 800 ms, 75 per minute."""
SPIKE_UV = 1000
PATIENT = Person(UUID(int=7), "Anna <b>Walker</b>", date(1961, 4, 2), "female")


def recording() -> Recording:
    """Ten seconds of 12 leads: 0 µV with a triangular spike of 1 mV every 800 ms; 100 samples of V6 are missing."""
    samples = np.zeros((12, int(FS) * SECONDS), dtype=np.int32)
    for r in range(200, samples.shape[1] - 20, BEAT):
        for k in range(-10, 11):
            samples[:, r + k] = SPIKE_UV - abs(k) * SPIKE_UV // 10
    samples[11, 1000:1100] = MISSING
    return Recording(STANDARD_LEADS, FS, samples, (1.0,) * 12)


def interpretation(*, critical: bool = True) -> Interpretation:
    """What an engine might say of it: V3 is off, aVL noisy for a second and a half."""
    peaks = range(200, 4980, BEAT)
    return Interpretation(
        "test-engine 1",
        FS,
        STANDARD_LEADS,
        int(FS) * SECONDS,
        Quality(
            True,
            {lead: LeadQuality(lead != "V3", ("flat",) if lead == "V3" else ()) for lead in STANDARD_LEADS},
            (QualitySegment(500, 1250, "aVL", False, ("noise",)),),
        ),
        tuple(Beat(r, "V" if r == 1000 else "N") for r in peaks),
        tuple(
            Wave(i, "global", r - 90, r - 65, r - 40, r - 20, r, r + 25, r + 90, r + 130, r + 180)
            for i, r in enumerate(peaks)
        ),
        (RhythmSpan(0, 5000, "SR"),),
        Measurements(rate=75, pr=140, p_dur=100, qrs=90, qt=400, qtc_bazett=447.2, axis_qrs=-30.4),
        (
            Statement("SR", "Sinus rhythm", "definite", ("75 per minute",)),
            Statement("3AVB", "Third-degree AV block", "probable", ("P and QRS are apart",), critical=critical),
            Statement("X-OWN", "A finding of our own registry", "possible", ()),
        ),
        {"SR": 1.0},
        "Sinus rhythm; third-degree AV block",
    )


def source(**changes: object) -> Source:
    """The page's source with changed facts."""
    facts: dict[str, object] = {
        "id": UUID("01932b6c-7000-7000-8000-000000000001"),
        "version": 1,
        "status": "preliminary",
        "patient": PATIENT,
        "taken": datetime(2026, 11, 23, 9, 12, tzinfo=UTC),
        "device": "kit-1",
        "gateway": "gw-1",
        "indication": "Chest pain",
        "pacemaker_known": False,
        "conclusion": None,
        "agreed": True,
        "stated": "Sinus rhythm; third-degree AV block",
        "signed_by": None,
        "signed_at": None,
        "recording": recording(),
        "sha256": "00" * 32,
        "interpretation": interpretation(),
        "lost": 100,
    }
    return Source(**(facts | changes))  # pyright: ignore[reportArgumentType]
