"""Electrodes exchanged on paper obey Einthoven and come back when exchanged twice."""

from __future__ import annotations

import numpy as np
import pytest
from electrodes import EXCHANGES, exchanged
from feldsher_signal.registry import REGISTRY
from patients import interpreted


@pytest.mark.parametrize("name", list(EXCHANGES))
def test_exchanges(name: str) -> None:
    code, leads = EXCHANGES[name]
    recording = interpreted("normal")[0]
    once = exchanged(recording, leads)
    rows = {lead.upper(): row.astype(float) for lead, row in zip(once.leads, once.samples, strict=True)}
    # I + III = II, and the augmented leads follow.
    assert np.abs(rows["I"] + rows["III"] - rows["II"]).max() <= 3
    assert np.abs(rows["AVF"] - (rows["II"] + rows["III"]) / 2).max() <= 3
    assert np.abs(rows["AVR"] + rows["AVL"] + rows["AVF"]).max() <= 5
    if name != "right arm, right leg":
        assert np.array_equal(exchanged(once, leads).samples, recording.samples)
    assert code in REGISTRY or name == "none"
