"""Electrodes in each other's place: real exchanges of a synthetic patient's leads, and hearts that only look so."""

from __future__ import annotations

import msgspec
import pytest
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import reversal
from feldsher_signal.interpret import interpret
from feldsher_signal.record import Recording
from patients import LEADS, changed, codes, findings, interpreted, verdict


def exchanged(places: dict[str, tuple[int, str]], name: str = "normal") -> set[str]:
    """Return what is stated where each lead shows (sign, lead) of the patient."""
    recording = interpreted(name)[0]
    rows = {lead: recording.samples[k] for k, lead in enumerate(recording.leads)}
    samples = recording.samples.copy()
    for lead, (sign, source) in places.items():
        samples[LEADS.index(lead)] = sign * rows[source]
    moved = Recording(recording.leads, recording.fs, samples, recording.uv_per_bit)
    return codes(interpret(moved, Subject(50, "male")))


ARMS = {"I": (-1, "I"), "II": (1, "III"), "III": (1, "II"), "aVR": (1, "aVL"), "aVL": (1, "aVR")}
RIGHT_LEG = {"I": (-1, "III"), "II": (-1, "II"), "III": (-1, "I"), "aVR": (1, "aVF"), "aVF": (1, "aVR")}
MIRROR = {**ARMS, **{f"V{k}": (1, f"V{max(3 - k, 1)}") for k in range(2, 7)}}


def test_nothing_is_suspected_in_a_healthy_heart() -> None:
    assert [v.code for v in reversal.judge(findings()) if v.stated] == []
    assert not codes(interpreted("normal")[2]) & {"REVARM", "REVLEG", "REVFLAT", "REVLEFT", "REVCHEST", "DEXTRO"}


@pytest.mark.parametrize(("places", "code"), [(ARMS, "REVARM"), (RIGHT_LEG, "REVLEG"), (MIRROR, "DEXTRO")])
def test_exchanges(places: dict[str, tuple[int, str]], code: str) -> None:
    found = exchanged(places)
    assert code in found
    assert "NORM" not in found


def test_a_flat_limb_lead_among_live_ones() -> None:
    f = findings({"II": changed("II", r=30.0, s=-10.0, q=0.0)})
    assert verdict(reversal.judge(f), "REVFLAT").stated
    small = findings({x: changed(x, r=90.0, s=-10.0, q=0.0) for x in ("I", "II", "III")})
    assert not verdict(reversal.judge(small), "REVFLAT").stated


def test_left_arm_and_left_leg() -> None:
    f = findings(
        {
            "I": changed("I", p=130.0, t=300.0),
            "II": changed("II", p=60.0, t=150.0),
            "III": changed("III", p=-80.0, t=-150.0),
        }
    )
    turned = findings(f.matrix, msgspec.structs.replace(f.measured, axis_p=-35.0))
    assert verdict(reversal.judge(turned), "REVLEFT").stated
    assert not verdict(reversal.judge(f), "REVLEFT").stated


def test_two_chest_leads() -> None:
    values = {"V1": 0.1, "V2": 0.3, "V3": 0.5, "V4": 0.7, "V5": 0.8, "V6": 0.7}
    steady = {x: changed(x, qrs_area=40 * v, d40=900 * v, t_area=30 * v, p_area=2 * v) for x, v in values.items()}
    assert not verdict(reversal.judge(findings(steady)), "REVCHEST").stated
    turned = steady | {"V1": steady["V3"], "V3": steady["V1"]}
    found = verdict(reversal.judge(findings(turned)), "REVCHEST")
    assert found.stated
    assert found.because[0].startswith("V1 and V3")


def test_roughness_of_a_straight_way_is_nought() -> None:
    assert reversal.roughness([1.0, 2.0, 3.0, 4.0]) == 0
    assert reversal.roughness([1.0, 1.0, 1.0]) == 0
    assert reversal.roughness([0.0, 1.0, 0.0]) == 4
