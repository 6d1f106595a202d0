"""OpenBCI's Cyton on its USB dongle: up to eight channels, whose leads are what the configuration says was wired."""

from __future__ import annotations

import random
from collections.abc import Sequence

from feldsher_edge.devices import DeviceClock
from feldsher_edge.devices.cyton_session import CytonSession
from feldsher_edge.devices.serial_cardiograph import PATIENCE, Patience, SerialCardiograph
from feldsher_edge.devices.serial_session import Opening


class CytonCardiograph(SerialCardiograph):
    """The driver of one Cyton. `channels`: the lead wired to each channel from the first, an empty name for none."""

    def __init__(
        self,
        device: str,
        port: str,
        clock: DeviceClock,
        rng: random.Random,
        channels: Sequence[str],
        gain: int,
        patience: Patience = PATIENCE,
    ) -> None:
        super().__init__(device, port, clock, rng, patience)
        self._channels = tuple(channels)
        self._gain = gain

    def _connect(self, opening: Opening) -> CytonSession:
        return CytonSession(opening, self._channels, self._gain)
