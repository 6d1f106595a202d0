"""From the Bluetooth daemon's confirmation to our commit: how long a reading lives only in memory; and what it costs.

What one costs altogether: its share of the session, D-Bus, commit, publishing and receipt.

The daemon confirms an indication to the device by itself, which may then forget the reading; a power cut before our
commit loses it (docs/safety, H1). Measured from outside: the virtual cuff notes when the confirmation reaches it, the
real gateway's log when the reading is on the disk. Both are processes of one machine and read one clock.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from soak import growth

READINGS = 60
"""Readings that each cuff brings in one session."""


def measure(pid: int, log: Path, confirmed: Path, bring: Callable[[int], None]) -> dict[str, Any]:
    """Return the figures of readings so far, which came one at a time, and of a burst.

    `bring(n)`: each cuff brings so many readings in one session, all of which reach the cloud.
    """
    singles, committed = _confirmations(confirmed), commits(_lines(log))
    alone = [us / 1000 for us in pair(singles, committed)]
    before_cpu = growth(pid).cpu_s
    bring(READINGS)
    cpu_s = growth(pid).cpu_s - before_cpu
    heard = _confirmations(confirmed)[len(singles) :]
    windows = [us / 1000 for us in pair(heard, commits(_lines(log))[len(committed) :])]
    centiles = statistics.quantiles(windows, n=100)
    return {
        "window_single_ms": round(statistics.median(alone), 2),
        "window_ms_p50": round(centiles[49], 2),
        "window_ms_p99": round(centiles[98], 2),
        "window_ms_max": round(max(windows), 2),
        "daemon_cpu_per_reading_ms": round(1e3 * cpu_s / len(windows), 3),
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def _confirmations(path: Path) -> list[tuple[str, int]]:
    return [(it["device"], it["at_us"]) for it in _lines(path)]


def commits(log: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the device and the wall time (microseconds) of every reading that the gateway's log says is on disk."""
    return [
        (it["device"], round(datetime.fromisoformat(it["timestamp"]).timestamp() * 1e6))
        for it in log
        if it["event"] == "readings"
    ]


def pair(confirmed: Iterable[tuple[str, int]], committed: Iterable[tuple[str, int]]) -> list[int]:
    """Return, for each reading, the microseconds from its confirmation to its commit, by device and order.

    ValueError where a device's readings are not as many on both sides.
    """
    ends: dict[str, list[int]] = defaultdict(list)
    starts: dict[str, list[int]] = defaultdict(list)
    for device, at in committed:
        ends[device].append(at)
    for device, at in confirmed:
        starts[device].append(at)
    return [end - start for device in starts | ends for start, end in zip(starts[device], ends[device], strict=True)]
