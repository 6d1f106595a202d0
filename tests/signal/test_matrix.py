"""The measurement matrix against hand-made complexes, a naive oracle and the impulse of IEC 60601-2-25."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from feldsher_ehr_core.ecg import STANDARD_LEADS, LeadMatrix, Subject
from feldsher_signal import delineate, matrix, median
from feldsher_signal.interpret import interpret
from feldsher_signal.record import Recording
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_matrix import matrix as naive
from numpy.typing import NDArray
from patients import LEADS, interpreted

Pieces = tuple[tuple[float, int], ...]
USABLE = np.array([True])


def complex_of(*pieces: tuple[float, int]) -> NDArray[np.float32]:
    """Return a median beat at 1000/s: 100 ms of rest, half sine waves (µV, ms), 300 ms of rest."""
    parts = [np.zeros(100)]
    parts += [height * np.sin(np.pi * (np.arange(width) + 0.5) / width) for height, width in pieces]
    return np.concatenate([*parts, np.zeros(300)]).astype(np.float32)


def one(x: NDArray[np.float32], on: int, off: int, **own: int) -> LeadMatrix:
    """Return the matrix of one lead with its QRS from sample on to off at 1000/s."""
    marks = np.full((2, 9), delineate.ABSENT)
    marks[:, delineate.QRS_ON], marks[:, delineate.QRS_OFF] = on, off
    for name, at in own.items():
        marks[0, delineate.POINTS.index(name)] = at
    return matrix.lead_matrices(x[None, :], marks, USABLE, ("V1",), 1000.0)["V1"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (((-100, 20), (1000, 40), (-300, 30)), {"q": -100, "r": 1000, "s": -300, "q_ms": 20, "r_ms": 40, "s_ms": 30}),
        (((200, 20), (-700, 40), (500, 40)), {"r": 200, "s": -700, "r2": 500, "q": 0, "peak_ms": 10, "rpt_ms": 80}),
        (((-900, 60),), {"q": -900, "r": 0, "q_ms": 60}),
        (((700, 40), (-20, 20)), {"r": 700, "s": 0, "peak_ms": 20, "rpt_ms": 20}),
        (((800, 30), (-400, 30), (300, 20), (-200, 20)), {"s": -400, "r2": 300, "s2": -200, "s2_ms": 20, "r2_ms": 20}),
    ],
)
def test_waves_are_named(pieces: Pieces, expected: dict[str, float]) -> None:
    found = one(complex_of(*pieces), 99, 100 + sum(width for _, width in pieces))
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=max(abs(value) * 0.03, 2)), name


def test_st_points_and_slope() -> None:
    x = complex_of((1000, 80))
    x[180:] = np.linspace(150, 150 + 320, 300)
    found = one(x, 100, 180)
    for name, after in (("st20", 20), ("st40", 40), ("st60", 60), ("st80", 80)):
        assert getattr(found, name) == pytest.approx(150 + 320 * after / 299, abs=12)
    assert found.st_slope == pytest.approx(320 / 299, abs=0.3)


def test_a_slurred_beginning_is_seen() -> None:
    ramp = np.concatenate(
        [np.zeros(100), np.linspace(0, 200, 50), np.linspace(200, 1200, 25), np.linspace(1200, 0, 40)]
    )
    slurred = np.concatenate([ramp, np.zeros(300)]).astype(np.float32)
    assert one(slurred, 100, 215).slur_ms == pytest.approx(48, abs=6)
    assert one(complex_of((1000, 80)), 100, 180).slur_ms <= 6


def test_a_notch_on_the_way_down() -> None:
    assert one(complex_of((1000, 60), (200, 20)), 100, 180).notch == pytest.approx(200, abs=5)
    assert one(complex_of((1000, 60)), 100, 160).notch == 0


def test_terminal_force_of_p() -> None:
    x = np.concatenate([complex_of((100, 50), (-150, 60))[:210], np.zeros(60), complex_of((800, 80))[100:]])
    found = one(x.astype(np.float32), 270, 350, p_on=99, p_peak=125, p_off=211)
    assert found.p == pytest.approx(100, abs=8)
    assert found.p2 == pytest.approx(-150, abs=8)
    # 0.15 mV for 60 ms: 9 µV·s.
    assert found.p_end == pytest.approx(-9, abs=1)


@given(
    st.lists(
        st.tuples(st.floats(-2000, 2000).filter(lambda v: abs(v) > 1), st.integers(3, 50)), min_size=1, max_size=6
    ),
    st.integers(0, 10_000),
)
@settings(max_examples=150)
def test_the_kernel_and_the_naive_matrix_agree(pieces: list[tuple[float, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = complex_of(*pieces) + rng.normal(0, 5, 400 + sum(w for _, w in pieces)).astype(np.float32)
    end = 100 + sum(width for _, width in pieces)
    marks = np.full((2, 9), delineate.ABSENT)
    marks[:, delineate.QRS_ON], marks[:, delineate.QRS_OFF] = 100, end
    for point, at in (("p_on", 20), ("p_peak", 50), ("p_off", 80), ("t_on", end + 60), ("t_peak", end + 120)):
        marks[0, delineate.POINTS.index(point)] = at
    marks[0, delineate.T_OFF] = end + 200
    found = matrix.lead_matrices(x[None, :], marks, USABLE, ("V1",), 1000.0)["V1"]
    expected = naive(x.tolist(), marks[0].tolist(), marks[1].tolist(), 1000.0)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=0.51 if not name.endswith("area") else 0.02), name


def test_fields_and_contract_are_one() -> None:
    assert len(matrix.FIELDS) == matrix.U + 1
    for name, index in (("p", matrix.P), ("s2_ms", matrix.S2_MS), ("st80", matrix.ST80), ("t", matrix.T)):
        assert matrix.FIELDS[index] == name


def test_every_usable_lead_is_in_the_output() -> None:
    _, _, result = interpreted("normal")
    assert tuple(result.matrix) == LEADS
    assert result.matrix["V1"].q_ms == 0
    assert len(msgspec.msgpack.encode(result.matrix)) < 4500


def quiet_after(found: LeadMatrix) -> bool:
    """Say whether the ST segment is within IEC 60601-2-25's limits after the impulse: 0.1 mV and 0.3 mV/s."""
    points = (found.j, found.st20, found.st40, found.st60, found.st80)
    return max(map(abs, points)) <= 100 and abs(found.st_slope) <= 0.3


