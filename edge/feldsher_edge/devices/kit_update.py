"""New firmware for a kit over its line: handed over in pieces, refused with the reason, kept only once it works.

docs/kit-protocol.md, "Updates". The kit itself verifies signature, board, order and image: a gateway led astray can at
worst make it say no. After `install` the kit restarts and runs the new firmware on trial, until `confirm`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from feldsher_signal import frame

from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.kit_line import KitLine

WAIT_S = 0.25
"""How long the kit is left to work before it is asked again."""
PATIENCE_S = 60.0
"""Verifying a signature and reading 3 MB of flash back take it seconds; longer, and something is wrong."""

_OK_OR_WAIT = (frame.RESULT_OK, frame.RESULT_WAIT)


async def install(line: KitLine, artefact: bytes, progress: Callable[[int, int], None] | None = None) -> None:
    """Hand an artefact (feldsher_signal.artefact) to a kit and restart it; DeviceError says why it was refused.

    `progress` hears of the bytes handed over and of those in all. The old firmware stays in its slot.
    """
    await line.acknowledged(frame.CMD_UPDATE_BEGIN, frame.pack_update(len(artefact)))
    at = 0
    while at < len(artefact):
        piece = frame.pack_piece(at, artefact[at : at + frame.UPDATE_PIECE])
        at = (await _done(line, frame.CMD_UPDATE_DATA, piece)).sent
        if progress is not None:
            progress(at, len(artefact))
    await _done(line, frame.CMD_UPDATE_END)
    await line.acknowledged(frame.CMD_RESTART)


async def confirm(line: KitLine, sequence: int) -> None:
    """Keep the firmware that a kit runs on trial; DeviceError where another one runs: the kit fell back."""
    health = await status(line)
    if health.sequence != sequence:
        fell_back = " fell back and" if health.failed == sequence else ""
        raise DeviceError(f"the kit{fell_back} runs sequence {health.sequence}, not {sequence}")
    await line.acknowledged(frame.CMD_UPDATE_CONFIRM)


async def status(line: KitLine) -> frame.Health:
    """Return what the kit says of its firmware, its update and its health; DeviceError where it does not answer."""
    return frame.parse_health(await line.command(frame.CMD_HEALTH))


async def _done(line: KitLine, kind: int, payload: bytes = b"") -> frame.Ack:
    """Send a command until the kit has done its work; DeviceError where it refuses, or never ends."""
    for _ in range(round(PATIENCE_S / WAIT_S)):
        ack = await line.acknowledged(kind, payload, _OK_OR_WAIT)
        if ack.result == frame.RESULT_OK:
            return ack
        await asyncio.sleep(WAIT_S)
    raise DeviceError(f"the kit still works on command 0x{kind:02x} after {PATIENCE_S:.0f} s")
