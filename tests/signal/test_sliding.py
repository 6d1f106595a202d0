"""Sliding medians are the plain ones."""

from __future__ import annotations

import naive_ambulatory as naive
import numpy as np
import pytest
from feldsher_signal.sliding import medians
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(-5, 5), max_size=60), st.integers(0, 12))
def test_medians(values: list[int], reach: int) -> None:
    found = medians(np.array(values, np.float64), reach)
    assert found.tolist() == pytest.approx(naive.medians(values, reach))