@pytest.mark.parametrize("width_ms", [100, 300])
def test_an_impulse_of_3_mv_leaves_no_st_change_behind(width_ms: int) -> None:
    """The low frequency test of IEC 60601-2-25: 3 mV for 100 ms (here for 300 ms too), then a straight line."""
    fs, width = 500.0, width_ms // 2
    x, starts = np.zeros((1, 5000), np.float32), np.arange(300, 4600, 500)
    for start in starts:
        x[0, start : start + width] = 3000
    middle = median.median_beat(x, fs, starts + width // 2, starts, np.arange(starts.size))
    on = middle.r - width // 2
    marks = np.full((2, 9), delineate.ABSENT)
    # A sample of room on each side: the impulse has no slopes to mark.
    marks[:, delineate.QRS_ON], marks[:, delineate.QRS_OFF] = on - 1, on + width + 3
    found = matrix.lead_matrices(middle.x, marks, USABLE, ("V1",), fs)["V1"]
    assert found.r == 3000
    assert quiet_after(found)


def test_the_whole_pipeline_leaves_no_st_change_behind_an_impulse() -> None:
    """A triangle of 3 mV and 0.3 mV·s, the area of the standard's impulse, taken for the QRS of every beat."""
    x = np.zeros((12, 5000), np.int32)
    for start in range(300, 4600, 500):
        x[:, start : start + 101] = 3000 - 60 * np.abs(np.arange(-50, 51))
    found = interpret(Recording(STANDARD_LEADS, 500.0, x, (1.0,) * 12), Subject(50, "male"))
    assert found.measurements.qrs == pytest.approx(200, abs=16)
    assert set(found.matrix) == set(STANDARD_LEADS)
    assert all(quiet_after(m) for m in found.matrix.values())
