"""Lead names made standard, and the four computed limb leads."""

from __future__ import annotations

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal import synth
from feldsher_signal.formats import lead
from feldsher_signal.record import MISSING, Recording
from hypothesis import given
from hypothesis import strategies as st

EIGHT = ("V1", "V2", "V3", "V4", "V5", "V6", "I", "II")


def test_names() -> None:
    assert lead.names(["AVR", " v1 ", "MLII", "ECG", "ECG", "ECG", ""]) == (
        "aVR",
        "V1",
        "MLII",
        "ECG",
        "ECG#2",
        "ECG#3",
        "ch7",
    )


def test_only_names_of_leads_are_impersonal() -> None:
    assert lead.impersonal(["aVR", "Ivanova", "ECG#2", "MLII", "CM5", "ECG 774412020", "Ivanova"]) == (
        "aVR",
        "ch2",
        "ECG#2",
        "MLII",
        "CM5",
        "ch6",
        "ch7",
    )


@given(st.lists(st.text(max_size=4), max_size=8))
def test_names_are_unique(written: list[str]) -> None:
    names = lead.names(written)
    assert len(set(names)) == len(names) == len(written)
    assert all(names)


def test_twelve_from_eight_is_exact() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(-30000, 30000, (8, 50)).astype(np.int32)
    samples[7, 3] = MISSING
    full = lead.twelve(Recording(EIGHT, 500.0, samples, (4.88,) * 8, (3,) * 8))
    assert full.leads == STANDARD_LEADS
    uv = dict(zip(full.leads, full.microvolts().astype(np.float64), strict=True))
    known = np.arange(50) != 3
    expected = {
        "III": uv["II"] - uv["I"],
        "aVR": -(uv["I"] + uv["II"]) / 2,
        "aVL": uv["I"] - uv["II"] / 2,
        "aVF": uv["II"] - uv["I"] / 2,
    }
    for name, values in expected.items():
        assert np.allclose(uv[name][known], values[known], atol=0.05)
        assert np.isnan(uv[name][3])
    assert np.array_equal(full.samples[full.leads.index("V1")], samples[0])


def test_what_is_not_the_eight_stays() -> None:
    recording, _ = synth.ecg(synth.PRESETS["normal"])
    assert lead.twelve(recording) is recording
    assert lead.twelve(recording.only(0)).leads == ("I",)
    uneven = Recording(EIGHT, 500.0, np.zeros((8, 2), np.int32), (1.0,) * 7 + (2.0,))
    assert lead.twelve(uneven) is uneven
