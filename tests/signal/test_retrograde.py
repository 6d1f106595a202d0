"""P waves behind the QRS: found inverted in the three leads that look from below, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from feldsher_signal import retrograde
from numpy.typing import NDArray

FS = 500.0
LEADS = ("II", "III", "aVF", "aVR")
OFF = 200


def beat(at_ms: float, uv: tuple[float, float, float, float], slope: float = 0.0) -> NDArray[np.float32]:
    """Return four leads of a second with a wave of 80 ms `at_ms` after OFF, on a line that rises by `slope` µV/ms."""
    ms = (np.arange(500) - OFF) * 1000.0 / FS
    wave = np.exp(-0.5 * ((ms - at_ms) / 16.0) ** 2)
    return (np.array(uv)[:, None] * wave + slope * ms).astype(np.float32)


def test_an_inverted_wave_is_found_by_its_least_lead() -> None:
    found = retrograde.size(beat(90, (-150, -90, -120, 70)), FS, LEADS, OFF)
    assert found == pytest.approx(90 * 0.85, rel=0.1)
    assert retrograde.size(beat(90, (-150, -90, -120, 70), slope=2.0), FS, LEADS, OFF) == pytest.approx(found, rel=0.01)


@pytest.mark.parametrize(
    "uv", [(150, 90, 120, -70), (-150, 20, -60, 70), (-150, -90, -120, -20), (0, 0, 0, 0)], ids=str
)
def test_upright_waves_one_lead_or_none_are_not(uv: tuple[float, float, float, float]) -> None:
    assert retrograde.size(beat(90, uv), FS, LEADS, OFF) < 40


def test_only_behind_the_qrs_and_before_the_top_of_t() -> None:
    deep = (-200, -200, -200, 200)
    assert retrograde.size(beat(-60, deep), FS, LEADS, OFF) < 5
    assert retrograde.size(beat(300, deep), FS, LEADS, OFF) < 5


def test_nothing_without_its_leads_without_room_or_without_a_qrs() -> None:
    x = beat(90, (-150, -90, -120, 70))
    assert retrograde.size(x, FS, ("II", "III", "aVF", "V1"), OFF) == 0.0
    assert retrograde.size(x[:, :205], FS, LEADS, OFF) == 0.0
    assert retrograde.size(x, FS, LEADS, -1) == 0.0
