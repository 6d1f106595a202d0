import numpy as np
from feldsher_edge.devices.leads import CHANNELS, scales, twelve
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from hypothesis import given
from hypothesis import strategies as st

CODES = st.integers(-(2**23), 2**23 - 1)


@given(st.lists(st.tuples(*[CODES] * 8), min_size=1, max_size=20))
def test_nothing_is_lost_in_twelve_leads(rows: list[tuple[int, ...]]):
    eight = np.array(rows, dtype=np.int32).T
    leads = dict(zip(STANDARD_LEADS, twelve(eight), strict=True))
    # Exactly, in half units, with Python's integers as the judge.
    for n, (one, two, *chest) in enumerate(rows):
        assert int(leads["III"][n]) == two - one
        assert int(leads["aVR"][n]) == -(one + two)
        assert int(leads["aVL"][n]) == 2 * one - two
        assert int(leads["aVF"][n]) == 2 * two - one
        assert [int(leads[name][n]) for name in ("I", "II", *CHANNELS[2:])] == [one, two, *chest]


def test_microvolts_keep_einthoven_and_goldberger():
    eight = np.arange(16, dtype=np.int32).reshape(8, 2) * 1000
    uv = {n: r * s for n, r, s in zip(STANDARD_LEADS, twelve(eight).astype(float), scales(0.5), strict=True)}
    np.testing.assert_allclose(uv["I"] + uv["III"], uv["II"])
    np.testing.assert_allclose(uv["aVR"] + uv["aVL"] + uv["aVF"], 0, atol=1e-9)
    np.testing.assert_allclose(uv["aVF"], (uv["II"] + uv["III"]) / 2)


def test_what_is_missing_stays_missing():
    eight = np.ones((8, 3), dtype=np.int32)
    eight[:, 1] = MISSING
    assert (twelve(eight)[:, 1] == MISSING).all()
    assert (twelve(eight)[:, [0, 2]] != MISSING).all()
