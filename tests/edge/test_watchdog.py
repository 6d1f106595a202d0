"""Heartbeats, and what systemd hears of them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.watchdog import Notifier, Pulses, watchdog


def test_a_task_is_late_when_its_time_has_passed() -> None:
    clock = VirtualClock()
    pulses = Pulses(clock.mono_ns)
    pulses.beat("fast", 5)
    pulses.beat("slow", 50)
    clock.advance(6)
    assert pulses.late() == ["fast"]
    pulses.beat("fast", 5)
    assert pulses.late() == []
    clock.advance(100)
    pulses.end("slow")
    assert pulses.late() == ["fast"]


def listener(path: str) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(path)
    heard.setblocking(False)
    return heard


async def hear(heard: socket.socket, seconds: float) -> list[bytes]:
    await asyncio.sleep(seconds)
    messages: list[bytes] = []
    try:
        while True:
            messages.append(heard.recv(100))
    except BlockingIOError:
        return messages


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_of_us_only_while_no_task_is_late(tmp_path: Path, abstract: bool) -> None:
    address = f"@feldsher-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "n")
    heard = listener("\0" + address[1:] if abstract else address)
    clock = VirtualClock()
    pulses = Pulses(clock.mono_ns)
    pulses.beat("publisher", 5)
    task = asyncio.create_task(watchdog(pulses, Notifier({"NOTIFY_SOCKET": address}), every_s=0.01))
    messages = await hear(heard, 0.2)
    assert messages[0] == b"READY=1"
    assert b"WATCHDOG=1" in messages
    clock.advance(6)
    await hear(heard, 0.1)
    assert await hear(heard, 0.2) == []
    pulses.beat("publisher", 5)
    assert b"WATCHDOG=1" in await hear(heard, 0.2)
    task.cancel()
    heard.close()


def test_without_systemd_nothing_happens() -> None:
    Notifier({}).notify("READY=1")
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket"}).notify("READY=1")
