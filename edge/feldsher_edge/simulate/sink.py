"""A sink that keeps everything in memory: for benches and tests of drivers without a gateway."""

from __future__ import annotations

import asyncio

from feldsher_edge.devices import EcgResult, LiveChunk, ReadingSet, Status


class Kept:
    """What drivers delivered, in order; `arrived` is set at each delivery. `disk_full`: refuse as a full disk does.

    `refused` counts what was.
    """

    def __init__(self) -> None:
        self.sets: list[ReadingSet] = []
        self.quarantined: list[tuple[str, bytes, str]] = []
        self.recordings: list[EcgResult] = []
        self.states: list[Status] = []
        self.pieces: list[LiveChunk] = []
        self.disk_full = False
        self.refused = 0
        self.arrived = asyncio.Event()

    def readings(self, readings: ReadingSet) -> None:
        """Keep readings."""
        self._keep()
        self.sets.append(readings)

    def unreadable(self, device: str, raw: bytes, why: str) -> None:
        """Keep bytes that no parser could read."""
        self._keep()
        self.quarantined.append((device, raw, why))

    def recorded(self, result: EcgResult) -> None:
        """Keep a recording that the device started by itself."""
        self._keep()
        self.recordings.append(result)

    def status(self, status: Status) -> None:
        """Keep a sign of life or a fault."""
        self.states.append(status)

    def live(self, chunk: LiveChunk) -> None:
        """Keep a piece of a running recording."""
        self.pieces.append(chunk)

    def _keep(self) -> None:
        if self.disk_full:
            self.refused += 1
            raise OSError(28, "No space left on device")
        self.arrived.set()
