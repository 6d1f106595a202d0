import numpy as np
import pytest
from feldsher_edge.devices.leads import CHANNELS, Leads, twelve
from feldsher_ehr_core.ecg import STANDARD_LEADS
from feldsher_signal.record import MISSING
from hypothesis import given
from hypothesis import strategies as st

CODES = st.integers(-(2**23), 2**23 - 1)


@given(st.lists(st.tuples(*[CODES] * 8), min_size=1, max_size=20))
def test_nothing_is_lost_in_twelve_leads(rows: list[tuple[int, ...]]):
    eight = np.array(rows, dtype=np.int32).T
    leads = dict(zip(STANDARD_LEADS, twelve(0.5).of(eight), strict=True))
    # Exactly, in half units, with Python's integers as the judge.
    for n, (one, two, *chest) in enumerate(rows):
        assert int(leads["III"][n]) == two - one
        assert int(leads["aVR"][n]) == -(one + two)
        assert int(leads["aVL"][n]) == 2 * one - two
        assert int(leads["aVF"][n]) == 2 * two - one
        assert [int(leads[name][n]) for name in ("I", "II", *CHANNELS[2:])] == [one, two, *chest]


def test_microvolts_keep_einthoven_and_goldberger():
    eight = np.arange(16, dtype=np.int32).reshape(8, 2) * 1000
    leads = twelve(0.5)
    uv = {n: r * s for n, r, s in zip(leads.names, leads.of(eight).astype(float), leads.scales, strict=True)}
    np.testing.assert_allclose(uv["I"] + uv["III"], uv["II"])
    np.testing.assert_allclose(uv["aVR"] + uv["aVL"] + uv["aVF"], 0, atol=1e-9)
    np.testing.assert_allclose(uv["aVF"], (uv["II"] + uv["III"]) / 2)


def test_what_is_missing_stays_missing():
    eight = np.ones((8, 3), dtype=np.int32)
    eight[:, 1] = MISSING
    assert (twelve(1.0).of(eight)[:, 1] == MISSING).all()
    assert (twelve(1.0).of(eight)[:, [0, 2]] != MISSING).all()


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        (("II",), ("II",)),
        (("V5", "I"), ("I", "V5")),
        (("V1", "II", "I"), ("I", "II", "III", "aVR", "aVL", "aVF", "V1")),
    ],
)
def test_leads_are_in_the_standard_order_and_limb_leads_computed_where_they_can_be(
    channels: tuple[str, ...], names: tuple[str, ...]
):
    leads = Leads(channels, (2.0,) * len(channels))
    assert leads.names == names
    assert leads.scales == tuple(1.0 if name.startswith("aV") else 2.0 for name in names)
    samples = np.arange(len(channels), dtype=np.int32)[:, None] + 7
    by_name = dict(zip(names, leads.of(samples)[:, 0].tolist(), strict=True))
    assert [by_name[name] for name in channels] == samples[:, 0].tolist()


def test_channels_of_unequal_units_are_not_combined():
    leads = Leads(("I", "II"), (1.0, 4.0))
    assert (leads.names, leads.scales) == (("I", "II"), (1.0, 4.0))


def test_which_leads_go_with_a_channel():
    leads = twelve(1.0)
    assert leads.that_need(["I"]) == ("I", "III", "aVR", "aVL", "aVF")
    assert leads.that_need(["V3"]) == ("V3",)
    assert leads.that_need([]) == ()
    assert Leads(("I", "V1"), (1.0, 1.0)).that_need(["I"]) == ("I",)
