import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from feldsher_edge.ble import agent
from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_tools.dbus import DBus

RNG = random.Random(1)  # noqa: S311 - jitter


@pytest.fixture
async def kept(dbus: DBus, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", dbus.address)
    monkeypatch.setattr(agent, "_RETRY_S", 0.02)
    task = asyncio.create_task(agent.keep_registered(RNG))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def registered(daemon: bluez.VirtualBluez) -> None:
    async with asyncio.timeout(60):
        while daemon.agent != agent.PATH:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("kept")
async def test_it_waits_for_the_daemon_and_outlives_its_restarts(dbus: DBus):
    for _ in range(2):
        daemon = await bluez.start(await host(Air()), dbus.address)
        await registered(daemon)
        await daemon.stop()


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("question", "signature", "body"),
    [
        ("RequestAuthorization", "o", ["/org/bluez/hci0/dev_1"]),
        ("AuthorizeService", "os", ["/org/bluez/hci0/dev_1", "00001810-0000-1000-8000-00805f9b34fb"]),
        ("RequestConfirmation", "ou", ["/org/bluez/hci0/dev_1", 123456]),
        ("Cancel", "", []),
        ("Release", "", []),
    ],
)
async def test_every_just_works_question_is_answered(dbus: DBus, question: str, signature: str, body: list[object]):
    daemon = await bluez.start(await host(Air()), dbus.address)
    await registered(daemon)
    bus = await MessageBus(bus_address=dbus.address).connect()
    reply = await bus.call(
        Message(
            destination=daemon.agent_owner,
            path=agent.PATH,
            interface="org.bluez.Agent1",
            member=question,
            signature=signature,
            body=body,
        )
    )
    assert reply.message_type == MessageType.METHOD_RETURN
    bus.disconnect()
    await bus.wait_for_disconnect()
    await daemon.stop()
