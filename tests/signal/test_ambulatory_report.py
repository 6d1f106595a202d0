"""The report: numbers add up, what was put in is found, what alarms is said first."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from days import joined
from feldsher_ehr_core.ambulatory import Ambulatory
from feldsher_signal import ambulatory_report
from feldsher_signal.ambulatory import Found, Stored, Whole
from feldsher_signal.registry import REGISTRY

FS = 250.0


def _found(kinds: str, rr: list[float] | float = 0.8, p_like: float = 0.9, bad: tuple[int, int] = (0, 0)) -> Found:
    """Return beats by hand: classes as letters, intervals in s (the one before each beat)."""
    each = [rr] * len(kinds) if isinstance(rr, float) else rr
    r = np.round(np.cumsum(each) * FS).astype(np.int64)
    n = int(r[-1]) + 250
    dark = np.zeros(-(-n // 250), np.bool_)
    dark[bad[0] : bad[1]] = True
    like = np.full(r.size, p_like, np.float32)
    return Found(FS, n, ("II",), r, np.frombuffer(kinds.encode(), np.uint8), like, dark, 250, 90.0)


def _report(found: Found, engine: str = "e") -> Ambulatory:
    """Return the report of beats by hand over a signal that shows a spike at each of them and nothing else."""
    samples = np.zeros((1, found.n), np.int16)
    samples[0, np.minimum(found.r, found.n - 1)] = 1000
    return ambulatory_report.describe(found, Stored(samples, ("II",), FS, (1.0,)), engine)


def described(kinds: str) -> Ambulatory:
    """Return the report of beats by hand at 75/min."""
    return _report(_found(kinds), "engine 1")


def _codes(report: Ambulatory) -> list[str]:
    return [said.code for said in report.statements]


def test_numbers_of_a_quiet_recording() -> None:
    report = _report(_found("N" * 9000), "engine 1")
    assert report.engine == "engine 1"
    assert report.beats.all == report.beats.N == 9000
    assert (report.rate_min, report.rate_max) == pytest.approx((75, 75))
    assert report.judged_s + report.artefact_s == pytest.approx(report.samples / FS)
    assert report.artefact_s == 0
    assert sum(hour.beats.all for hour in report.hours) == 9000
    assert len(report.hours) == 3
    assert report.hours[1].rate_mean == pytest.approx(75, rel=0.01)
    assert {event.kind for event in report.events} == {"fastest", "slowest"}
    assert not report.statements
    assert report.conclusion == "No ectopy, pauses or fibrillation found. Unconfirmed."


def test_ectopy_is_counted_by_kind_and_length() -> None:
    kinds = "N" * 100 + "V" + "N" * 50 + "VV" + "N" * 50 + "VVVV" + "N" * 50 + "SSS" + "N" * 200
    rr = [0.8] * len(kinds)
    for k in range(204, 207):
        rr[k] = 0.4
    report = _report(_found(kinds, rr))
    v, s = report.ventricular, report.supraventricular
    assert (v.beats, v.isolated, v.couplets, v.runs, v.longest_run) == (7, 1, 1, 1, 4)
    assert v.fastest_run == pytest.approx(150)
    assert v.part == pytest.approx(7 / len(kinds))
    assert (s.beats, s.runs, s.longest_run) == (3, 1, 3)
    assert report.events[0].kind == "ventricular_tachycardia"
    assert (report.events[0].beats, report.events[0].rate) == (4, pytest.approx(150))
    assert _codes(report)[0] == "VTAC"
    assert report.statements[0].critical
    assert set(_codes(report)) <= set(REGISTRY)


def test_a_slow_run_is_no_tachycardia() -> None:
    report = _report(_found("N" * 50 + "VVV" + "N" * 50))
    assert "VTAC" not in _codes(report)
    assert report.events[0].kind == "ventricular_run"


def test_pauses_alarm_from_three_seconds_and_not_across_what_was_not_judged() -> None:
    rr = [0.8] * 100
    rr[50] = 2.4
    report = _report(_found("N" * 100, rr))
    assert (report.pauses, report.longest_pause_s) == (1, pytest.approx(2.4, abs=0.01))
    assert [(said.code, said.critical) for said in report.statements] == [("PAUSE", False)]
    rr[50] = 3.4
    assert _report(_found("N" * 100, rr)).statements[0].critical
    hidden = _report(_found("N" * 100, rr, bad=(41, 43)))
    assert (hidden.pauses, hidden.longest_pause_s) == (0, None)
    assert hidden.artefact_s == 2


def test_beats_in_what_cannot_be_judged_are_not_counted() -> None:
    kinds = "N" * 500 + "VVVVV" + "N" * 500
    report = _report(_found(kinds, bad=(395, 410)))
    assert report.artefact_s == 15
    assert (report.beats.V, report.ventricular.runs) == (0, 0)
    assert report.rate_mean == pytest.approx(75, rel=0.01)
    assert not report.statements


def test_fibrillation_has_its_burden_and_no_supraventricular_ectopy_or_variability() -> None:
    rng = np.random.default_rng(1)
    rr = rng.gamma(12, 0.7 / 12, 3000).clip(0.3, 1.6).tolist()
    kinds = "".join("S" if interval < 0.45 else "N" for interval in rr)
    report = _report(_found(kinds, rr, p_like=0.0))
    assert report.fibrillation.part > 0.95
    assert report.fibrillation.longest_s <= report.fibrillation.seconds
    assert report.supraventricular.beats == report.beats.S
    assert 0.05 * kinds.count("S") + 1 > report.beats.S
    assert report.variability.intervals < 150
    assert "AFIB" in _codes(report)
    assert sum(hour.af_s for hour in report.hours) == pytest.approx(report.fibrillation.seconds)


def test_an_empty_recording_says_so_and_travels() -> None:
    dark = np.ones(100, np.bool_)
    nothing = np.zeros(0, np.int64)
    found = Found(FS, 25_000, ("II",), nothing, nothing.astype(np.uint8), nothing.astype(np.float32), dark, 250, 90.0)
    report = _report(found)
    assert report.judged_s == 0
    assert report.rate_mean is None
    assert report.conclusion.startswith("Not interpretable")
    assert msgspec.json.decode(msgspec.json.encode(report), type=Ambulatory) == report


def test_events_are_bounded() -> None:
    report = _report(_found("NNNVV" * 400))
    assert len(report.events) == ambulatory_report.MOST_EVENTS
    assert report.events_left == 400 + 2 - ambulatory_report.MOST_EVENTS
    assert [event.kind for event in report.events[-3:]] == ["couplet", "fastest", "slowest"]


def test_a_synthetic_day_is_described() -> None:
    recording, beats = joined(("normal", 600), ("ventricular_ectopy", 300), ("atrial_fibrillation", 450))
    report = ambulatory_report.report(Whole(recording), "e")
    truth = sum(beat.kind == "V" for beat in beats)
    assert report.ventricular.beats == pytest.approx(truth, rel=0.05)
    assert report.fibrillation.part == pytest.approx(1 / 3, abs=0.05)
    assert report.beats.all == pytest.approx(len(beats), rel=0.005)
    assert report.variability.segments >= 2
