"""BITalino (r)evolution on Bluetooth's serial port (`/dev/rfcomm0`) or a cable: up to six channels, as wired."""

from __future__ import annotations

import random

from feldsher_edge.devices import DeviceClock
from feldsher_edge.devices.bitalino_session import BitalinoSession, Wiring
from feldsher_edge.devices.serial_cardiograph import PATIENCE, Patience, SerialCardiograph
from feldsher_edge.devices.serial_session import Opening


class BitalinoCardiograph(SerialCardiograph):
    """The driver of one BITalino."""

    def __init__(
        self,
        device: str,
        port: str,
        clock: DeviceClock,
        rng: random.Random,
        wiring: Wiring,
        patience: Patience = PATIENCE,
    ) -> None:
        super().__init__(device, port, clock, rng, patience)
        self._wiring = wiring

    def _connect(self, opening: Opening) -> BitalinoSession:
        return BitalinoSession(opening, self._wiring)
