from __future__ import annotations

import subprocess

from dbus_fast import Message
from dbus_fast.aio import MessageBus
from feldsher_tools.dbus import DBus
from feldsher_tools.place import Place


async def owner_of(address: str, name: str) -> bool:
    bus = await MessageBus(bus_address=address).connect()
    try:
        question = Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="NameHasOwner",
            signature="s",
            body=[name],
        )
        reply = await bus.call(question)
        return bool(reply and reply.body[0])
    finally:
        bus.disconnect()


async def test_anybody_may_own_the_name_of_bluez(dbus: DBus) -> None:
    bus = await MessageBus(bus_address=dbus.environment()["DBUS_SYSTEM_BUS_ADDRESS"]).connect()
    assert not await owner_of(dbus.address, "org.bluez")
    await bus.request_name("org.bluez")
    assert await owner_of(dbus.address, "org.bluez")
    bus.disconnect()


def test_bluetoothctl_is_on_the_path_that_it_gives(dbus: DBus) -> None:
    done = subprocess.run(
        ["bluetoothctl", "--version"], env=dbus.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("bluetoothctl: 5.8")


async def test_it_comes_back_under_its_address_after_sigkill(place: Place) -> None:
    with DBus(place, name="test-dbus-killed") as bus:
        bus.kill()
        bus.start()
        assert not await owner_of(bus.address, "org.bluez")
    assert not bus.directory.exists()
