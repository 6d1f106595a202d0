"""ECG paper: true millimetres, lines that are the samples, gaps, shading, and what must stand on the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import msgspec
import naive_draw_trace as naive
import numpy as np
import pytest
from feldsher_ehr_core.ecg import (
    STANDARD_LEADS,
    Interpretation,
    LeadQuality,
    Measurements,
    Quality,
    QualitySegment,
    Statement,
)
from feldsher_signal import draw, synth
from feldsher_signal.draw_sheet import Path, Text, Trace
from feldsher_signal.record import Recording

NS = "{http://www.w3.org/2000/svg}"
RECORDING = synth.ecg(synth.PRESETS["normal"])[0]
INTERPRETATION = Interpretation(
    engine="feldsher-test 9",
    fs=500.0,
    leads=STANDARD_LEADS,
    samples=5000,
    quality=Quality(
        True,
        {name: LeadQuality(name != "V5", () if name != "V5" else ("lead_off",)) for name in STANDARD_LEADS},
        (QualitySegment(1500, 2000, "aVR", False, ("muscle_noise",)),),
    ),
    beats=(),
    waves=(),
    rhythm=(),
    measurements=Measurements(rate=69.6, pr=160, qrs=92, qt=385, qtc_bazett=415, qtc_fridericia=405, axis_qrs=50),
    statements=(
        Statement("SR", "Sinus rhythm", "definite", ("P before each QRS",)),
        Statement("AMI", "ST elevation <anterior> & more", "probable", ("V2 0.35 mV ≥ 0.20 mV",), critical=True),
    ),
    scores={},
    conclusion="See a physician.",
)


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{NS}text")]  # noqa: S314 (our own)


def test_the_page_is_in_true_millimetres() -> None:
    root = ET.fromstring(draw.svg(RECORDING))  # noqa: S314
    width, height = root.attrib["width"], root.attrib["height"]
    assert width.endswith("mm")
    assert root.attrib["viewBox"] == f"0 0 {width[:-2]} {height[:-2]}"
    # A landscape A4 sheet (297 x 210 mm) holds it.
    assert 260 < float(width[:-2]) <= 297
    assert float(height[:-2]) <= 210
    fast = ET.fromstring(draw.svg(RECORDING, speed=50))  # noqa: S314
    assert float(fast.attrib["width"][:-2]) - float(width[:-2]) == 250


@pytest.mark.parametrize(("layout", "traces"), [("3x4+1", 13), ("6x2", 12), ("12x1", 12), ("single", 1)])
def test_layouts(layout: draw.Layout, traces: int) -> None:
    svg = draw.svg(RECORDING, layout=layout)
    assert svg.count("scale(0.01)") == traces
    labels = [text for text in _texts(svg) if text in STANDARD_LEADS]
    assert sorted(set(labels)) == sorted(STANDARD_LEADS if layout != "single" else ["II"])


def test_cells_are_consecutive_in_time() -> None:
    svg = draw.svg(RECORDING, steady=False)
    paths = re.findall(r'translate\(([\d.]+) ([\d.]+)\) scale\(0.01\)"[^>]* d="([^"]*)"', svg)
    microvolts = RECORDING.microvolts()
    for column in range(4):
        x, _, data = paths[column]
        assert float(x) == 7 + 10 + 62.5 * column
        lead = RECORDING.leads.index(("I", "aVR", "V1", "V4")[column])
        _, y = naive.svg_runs(data)[0][0]
        assert abs(y + int(microvolts[lead, 1250 * column])) <= 1


def test_a_later_start_is_drawn_from_there_and_said() -> None:
    long = Recording(("II",), 100.0, np.arange(6000, dtype=np.int32)[None, :] % 997, (1.0,))
    sheet = draw.paper(long, start=20.0, steady=False)
    (trace,) = (item for item in sheet.all() if isinstance(item, Trace))
    assert -int(trace.corners[0, 1]) == 2000 % 997
    assert any("20 to 30 of 60 s" in item.words for item in sheet.all() if isinstance(item, Text))
    with pytest.raises(ValueError, match="start: 60 s"):
        draw.paper(long, start=60.0)


@pytest.mark.parametrize("gain", draw.GAINS)
@pytest.mark.parametrize("speed", draw.SPEEDS)
def test_calibration_pulse_is_one_millivolt_by_a_fifth_of_a_second(speed: int, gain: int) -> None:
    pulse = next(
        item for item in draw.paper(RECORDING, speed=speed, gain=gain).all() if isinstance(item, Path) and not item.dash
    )
    for line in pulse.lines:
        heights, places = sorted({y for _, y in line}), [x for x, y in line if y == min(y for _, y in line)]
        assert heights[1] - heights[0] == gain
        assert places[1] - places[0] == pytest.approx(0.2 * speed)


def test_unconfirmed_is_stamped_unless_confirmed() -> None:
    unsigned = draw.svg(RECORDING)
    assert "UNCONFIRMED" in unsigned
    assert "needs physician over-read" in unsigned
    signed = draw.svg(RECORDING, confirmed="Dr <A>, 2026-11-23")
    assert "UNCONFIRMED" not in signed
    assert _texts(signed)[1:3] == ["Confirmed", "Dr <A>, 2026-11-23"]


def test_numbers_statements_and_reasons_are_there_and_escaped() -> None:
    svg = draw.svg(RECORDING, INTERPRETATION, title="Bed <7> & co", watermark="DEMO")
    texts = _texts(svg)
    for expected in ("70 /min", "160 ms", "92 ms", "385 ms", "405 / 415 ms", "– / 50 / – °", "Bed <7> & co", "DEMO"):
        assert expected in texts
    assert texts.index("ST elevation <anterior> & more (probable)") < texts.index("Sinus rhythm")
    assert "V2 0.35 mV ≥ 0.20 mV" in texts
    assert "feldsher-test 9" in texts
    assert any(text.startswith("25 mm/s · 10 mm/mV · 500 Hz") for text in texts)


def test_what_could_not_be_judged_is_shaded_and_said_first() -> None:
    svg = draw.svg(RECORDING, INTERPRETATION)
    texts = _texts(svg)
    assert texts.count("lead off") == 1
    assert texts.count("muscle noise") == 1
    assert svg.count("fill-opacity") == 2
    assert texts.index("Not judged: V5 (lead off)") < texts.index("Sinus rhythm")
    useless = msgspec.structs.replace(INTERPRETATION, quality=Quality(False, {}))
    assert "Not interpretable: signal quality" in _texts(draw.svg(RECORDING, useless))


def test_many_statements_do_not_push_the_grid_off_the_page() -> None:
    many = tuple(Statement(f"X{i}", f"Statement {i}", "definite", ("because",)) for i in range(40))
    texts = _texts(draw.svg(RECORDING, msgspec.structs.replace(INTERPRETATION, statements=many)))
    assert "… more statements on the screen" in texts


def test_few_leads_have_a_row_each_and_long_single_leads_are_wrapped() -> None:
    two = Recording(("V5", "MLII"), 360.0, np.zeros((2, 360 * 60), np.int32), (5.0, 5.0))
    svg = draw.svg(two)
    assert svg.count("scale(0.01)") == 2
    assert any("first 10 of 60 s" in text for text in _texts(svg))
    single = draw.svg(two, layout="single")
    assert single.count("scale(0.01)") == 6
    assert "MLII  50 s" in _texts(single)


def test_an_absent_lead_leaves_its_place_empty() -> None:
    keep = [i for i, name in enumerate(STANDARD_LEADS) if name != "V3"]
    partial = Recording(tuple(STANDARD_LEADS[i] for i in keep), 500.0, RECORDING.samples[keep], (1.0,) * 11)
    svg = draw.svg(partial)
    assert svg.count("scale(0.01)") == 12
    assert "V3" not in _texts(svg)


def test_tall_waves_stay_on_the_paper() -> None:
    tall = synth.ecg(synth.PRESETS["high_voltage"])[0]
    plain, high = (ET.fromstring(draw.svg(each)) for each in (RECORDING, tall))  # noqa: S314
    assert float(high.attrib["height"][:-2]) > float(plain.attrib["height"][:-2])


@pytest.mark.parametrize("name", ["normal", "noisy", "atrial_fibrillation"])
def test_size(name: str) -> None:
    recording = synth.ecg(synth.PRESETS[name])[0]
    assert len(draw.svg(recording, INTERPRETATION).encode()) < 120_000


def test_refused() -> None:
    for speed, gain in ((30, 10), (25, 7)):
        with pytest.raises(ValueError, match="speed, gain"):
            draw.svg(RECORDING, speed=speed, gain=gain)
    with pytest.raises(ValueError, match="empty"):
        draw.svg(Recording(("I",), 500.0, np.zeros((1, 0), np.int32), (1.0,)))


def _said(times: int, layout: draw.Layout, gain: int | None = None) -> list[str]:
    scale = tuple(times * uv for uv in RECORDING.uv_per_bit)
    return _texts(draw.svg(replace(RECORDING, uv_per_bit=scale), layout=layout, gain=gain))


@pytest.mark.parametrize("layout", ["3x4+1", "6x2", "12x1"])
def test_rows_that_would_run_into_each_other_are_drawn_at_half_scale_and_that_is_said(layout: draw.Layout) -> None:
    usual, tall = _said(1, layout), _said(4, layout)
    assert not any("SCALE" in text or "overlap" in text for text in usual)
    assert any("10 mm/mV" in text for text in usual)
    assert any(text.startswith("HALF SCALE: 5 mm/mV") for text in tall)
    assert any(" 5 mm/mV ·" in text for text in tall)


def test_a_gain_that_was_asked_for_is_kept_and_overlapping_rows_are_said() -> None:
    asked = _said(4, "6x2", 10)
    assert "rows overlap at 10 mm/mV" in asked
    assert any("10 mm/mV ·" in text for text in asked)
    assert not any("overlap" in text for text in _said(1, "6x2", 10))


def test_a_lead_that_cannot_be_judged_does_not_change_the_scale() -> None:
    scale = tuple(9.0 if name == "V5" else 1.0 for name in RECORDING.leads)
    wild = replace(RECORDING, uv_per_bit=tuple(a * b for a, b in zip(scale, RECORDING.uv_per_bit, strict=True)))
    assert any("SCALE" in text for text in _texts(draw.svg(wild, layout="6x2")))
    assert not any("SCALE" in text for text in _texts(draw.svg(wild, INTERPRETATION, layout="6x2")))
