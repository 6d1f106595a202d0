"""ProtoCentral's boards that speak OpenView's packets (HealthyPi 4 and 5, ADS1292R): one lead and vital signs."""

from __future__ import annotations

import random

from feldsher_edge.devices import DeviceClock
from feldsher_edge.devices.openview_packet import Board
from feldsher_edge.devices.openview_session import OpenViewSession
from feldsher_edge.devices.serial_cardiograph import PATIENCE, Patience, SerialCardiograph
from feldsher_edge.devices.serial_session import Opening


class OpenViewCardiograph(SerialCardiograph):
    """The driver of one board. `lead`: how its electrodes are wired; `uv_per_bit`: where its firmware leaves doubt."""

    def __init__(
        self,
        device: str,
        port: str,
        clock: DeviceClock,
        rng: random.Random,
        board: Board,
        lead: str,
        uv_per_bit: float | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        super().__init__(device, port, clock, rng, patience)
        self._board: Board = board
        self._lead = lead
        self._uv_per_bit = uv_per_bit

    def _connect(self, opening: Opening) -> OpenViewSession:
        return OpenViewSession(opening, self._board, self._lead, self._uv_per_bit)
