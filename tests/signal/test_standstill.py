"""The heart stands still: between beats, at the ends, without any; and what is too short or too bad to say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feldsher_ehr_core.ecg import Interpretation, LeadQuality, Quality, Subject
from feldsher_signal import standstill, synth
from feldsher_signal.interpret import interpret
from feldsher_signal.record import MISSING, Recording
from patients import LEADS, codes, findings, verdict


def alarms(result: Interpretation) -> set[str]:
    return {s.code for s in result.statements if s.critical}


def stopped(start: float, end: float, noise: int = 2, rate: float = 70.0) -> Interpretation:
    """Return the interpretation of 10 s of sinus rhythm with nothing but a little noise (µV) from start to end (s)."""
    recording, _ = synth.ecg(synth.Patient(rate=rate), seconds=10, seed=1)
    a, b = round(start * recording.fs), round(end * recording.fs)
    samples = recording.samples.copy()
    samples[:, a:b] = np.random.default_rng(1).integers(-noise, noise + 1, (12, b - a))
    return interpret(replace(recording, samples=samples), Subject(50, "male"))


@pytest.mark.parametrize(("rr", "critical"), [(1100, False), (1700, True)])
def test_pauses(rr: int, critical: bool) -> None:
    pause = verdict(standstill.judge(findings(rr=(400, 400, 400, rr, 400, 400, 400))), "PAUSE")
    assert (pause.stated, pause.critical) == (True, critical)


def test_no_pause_where_nothing_could_be_seen() -> None:
    f = findings(rr=(400, 400, 400, 1700, 400, 400))
    blind = replace(f, silent=((1500, 3000),))
    assert not verdict(standstill.judge(blind), "PAUSE").stated


def test_pauses_at_both_ends() -> None:
    f = findings(rr=(400,) * 6)
    assert not verdict(standstill.judge(f), "PAUSE").stated
    late = verdict(standstill.judge(replace(f, samples=int(f.r[-1]) + 1600)), "PAUSE")
    assert late.critical
    assert late.because == (f"3.2 s without a beat from sample {f.r[-1]}",)
    assert verdict(standstill.judge(replace(f, r=f.r + 1500, samples=f.samples + 1500)), "PAUSE").critical


@pytest.mark.parametrize(
    ("start", "end", "noise"), [(2.3, 6.4, 2), (2.3, 6.4, 20), (2.3, 10.0, 2), (2.3, 10.0, 20), (0.0, 6.4, 2)]
)
def test_a_heart_that_stops_is_alarmed_whether_the_line_is_flat_or_not(start: float, end: float, noise: int) -> None:
    result = stopped(start, end, noise)
    assert "PAUSE" in alarms(result)
    assert "NORM" not in codes(result)
    assert "ASYST" not in codes(result)


def test_one_beat_and_then_none_is_alarmed_though_no_rhythm_can_be_read() -> None:
    result = stopped(1.0, 10.0)
    assert alarms(result) == {"PAUSE"}
    assert "NOTREAD" in codes(result)
    assert "Pause" in result.conclusion


def flat(samples: int, leads: tuple[str, ...] = LEADS, off: int = 0) -> Interpretation:
    x = np.zeros((len(leads), samples), np.int32)
    x[:off] = MISSING
    return interpret(Recording(leads, 500.0, x, (1.0,) * len(leads)), Subject(50, "male"))


@pytest.mark.parametrize(
    ("samples", "off", "alarmed"),
    [(1, 0, False), (13, 0, False), (1499, 0, False), (1500, 0, True), (5000, 3, True), (5000, 9, False)],
)
def test_a_flat_line_is_alarmed_from_three_seconds_on(samples: int, off: int, alarmed: bool) -> None:
    result = flat(samples, off=off)
    assert (alarms(result) == {"ASYST"}) == alarmed
    assert ("asystole" in result.conclusion) == alarmed
    assert codes(result) - {"ASYST"} == {"LEADOFF", "NOTREAD", "PACENA"}


def test_flat_leads_beside_a_usable_one_are_off() -> None:
    f = findings()
    leads = {lead: LeadQuality(lead == "V6", () if lead == "V6" else ("flat",)) for lead in LEADS}
    lone = replace(f, quality=Quality(True, leads), r=f.r[:0], p_like=f.p_like[:0], p_seen=f.p_seen[:0], kinds=())
    assert "ASYST" not in {v.code for v in standstill.judge(lone)}


def test_a_pause_of_a_long_recording_in_which_something_steep_goes_on_is_doubtful() -> None:
    recording, truth = synth.ecg(synth.Patient(), seconds=70, seed=1)
    x, r = recording.microvolts(), np.array([b.r for b in truth.beats])
    all_on = np.ones(12, np.bool_)
    missed = np.delete(r, [20, 21, 22])
    assert standstill.doubtful(x, 500.0, r, all_on) == ()
    assert standstill.doubtful(x, 500.0, missed, all_on) == ((int(r[19]), int(r[23])),)
    still = x.copy()
    still[:, r[20] - 100 : r[22] + 200] = 0
    assert standstill.doubtful(still, 500.0, missed, all_on) == ()
    assert standstill.doubtful(x[:, :20000], 500.0, missed[missed < 20000], all_on) == ()
