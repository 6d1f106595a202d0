"""When something of the fleet needs a technician: numbers from data, each with where it comes from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

OWN = "FELDSHER_FLEET_LIMITS"
"""Environment variable: a file of the installation's own limits; what it does not name stays as it is here."""


class LimitsError(ValueError):
    """A limit that is unknown or no positive whole number; the text names it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits by name, in the unit of the name's end; `calibration_months` by kind of device."""

    gateway_silent_hours: int
    certificate_days: int
    queue_hours: int
    losses_days: int
    configuration_hours: int
    return_days: int
    device_silent_days: int
    battery_percent: int
    calibration_days: int
    calibration_months: Mapping[str, int]


def _number(name: str, said: Any) -> int:
    value = said.get("value") if isinstance(said, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise LimitsError(f"{name}: a table with `value`, a whole number above 0, is needed")
    return value


def parse(text: str, base: Limits | None = None) -> Limits:
    """Return the limits of a TOML text, those that it does not name from `base`; LimitsError names what is wrong."""
    said = tomllib.loads(text)
    known = {f.name for f in fields(Limits)}
    for name in said.keys() - known:
        raise LimitsError(f"{name}: there is no such limit; there are {', '.join(sorted(known))}")
    values: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in known}
    for name, one in said.items():
        if name == "calibration_months":
            months = {kind: _number(f"{name}.{kind}", m) for kind, m in one.items()}
            values[name] = dict(values.get(name, {})) | months
        else:
            values[name] = _number(name, one)
    missing = sorted(known - values.keys())
    if missing:
        raise LimitsError(f"{missing[0]}: is missing")
    return Limits(**values)


@cache
def load(own: str | None = None) -> Limits:
    """Return the limits in force: ours, changed by the file `own` (None: by what the environment names)."""
    ours = parse(Path(__file__).with_name("limits.toml").read_text(encoding="utf-8"))
    path = own or os.environ.get(OWN)
    return parse(Path(path).read_text(encoding="utf-8"), ours) if path else ours
