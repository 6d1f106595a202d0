"""What a file says of how it came to be: its time, its device, our order numbers, and nobody else's identifiers."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from feldsher_ehr_core.ids import order_number
from feldsher_signal import formats
from feldsher_signal.formats import content

SAMPLES = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"NO SAMPLES OF FOREIGN FORMATS: {SAMPLES} is absent")


@needs_samples
@pytest.mark.parametrize(
    ("name", "at", "maker", "model"),
    [
        ("0000050.ECG", "2020-11-16T21:44:39", "Contec", "ECG90A"),
        ("Example.scp", "2002-11-22T09:10:00", "ECGConversion", "ELI250"),
        ("Example_aECG.xml", "2002-11-22T09:10:00", "Mortara Instrument, Inc.", "ELI250"),
        ("anonymous_ecg.dcm", "2013-01-25T10:59:19", "Mortara Instrument, Inc.", "el250"),
        ("129DYPRG.XML", "2011-12-01T07:27:34", "", "HeartstartMRx"),
        ("cardio_sample.edf", None, "", ""),  # 1 January 1985: no date
        ("ge_muse_example1.xml", None, "", ""),
    ],
)
def test_time_and_device_of_real_files(name: str, at: str | None, maker: str, model: str) -> None:
    label = formats.load(SAMPLES / name).label
    written = label.recorded_at.isoformat() if label.recorded_at else None
    assert (written, label.maker, label.model, label.orders) == (at, maker, model, ())


def test_only_what_may_be_ours_is_an_order_number() -> None:
    ours = ["k7qx-3m9p", "K7QX3M9P", "  "]
    theirs = ["MRN-774-4100", "PETROVA", "2020-11-1", None, 12, ""]
    assert content.orders([*ours, *theirs]) == ("K7QX3M9P",)


def test_a_study_of_our_worklist_names_its_order() -> None:
    order = UUID("01890000-0000-7000-8000-00feed123456")
    assert content.orders([], f"2.25.{order.int}") == (order_number(order),)
    for study in ("2.25.", "2.25.x", "1.2.840.10008", f"2.25.{1 << 128}", "2.25." + "9" * 60, "2.25.٣"):
        assert content.orders([], study) == ()


def test_a_device_s_name_is_one_short_line() -> None:
    assert content.named(" Cart\n\x1b[2J 1  " + "x" * 100)[:12] == "Cart [2J 1 x"
    assert len(content.named("x" * 100)) == 64
    assert content.named(None) == ""
