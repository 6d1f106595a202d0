"""The drivers that a configuration names: a new kind of device is a table in the configuration and a function here."""

from __future__ import annotations

import random

from feldsher_edge.ble.session import Radio
from feldsher_edge.clock import Clock
from feldsher_edge.config import Config
from feldsher_edge.devices import Cardiograph, Cuff
from feldsher_edge.devices.cuff import BleCuff
from feldsher_edge.devices.kit import KitCardiograph


def cardiographs(config: Config, clock: Clock, rng: random.Random) -> list[Cardiograph]:
    """Return the cardiographs of a configuration."""
    return [KitCardiograph(it.device, it.port, clock, rng) for it in config.kit]


def cuffs(config: Config, clock: Clock, rng: random.Random) -> list[Cuff]:
    """Return the cuffs of a configuration; those of one Bluetooth adapter share its radio."""
    radios = {it.adapter: Radio(rng, adapter=it.adapter) for it in config.cuff}
    return [
        BleCuff(
            it.device,
            clock,
            radios[it.adapter],
            config.zone(),
            rng,
            address=it.address,
            name=it.name or "",
            clock_is_true=lambda: clock.quality() == "synced",
        )
        for it in config.cuff
    ]
