"""What takes what away, and that nothing unknown is named."""

from __future__ import annotations

import pytest
from feldsher_signal import conflicts
from feldsher_signal.findings import Verdict
from feldsher_signal.registry import REGISTRY
from patients import codes, interpreted


def stated(*found: str) -> list[str]:
    return [v.code for v in conflicts.settle([Verdict(code, 1.0, True) for code in found]) if v.stated]


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (("CLBBB", "LVH", "IMI", "STE_"), ["CLBBB"]),
        (("CRBBB", "IMI", "STE_", "INVT"), ["CRBBB", "IMI", "STE_"]),
        (("CRBBB", "STEMI"), ["CRBBB", "STEMI"]),
        (("LVH", "STEMI"), ["LVH"]),
        (("VCLVH", "STEMI"), ["VCLVH", "STEMI"]),
        (("LAFB", "LAD"), ["LAFB"]),
        (("ILMI", "IMI", "LMI"), ["ILMI"]),
        (("REVARM", "IMI", "CRBBB"), ["REVARM", "CRBBB"]),
        (("REVCHEST", "ASMI", "LAD"), ["REVCHEST", "LAD"]),
        (("VFIB", "LVH", "NOISE"), ["VFIB", "NOISE"]),
        (("PERI", "STEMI", "STE_"), ["PERI"]),
        (("STEMI", "STE_", "MIOLD"), ["STEMI", "STE_"]),
        (("JUNC", "RUND", "SHPR", "LAFB"), ["JUNC", "LAFB"]),
        (("ATR", "SR", "LAO/LAE", "1AVB"), ["ATR", "1AVB"]),
        (("VESC", "RUND", "IMI", "IVCD", "STEMI"), ["VESC", "STEMI"]),
        (("VESC", "RUND", "IMI", "CRBBB"), ["VESC", "IMI", "CRBBB"]),
        (("3AVB", "JUNC", "VESC"), ["3AVB"]),
        (("AFIB", "JUNC", "ATR"), ["AFIB"]),
        (("REVLEFT", "ATR", "SR"), ["REVLEFT", "SR"]),
        (("SAB", "DROP", "SARRH"), ["SAB", "DROP"]),
    ],
)
def test_what_is_left(found: tuple[str, ...], left: list[str]) -> None:
    assert stated(*found) == left


@pytest.mark.parametrize("exchange", ["REVARM", "REVLEG", "REVFLAT", "DEXTRO", "REVCHEST"])
def test_a_possible_exchange_of_electrodes_does_not_hide_an_infarction(exchange: str) -> None:
    alarm = Verdict("STEMI", 0.95, True, ("J 0.30 mV in V3",), "probable", True)
    found = {v.code: v for v in conflicts.settle([Verdict(exchange, 0.6, True), alarm])}
    assert found["STEMI"].stated
    assert found["STEMI"].critical
    assert found["STEMI"].certainty == "possible"
    assert found["STEMI"].because == ("J 0.30 mV in V3", conflicts.IF_RIGHT)
    assert conflicts.settle([alarm]) == [alarm]


def test_what_is_itself_taken_away_hides_nothing() -> None:
    # Left bundle branch block takes hypertrophy away, which then takes no infarction alarm with it.
    assert "QWAVE" not in stated("CLBBB", "LVH", "QWAVE")
    assert stated("PACE", "LVH", "LAD") == ["PACE", "LAD"]


@pytest.mark.parametrize(("by", "code", "left"), [("LAFB", "LAD", 0.9), ("CLBBB", "LVH", 0.36)])
def test_scores_stand_where_only_the_words_are_spared(by: str, code: str, left: float) -> None:
    found = conflicts.settle([Verdict(by, 1.0, True), Verdict(code, 0.9, True)])
    (gone,) = (v for v in found if v.code == code)
    assert (gone.stated, gone.score) == (False, pytest.approx(left))


def test_left_bundle_branch_block_takes_voltage_and_infarct_away() -> None:
    found = codes(interpreted("lbbb")[2])
    assert "CLBBB" in found
    assert not found & set(conflicts.SUPPRESSED["CLBBB"])


def test_every_code_named_is_registered() -> None:
    known = set(REGISTRY)
    for table in (conflicts.SUPPRESSED, conflicts.HIDES):
        for code, others in table.items():
            assert code in known
            assert set(others) <= known
    assert known >= {*conflicts.KEPT, *conflicts.BLOCKED}
