"""New firmware for a kit of this gateway: finds the kit's driver, and says why where it does not come to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feldsher_signal import frame

from feldsher_edge.devices import Cardiograph, DeviceError
from feldsher_edge.devices.kit import KitCardiograph
from feldsher_edge.update import Offer, UpdateError


@dataclass(frozen=True, slots=True)
class Kits:
    """The kits among a gateway's cardiographs."""

    cardiographs: Sequence[Cardiograph]

    async def __call__(self, device: str, offer: Offer, image: bytes) -> str:
        """Bring firmware onto a kit and return what it then runs; UpdateError where it does not."""
        del offer  # the kit itself verifies what the image carries: signature, board, sequence
        for cardiograph in self.cardiographs:
            if cardiograph.device == device and isinstance(cardiograph, KitCardiograph):
                try:
                    return await cardiograph.update(image)
                except (DeviceError, frame.FrameError) as error:
                    raise UpdateError(str(error)) from error
        raise UpdateError(f"this gateway has no kit called {device!r}")
