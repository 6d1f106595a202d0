"""A cardiograph and five cuffs that do not exist, for the budget of a gateway: `edge_devices.py PORT DBUS CONFIRMED`.

`go` on standard input lets every cuff measure once and somebody press the cardiograph's button; `burst N` gives every
cuff N readings to bring in one session. What is confirmed to a cuff is a line in the file CONFIRMED.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.patient import synthetic
from feldsher_edge.simulate.storing import Emit

ADDRESSES = tuple(f"F0:F1:F2:F3:F4:0{n}" for n in range(1, 6))
_SECONDS = 10.0


def confirming(out: TextIO, address: str) -> Emit:
    """Return what writes down when a reading of a cuff was confirmed."""

    def happened(event: str, _fields: dict[str, object]) -> None:
        if event == "cuff_confirmed":
            out.write(json.dumps({"device": address, "at_us": time.time_ns() // 1000}) + "\n")

    return happened


async def burst(cuff: VirtualCuff, number: int) -> None:
    """Give a cuff readings that all differ."""
    for n in range(number):
        await cuff.measure(Decimal(100 + n % 100), Decimal(60 + n // 100), Decimal(70))


async def run(port: Path, dbus: str, confirmed: TextIO) -> None:
    """Offer the devices until standard input ends."""
    air = Air()
    daemon = await bluez.start(await host(air), dbus)
    cuffs = [
        VirtualCuff(
            air,
            lambda: datetime.now().astimezone().replace(tzinfo=None),
            address=address,
            emit=confirming(confirmed, address),
        )
        for address in ADDRESSES
    ]
    for cuff in cuffs:
        await cuff.power_on()
    kit = VirtualCardiograph(synthetic("normal", 1), port, random.Random(1))  # noqa: S311 - repeatable
    kit.plug_in()
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "burst":
            for cuff in cuffs:
                await burst(cuff, int(line[1]))
            continue
        kit.press_start(_SECONDS)
        for n, cuff in enumerate(cuffs):
            await cuff.measure(Decimal(120 + n), Decimal(80), Decimal(70))
    kit.unplug()
    await daemon.stop()


if __name__ == "__main__":
    with Path(sys.argv[3]).open("w", buffering=1) as out:
        asyncio.run(run(Path(sys.argv[1]), sys.argv[2], out))
