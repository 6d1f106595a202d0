"""Our own electrocardiograph kit on a serial line (docs/kit-protocol.md): identify, configure, check leads, record."""

from __future__ import annotations

from feldsher_edge.devices.kit_session import KitSession
from feldsher_edge.devices.serial_cardiograph import SerialCardiograph
from feldsher_edge.devices.serial_session import Opening


class KitCardiograph(SerialCardiograph):
    """The driver of one kit."""

    def _connect(self, opening: Opening) -> KitSession:
        return KitSession(opening)
