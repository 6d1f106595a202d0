"""A cardiograph and five cuffs that do not exist, for the budget of a gateway: `edge_devices.py PORT DBUS`.

Each line on standard input lets every cuff measure once and somebody press the cardiograph's button.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.cuff import VirtualCuff
from feldsher_edge.simulate.patient import synthetic

ADDRESSES = tuple(f"F0:F1:F2:F3:F4:0{n}" for n in range(1, 6))
_SECONDS = 10.0


async def run(port: Path, dbus: str) -> None:
    """Offer the devices until standard input ends."""
    air = Air()
    daemon = await bluez.start(await host(air), dbus)
    cuffs = [
        VirtualCuff(air, lambda: datetime.now().astimezone().replace(tzinfo=None), address=address)
        for address in ADDRESSES
    ]
    for cuff in cuffs:
        await cuff.power_on()
    kit = VirtualCardiograph(synthetic("normal", 1), port, random.Random(1))  # noqa: S311 - repeatable
    kit.plug_in()
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        kit.press_start(_SECONDS)
        for n, cuff in enumerate(cuffs):
            await cuff.measure(Decimal(120 + n), Decimal(80), Decimal(70))
    kit.unplug()
    await daemon.stop()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
