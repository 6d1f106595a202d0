"""Synthetic patients interpreted once for all tests, and findings made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec
import numpy as np
from feldsher_ehr_core.ecg import BeatKind, Interpretation, LeadMatrix, LeadQuality, Measurements, Quality, Sex, Subject
from feldsher_signal import synth
from feldsher_signal.findings import Findings, Verdict
from feldsher_signal.interpret import interpret
from feldsher_signal.record import Recording

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@cache
def interpreted(
    name: str, seed: int = 3, age: int | None = 50, sex: Sex = "male"
) -> tuple[Recording, synth.Truth, Interpretation]:
    """Return a preset's recording, its truth and its interpretation."""
    recording, truth = synth.ecg(synth.PRESETS[name], seed=seed)
    return recording, truth, interpret(recording, Subject(age, sex))


def codes(result: Interpretation) -> set[str]:
    """Return what is stated."""
    return {s.code for s in result.statements}


def findings(
    matrix: Mapping[str, LeadMatrix] | None = None,
    measured: Measurements | None = None,
    subject: Subject | None = None,
    rr: tuple[int, ...] = (400,) * 12,
    kinds: str = "",
    p_like: float = 0.95,
) -> Findings:
    """Return findings of a healthy heart with what the caller changes; `rr` in samples of 2 ms."""
    r = np.cumsum(np.array([200, *rr]))
    beats: tuple[BeatKind, ...] = tuple(k for k in (kinds or "N" * r.size))  # type: ignore[misc]
    leads = {name: HEALTHY[name] for name in LEADS} | dict(matrix or {})
    quality = Quality(True, {name: LeadQuality(True) for name in LEADS})
    usual = Measurements(60.0, 160.0, 100.0, 90.0, 400.0, 400.0, 400.0, 400.0, 400.0, 50.0, 40.0, 40.0)
    like = np.full(r.size, p_like)
    samples = int(r[-1]) + 200
    return Findings(
        500.0,
        samples,
        LEADS,
        quality,
        subject or Subject(50, "male"),
        r,
        beats,
        like,
        like > 0.5,
        measured or usual,
        leads,
    )


def verdict(found: list[Verdict], code: str) -> Verdict:
    """Return the verdict of one code."""
    (only,) = (v for v in found if v.code == code)
    return only


def changed(lead: str, **values: float) -> LeadMatrix:
    """Return a healthy heart's matrix of one lead with some of its numbers changed."""
    return msgspec.structs.replace(HEALTHY[lead], **values)


def _healthy(r: float, s: float, t: float, p: float = 80.0, q: float = -30.0) -> LeadMatrix:
    return LeadMatrix(
        p=p, q=q, r=r, s=s, q_ms=12, r_ms=40, s_ms=24, peak_ms=36, t=t, qrs_area=(r + s) * 0.03, t_area=t * 0.08
    )


HEALTHY: dict[str, LeadMatrix] = {
    "I": _healthy(600, -80, 200),
    "II": _healthy(900, -150, 300, 120),
    "III": _healthy(400, -100, 120, 50),
    "aVR": _healthy(0, 0, -250, -100, -700),
    "aVL": _healthy(250, -80, 80, 40),
    "aVF": _healthy(650, -120, 200, 90),
    "V1": _healthy(200, -800, -40, 50, 0),
    "V2": _healthy(400, -1100, 400, 60, 0),
    "V3": _healthy(700, -800, 500, 60, 0),
    "V4": _healthy(1200, -500, 500),
    "V5": _healthy(1200, -250, 400),
    "V6": _healthy(900, -100, 300),
}
