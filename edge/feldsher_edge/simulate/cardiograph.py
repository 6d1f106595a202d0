"""A virtual cardiograph: a pty that speaks the kit's protocol byte for byte at the pace of a real one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from feldsher_signal import frame
from numpy.typing import NDArray

from feldsher_edge.simulate.patient import Source
from feldsher_edge.simulate.serial_device import Emit, Faults, VirtualSerial

SERIAL = "SIM-0001"
FIRMWARE = "virtual 1.0"
VREF_UV = 2_400_000


class VirtualCardiograph(VirtualSerial):
    """A kit on a pty, on which `source` lies."""

    def __init__(
        self,
        source: Source,
        link: Path,
        rng: random.Random,
        *,
        pace: float = 1.0,
        faults: Faults | None = None,
        emit: Emit | None = None,
    ) -> None:
        super().__init__(link, rng, pace=pace, faults=faults, emit=emit)
        self.source = source
        self.battery = 76
        self.off = 0
        self.commands: list[int] = []
        self._config = frame.Config()
        self._parser = frame.Parser()
        self._samples: NDArray[np.int32] = np.zeros((len(frame.CHANNELS), 1), dtype=np.int32)

    @property
    def rate(self) -> float:
        """Samples per second, as configured."""
        return self._config.rate

    def press_start(self, seconds: float) -> None:
        """Begin a recording by the kit's own button."""
        if not self.sampling:
            self._begin(round(seconds * self._config.rate))
            self._send(frame.EV_STATUS, 0, self._status().pack())

    def _hear(self, data: bytes) -> None:
        for kind, seq, payload in self._parser.feed(data):
            self.commands.append(kind)
            if not self.faults.mute:
                self._answer(kind, seq, payload)

    def _answer(self, kind: int, seq: int, payload: bytes) -> None:
        if kind == frame.CMD_ID:
            self._send(frame.EV_ID, seq, self._identity().pack())
        elif kind == frame.CMD_LEAD_OFF:
            self._send(frame.EV_STATUS, seq, self._status().pack())
        else:
            try:
                result = self._obey(kind, payload)
            except frame.FrameError:
                result = frame.RESULT_BAD_PAYLOAD
            self._send(frame.EV_ACK, seq, frame.Ack(kind, result, self.sent, self.lost).pack())

    def _obey(self, kind: int, payload: bytes) -> int:
        if kind == frame.CMD_STOP:
            self._end_sampling()
            return frame.RESULT_OK
        if kind not in (frame.CMD_START, frame.CMD_CONFIG, frame.CMD_WIPE):
            return frame.RESULT_UNKNOWN
        if self.sampling:
            return frame.RESULT_BUSY
        if kind == frame.CMD_WIPE:
            self._config = frame.Config()
        elif kind == frame.CMD_CONFIG:
            self._config = frame.parse_config(payload)
        else:
            self._begin(frame.parse_start(payload))
        return frame.RESULT_OK

    def _identity(self) -> frame.Identity:
        return frame.Identity(SERIAL, FIRMWARE, self._config.rate, self._config.gain, VREF_UV)

    def _status(self) -> frame.Status:
        state = frame.STATE_SAMPLING if self.sampling else frame.STATE_IDLE
        off = self.off | self.source.off
        return frame.Status(state, off, self.battery, self.sent, self.lost, self._parser.bad_crc)

    def _begin(self, wanted: int) -> None:
        n = wanted or 60 * self._config.rate
        self._samples = self.source.units(n, self._config.rate, self._identity().uv_per_bit())
        self._begin_sampling(wanted)

    def _frame(self, counter: int) -> bytes:
        channels = [int(v) for v in self._samples[:, counter % self._samples.shape[1]]]
        afe = frame.pack_afe(self.off | self.source.off, channels)
        return frame.frame(frame.EV_DATA, counter & 255, frame.pack_data(counter, afe))

    def _done(self) -> None:
        self._send(frame.EV_STATUS, 0, self._status().pack())

    def _send(self, kind: int, seq: int, payload: bytes) -> None:
        self._put(frame.frame(kind, seq, payload))
