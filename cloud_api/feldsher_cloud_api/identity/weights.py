"""The numbers by which records are compared (weights.toml says where they come from)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from feldsher_ehr_core.identity import Weights


@cache
def load() -> Weights:
    """Return the weights in use."""
    raw = tomllib.loads((resources.files(__package__ or "") / "weights.toml").read_text(encoding="utf-8"))
    levels = {field: {level: (m, u) for level, (m, u) in of.items()} for field, of in raw["levels"].items()}
    return Weights(levels, raw["prior"], raw["certain"], raw["probable"], raw["possible"])
