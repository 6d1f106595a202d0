"""A serial line under asyncio: opened raw by pyserial, read by the event loop, and an unplugged cable told clearly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import serial

from feldsher_edge.devices import DeviceError

READ_BYTES = 4096


class PortError(DeviceError):
    """A port that cannot be opened, or is gone; the text names the port."""


class SerialPort:
    """An open port, 8 data bits, no parity, 1 stop bit, no flow control, nothing translated.

    `received` is called in the event loop with what came; `lost` once, with the reason, when the device is gone;
    `heard`: bytes received so far.
    Raises PortError where the port does not exist, is in use or forbidden.
    """

    def __init__(self, path: str, baud: int, received: Callable[[bytes], None], lost: Callable[[str], None]) -> None:
        self.path = path
        self.heard = 0
        self._received = received
        self._lost = lost
        self._open = False
        try:
            self._serial = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
            # What an earlier owner left unread would be taken for answers.
            self._serial.reset_input_buffer()
            self._fd = self._serial.fileno()
        except OSError as error:  # pyserial's SerialException is one, and mostly carries the system's number
            why = os.strerror(error.errno) if error.errno else str(error)
            raise PortError(f"{path}: {why}") from error
        self._open = True
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    @property
    def is_open(self) -> bool:
        """Say whether the device is there."""
        return self._open

    def write(self, data: bytes) -> None:
        """Send bytes; PortError where the device is gone or takes none."""
        if not self._open:
            raise PortError(f"{self.path}: not open")
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._end(f"{self.path}: {error.strerror or error}")
            raise PortError(f"{self.path}: {error.strerror or error}") from error
        if written != len(data):
            raise PortError(f"{self.path}: took {written} of {len(data)} bytes")

    def close(self) -> None:
        """Close the port; `lost` is not called."""
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._fd)
            self._serial.close()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"{self.path}: {error.strerror or error}")
            return
        if data:
            self.heard += len(data)
            self._received(data)
        else:
            self._end(f"{self.path}: unplugged")

    def _end(self, why: str) -> None:
        if self._open:
            self.close()
            self._lost(why)
