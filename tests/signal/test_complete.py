"""What formats without a missing sample get: whole leads, cut ends, or a refusal that says where."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal.formats.complete import complete
from feldsher_signal.record import MISSING, Recording

GONE = int(MISSING)


def test_ends_and_whole_leads_are_cut() -> None:
    samples = np.array([[GONE, 1, 2, GONE], [GONE, GONE, GONE, GONE], [GONE, 3, 4, GONE]], np.int32)
    found = complete(Recording(("I", "II", "V1"), 500.0, samples, (1.0, 2.0, 3.0), (7, 8, 9)), "X")
    assert found.leads == ("I", "V1")
    assert found.samples.tolist() == [[1, 2], [3, 4]]
    assert (found.uv_per_bit, found.baseline) == ((1.0, 3.0), (7, 9))


def test_a_gap_is_refused_with_lead_and_second() -> None:
    samples = np.array([[0, 1, 2, 3], [0, 1, GONE, 3]], np.int32)
    with pytest.raises(ValueError, match=r"lead 'II': the sample at 0\.004 s is missing, which SCP-ECG cannot say"):
        complete(Recording(("I", "II"), 500.0, samples, (1.0, 1.0)), "SCP-ECG")


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="samples: all are missing"):
        complete(Recording(("I",), 500.0, np.full((1, 3), MISSING), (1.0,)), "X")
