"""What single models of Bluetooth devices do differently, as data (`quirks.toml`)."""

from __future__ import annotations

import tomllib
from importlib import resources

import msgspec


class Quirk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to treat the models whose advertised name begins with `name`; `source` says how that is known."""

    name: str
    pair: bool
    write_clock: bool
    read_info: bool
    source: str


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: tuple[Quirk, ...]


def load() -> tuple[Quirk, ...]:
    """Return the table of this package; ValueError where the file is not as described in it."""
    text = resources.files("feldsher_edge.devices").joinpath("quirks.toml").read_text()
    table = msgspec.convert(tomllib.loads(text), _Table).device
    if not table or table[-1].name:
        raise ValueError("quirks.toml: the last entry is not the one for all other models")
    return table


def of(name: str | None, table: tuple[Quirk, ...]) -> Quirk:
    """Return the entry for an advertised name."""
    return next(quirk for quirk in table if (name or "").startswith(quirk.name))
