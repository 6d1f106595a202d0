"""The report in words."""

from __future__ import annotations

import pytest
from feldsher_ehr_core.ambulatory import Event
from feldsher_signal import ambulatory_text
from test_ambulatory_report import described


@pytest.mark.parametrize(
    ("seconds", "words", "at"),
    [(2.44, "2.4 s", "0:00:02"), (75, "1 min 15 s", "0:01:15"), (86_340, "23 h 59 min", "23:59:00")],
)
def test_times(seconds: float, words: str, at: str) -> None:
    assert ambulatory_text.duration(seconds) == words
    assert ambulatory_text.clock(seconds) == at


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("pause", 250, 1000, 0, 20.0), "0:00:01  Pause, 3.0 s"),
        (Event("ventricular_tachycardia", 0, 500, 4, 152.3), "0:00:00  Ventricular tachycardia, 4 beats, 152/min"),
        (Event("bigeminy", 0, 500, 9), "0:00:00  Bigeminy, 9 beats"),
        (Event("slowest", 900_000, 902_000, 9, 41.2), "1:00:00  Slowest eight beats, 41/min"),
    ],
)
def test_events(event: Event, words: str) -> None:
    assert ambulatory_text.event(event, 250.0) == words


def test_the_text_has_every_hour_and_says_how_many_events_are_left() -> None:
    report = described("NNNVV" * 2000)
    lines = ambulatory_text.text(report).splitlines()
    assert sum(line.strip().startswith(("0:00 ", "1:00 ", "2:00 ")) for line in lines) == 3
    assert lines[-1] == f"  … {2000 + 2 - 30} more"
    assert any("4000 (40.0 %)" in line for line in lines)


def test_what_is_unknown_is_a_dash() -> None:
    blocks = dict(ambulatory_text.blocks(described("NNN")))
    assert ("Rate least / greatest", "– / –") in blocks["Beats and rate"]
    assert ("Longest / fastest", "–") in blocks["Ventricular"]
