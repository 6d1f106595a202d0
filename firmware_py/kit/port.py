"""One way in and out: what a line does not take at once waits and goes first, and frames are found in what comes."""

import time

import frame
import machine

_READ = 128
_WAITING = 256
_QUIET_MS = 50
"""docs/kit-protocol.md: a line silent for so long ends an unfinished frame."""


class Link:
    """What carries bytes, in either direction without waiting."""

    def read(self, into: bytearray) -> int:
        """Take what came, at most as much as fits; return how much."""
        raise NotImplementedError

    def write(self, data: memoryview) -> int:
        """Send from the beginning; return how much of it went."""
        raise NotImplementedError

    def present(self) -> bool:
        """Say whether somebody is at the other end, as far as the line can know."""
        return True


class UartLink(Link):
    """A serial line (timeout 0). `host`: a pin that is high while the USB side has power, where there is one."""

    def __init__(self, uart: machine.UART, host: machine.Pin | None = None) -> None:
        self._uart = uart
        self._host = host

    def read(self, into: bytearray) -> int:
        """Take what came, at most as much as fits; return how much."""
        return self._uart.readinto(into) or 0

    def write(self, data: memoryview) -> int:
        """Send from the beginning; return how much of it went."""
        return self._uart.write(data) or 0

    def present(self) -> bool:
        """Say whether the USB side has power."""
        return self._host is None or bool(self._host())


class Port:
    """Frames over a link. `parser` counts what was broken; `since_ms`: when the line last took something."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.parser = frame.Parser()
        self.heard = False
        self._in = bytearray(_READ)
        self._in_view = memoryview(self._in)
        self._out = bytearray(_WAITING)
        self._out_view = memoryview(self._out)
        self._waiting = 0
        self._heard_ms = self._sent_ms = time.ticks_ms()

    def receive(self) -> list[tuple[int, int, bytes]]:
        """Return the frames that have come, as (type, seq, payload)."""
        count = self.link.read(self._in)
        now = time.ticks_ms()
        if count:
            self.heard = True
            self._heard_ms = now
            return self.parser.feed(bytes(self._in_view[:count]))
        if self.heard and time.ticks_diff(now, self._heard_ms) >= _QUIET_MS:
            self.heard = False
            return self.parser.idle()
        return []

    def send(self, data: memoryview) -> bool:
        """Send a whole frame, or say that it must be offered again: pieces of two frames never mix."""
        if not self.flush():
            return False
        sent = self.link.write(data)
        if sent < len(data):
            if not sent:
                return False
            self._waiting = len(data) - sent
            self._out_view[: self._waiting] = data[sent:]
        self._sent_ms = time.ticks_ms()
        return True

    def post(self, data: bytes) -> None:
        """Send a frame as soon as the line takes it; one that finds no room is dropped: it will be asked for again."""
        if not data or self.send(memoryview(data)):
            return
        if self._waiting + len(data) <= _WAITING:
            self._out_view[self._waiting : self._waiting + len(data)] = data
            self._waiting += len(data)

    def flush(self) -> bool:
        """Send what waits; return whether nothing does any more."""
        if self._waiting:
            sent = self.link.write(self._out_view[: self._waiting])
            if sent:
                self._sent_ms = time.ticks_ms()
                self._out_view[: self._waiting - sent] = self._out_view[sent : self._waiting]
                self._waiting -= sent
        return not self._waiting

    def stuck_ms(self) -> int:
        """Return for how long the line has taken nothing; only of meaning while something is offered."""
        return time.ticks_diff(time.ticks_ms(), self._sent_ms)

    def wake(self) -> None:
        """Say that something will be offered from now on."""
        self._sent_ms = time.ticks_ms()

    def forget(self) -> None:
        """Drop what waits: nobody is there to take its rest."""
        self._waiting = 0
