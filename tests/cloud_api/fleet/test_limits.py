"""Limits come from data with their reasons, and an installation's own file changes only what it names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from feldsher_cloud_api.fleet import limits
from feldsher_cloud_api.fleet.limits import LimitsError

OURS = Path(limits.__file__).with_name("limits.toml")


def test_every_limit_says_where_it_comes_from() -> None:
    said = tomllib.loads(OURS.read_text(encoding="utf-8"))
    months = said.pop("calibration_months")
    for name, one in (said | months).items():
        assert len(one["why"]) > 20, name
    assert limits.load().gateway_silent_hours == 24
    assert limits.load().calibration_months["cuff"] == 24


def test_an_own_file_changes_only_what_it_names(tmp_path: Path) -> None:
    own = tmp_path / "limits.toml"
    own.write_text("[battery_percent]\nvalue = 30\n[calibration_months.cuff]\nvalue = 12\n", encoding="utf-8")
    found = limits.load(str(own))
    assert (found.battery_percent, found.certificate_days) == (30, 7)
    assert found.calibration_months == {"cuff": 12, "thermometer": 24}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[batery_percent]\nvalue = 3", "batery_percent: there is no such limit"),
        ("battery_percent = 3", "battery_percent: a table"),
        ("[battery_percent]\nvalue = 0", "battery_percent: a table"),
        ("[battery_percent]\nvalue = true", "battery_percent: a table"),
        ("[calibration_months.cuff]\nvalue = 'two'", "calibration_months.cuff: a table"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(LimitsError, match=named):
        limits.parse(text, limits.load())
    with pytest.raises(LimitsError, match="is missing"):
        limits.parse("")
