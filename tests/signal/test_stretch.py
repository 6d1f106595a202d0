"""Stretches of True against a walk through the row."""

from __future__ import annotations

import itertools

import numpy as np
from feldsher_signal import stretch
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.booleans(), max_size=40))
def test_stretches(row: list[bool]) -> None:
    expected: list[tuple[int, int]] = []
    at = 0
    for value, group in itertools.groupby(row):
        size = len(list(group))
        if value:
            expected.append((at, at + size))
        at += size
    assert stretch.stretches(np.array(row, np.bool_)) == expected
