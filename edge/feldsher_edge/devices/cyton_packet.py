"""The bytes of an OpenBCI Cyton on its dongle's serial line: packets of 33 bytes, commands in letters, answers in text.

Source: docs.openbci.com, "Cyton Data Format" and "Cyton Board SDK". There is no checksum on this line (the radio in
front of it has one): a packet is recognised by its first byte, its last byte, and the packet that follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SIZE = 33
START = 0xA0
CHANNELS = 8
ROUND = 256
FULL_SCALE = 2**23 - 1
VREF_UV = 4_500_000
GAINS = (1, 2, 4, 6, 8, 12, 24)
"""In the order of the codes 0 to 6."""
END = b"$$$"
_STOPS = frozenset(range(0xC0, 0xC7))
_AMPLIFIER = re.compile(rb"ADS1299 Device ID: 0x3E", re.IGNORECASE)
_FIRMWARE = re.compile(rb"Firmware: (v(\d+)[0-9.]*)")


@dataclass(frozen=True, slots=True)
class Packet:
    """One sample: the board's count (0 to 255), eight channels, six more bytes that `stop` (0xC0 to 0xC6) explains."""

    count: int
    channels: tuple[int, ...]
    aux: bytes = bytes(6)
    stop: int = 0xC0

    def pack(self) -> bytes:
        """Return its bytes."""
        samples = b"".join(value.to_bytes(3, "big", signed=True) for value in self.channels)
        return bytes((START, self.count)) + samples + self.aux + bytes((self.stop,))


def uv_per_bit(gain: int) -> float:
    """Return the microvolts per unit of a channel: 4.5 V / gain / (2²³ - 1)."""
    return VREF_UV / gain / FULL_SCALE


class Parser:
    """Packets out of a stream of bytes. `skipped`: bytes that belonged to none; `broken`: breaks between packets."""

    def __init__(self) -> None:
        self.skipped = 0
        self.broken = 0
        self._buffer = bytearray()
        self._sure = False

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that are complete now.

        After a break a packet is believed when the next one begins where it ends: the marks of one alone also occur
        inside of samples.
        """
        self._buffer += data
        found: list[Packet] = []
        at = 0
        while len(self._buffer) - at >= (SIZE if self._sure else SIZE + 1):
            if not self._packet_at(at):
                self._lose(1)
                at += 1
                continue
            found.append(_parse(self._buffer[at : at + SIZE]))
            self._sure = True
            at += SIZE
        del self._buffer[:at]
        return found

    def end(self) -> list[Packet]:
        """Return the last packet where the stream ends with it, and forget what remains."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        sure, self._sure = self._sure, False
        if len(rest) >= SIZE and rest[0] == START and rest[SIZE - 1] in _STOPS:
            return [_parse(rest[:SIZE])]
        if rest and not sure:
            self.skipped += len(rest)
        return []

    def _packet_at(self, at: int) -> bool:
        buffer = self._buffer
        whole = buffer[at] == START and buffer[at + SIZE - 1] in _STOPS
        return whole and (self._sure or buffer[at + SIZE] == START)

    def _lose(self, count: int) -> None:
        if self._sure:
            self.broken += 1
        self._sure = False
        self.skipped += count


def _parse(raw: bytes | bytearray) -> Packet:
    channels = tuple(int.from_bytes(raw[i : i + 3], "big", signed=True) for i in range(2, 2 + 3 * CHANNELS, 3))
    return Packet(raw[1], channels, bytes(raw[26:32]), raw[32])


@dataclass(frozen=True, slots=True)
class Board:
    """What a board says after a reset: its firmware (None before version 2), and whether a Daisy sits on it."""

    firmware: str | None
    major: int
    amplifier: bool
    daisy: bool


def parse_banner(text: bytes) -> Board:
    """Return what the text after a soft reset says."""
    firmware = _FIRMWARE.search(text)
    return Board(
        firmware=firmware[1].decode() if firmware else None,
        major=int(firmware[2]) if firmware else 1,
        amplifier=_AMPLIFIER.search(text) is not None,
        daisy=b"Daisy" in text,
    )


def channel_command(channel: int, gain: int | None) -> bytes:
    """Return the command that sets a channel, 1 to 8: an electrode against its own N pin, None: switched off.

    The letters: power, gain, input, in the bias, SRB2, SRB1. Neither reference pin is joined: leads are differences.
    """
    code = GAINS.index(gain or GAINS[-1])
    used = gain is not None
    return f"x{channel}{int(not used)}{code}0{int(used)}00X".encode()


def lead_off_command(channel: int, *, on: bool) -> bytes:
    """Return the command that sends the test current through a channel's two electrodes, or no longer."""
    return f"z{channel}{int(on)}{int(on)}Z".encode()


def successes(text: bytes, of: bytes, channels: Sequence[int]) -> bool:
    """Say whether the answers report success for each of these channels; `of` is `Channel` or `Lead off`."""
    return all(b"Success: %s set for %d%s" % (of, channel, END) in text for channel in channels)
