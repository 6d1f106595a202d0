"""Heartbeats of the daemon's tasks, and the systemd watchdog that hears of them only while all are fresh."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping

import structlog

_log = structlog.get_logger("watchdog")
_EVERY_S = 5.0


class Pulses:
    """The last heartbeat of every task. `mono_ns`: the monotonic clock."""

    def __init__(self, mono_ns: Callable[[], int]) -> None:
        self._mono_ns = mono_ns
        self._due: dict[str, tuple[int, float]] = {}

    def beat(self, task: str, within_s: float) -> None:
        """Note that a task is alive and will beat again within `within_s` seconds."""
        self._due[task] = (self._mono_ns(), within_s)

    def end(self, task: str) -> None:
        """Expect no more beats of a task that ended as it should."""
        self._due.pop(task, None)

    def late(self) -> list[str]:
        """Return the tasks whose heartbeat is overdue."""
        now = self._mono_ns()
        return [task for task, (at, within_s) in self._due.items() if now - at > within_s * 1e9]


class Notifier:
    """Speaks to systemd (sd_notify(3)); silent where NOTIFY_SOCKET is not set."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def notify(self, state: str) -> None:
        """Send a state such as `READY=1`; a service manager that does not listen is no reason to stop."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)  # a service manager that reads slowly must not stop the event loop
            try:
                out.sendto(state.encode(), self._address)
            except OSError as error:
                _log.warning("service manager not reached", error=str(error))


async def watchdog(pulses: Pulses, notifier: Notifier, every_s: float = _EVERY_S) -> None:
    """Pet the watchdog every few seconds while no task is late; a late one is named, and systemd restarts us."""
    notifier.notify("READY=1")
    while True:
        late = pulses.late()
        if late:
            _log.error("tasks without a heartbeat", tasks=late)
        else:
            notifier.notify("WATCHDOG=1")
        await asyncio.sleep(every_s)
