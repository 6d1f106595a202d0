"""The conversation with a kit: frames out of bytes, commands with their answers, repeated where one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from feldsher_signal import frame

from feldsher_edge.devices import DeviceError
from feldsher_edge.serial_port import PortError, SerialPort

# docs/kit-protocol.md, "Conduct": answered within 100 ms, else sent again with the same seq, three times in all. USB
# and a busy gateway are given twice that.
ANSWER_S = 0.2
TRIES = 3
QUIET_S = 0.05
BAUD = 460_800

_ANSWERS = {frame.CMD_ID: frame.EV_ID, frame.CMD_LEAD_OFF: frame.EV_STATUS, frame.CMD_HEALTH: frame.EV_HEALTH}

_REASONS = {
    frame.RESULT_BUSY: "it is recording",
    frame.RESULT_BAD_PAYLOAD: "it cannot do that",
    frame.RESULT_UNKNOWN: "it does not know that command",
    frame.RESULT_FAULT: "its amplifier does not answer",
    frame.RESULT_WAIT: "it is still at work",
    frame.RESULT_SIGNATURE: "the update is not signed by its release key",
    frame.RESULT_NOT_FOR_THIS: "the update is for another device",
    frame.RESULT_ROLLBACK: "the update is not newer than what it has",
    frame.RESULT_MALFORMED: "the update is malformed or too large",
    frame.RESULT_DAMAGED: "the update's image is damaged",
    frame.RESULT_ORDER: "no update is under way",
    frame.RESULT_REFUSED: "it must not do that now",
}


class KitLine:
    """One opened line. `event` gets every frame that answers no command: DATA and unasked STATUS."""

    def __init__(self, path: str, event: Callable[[int, bytes], None], lost: Callable[[str], None]) -> None:
        self._event = event
        self._tell_lost = lost
        self._parser = frame.Parser()
        self._seq = 0
        self._waiting: tuple[int, int, asyncio.Future[bytes]] | None = None
        self._turn = asyncio.Lock()
        self._quiet: asyncio.TimerHandle | None = None
        self._port = SerialPort(path, BAUD, self._received, self._lost)

    @property
    def bad_crc(self) -> int:
        """Frames discarded since the line was opened."""
        return self._parser.bad_crc

    async def command(self, kind: int, payload: bytes = b"") -> bytes:
        """Send a command and return its answer's payload; DeviceError where none comes or the port is gone."""
        async with self._turn:
            self._seq = self._seq % 255 + 1  # never 0: that marks what nobody asked for
            answer = asyncio.get_running_loop().create_future()
            self._waiting = (_ANSWERS.get(kind, frame.EV_ACK), self._seq, answer)
            try:
                for _ in range(TRIES):
                    self._port.write(frame.frame(kind, self._seq, payload))
                    await asyncio.wait({answer}, timeout=ANSWER_S)
                    if answer.done():
                        return answer.result()
            finally:
                self._waiting = None
                answer.cancel()
        raise DeviceError(f"{self._port.path}: no answer to command 0x{kind:02x}, sent {TRIES} times")

    async def acknowledged(
        self, kind: int, payload: bytes = b"", accept: tuple[int, ...] = (frame.RESULT_OK,)
    ) -> frame.Ack:
        """Send a command that is acknowledged; DeviceError where its result is none of `accept`."""
        ack = frame.parse_ack(await self.command(kind, payload))
        if ack.result not in accept:
            reason = _REASONS.get(ack.result, f"result {ack.result}")
            raise DeviceError(f"{self._port.path}: command 0x{kind:02x} refused: {reason}")
        return ack

    def close(self) -> None:
        """Close the line."""
        if self._quiet is not None:
            self._quiet.cancel()
        self._port.close()

    def _received(self, data: bytes) -> None:
        self._dispatch(self._parser.feed(data))
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._fell_silent)

    def _fell_silent(self) -> None:
        self._dispatch(self._parser.idle())

    def _dispatch(self, frames: list[tuple[int, int, bytes]]) -> None:
        for kind, seq, payload in frames:
            waiting = self._waiting
            if waiting is not None and (kind, seq) == waiting[:2]:
                if not waiting[2].done():
                    waiting[2].set_result(payload)
            else:
                self._event(kind, payload)

    def _lost(self, why: str) -> None:
        if self._waiting is not None and not self._waiting[2].done():
            self._waiting[2].set_exception(PortError(why))
        self._tell_lost(why)
