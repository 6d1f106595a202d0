"""Serial ports are asked, Bluetooth devices heard, paired, known and forgotten: over a real pty and a real D-Bus."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from feldsher_edge import pairing, search
from feldsher_edge.ble import bonds
from feldsher_edge.ble.session import Radio
from feldsher_edge.devices import DeviceError
from feldsher_edge.search import Found
from feldsher_edge.simulate import bluez
from feldsher_edge.simulate.air import Air, host
from feldsher_edge.simulate.cardiograph import VirtualCardiograph
from feldsher_edge.simulate.cuff import ADDRESS, NAME, VirtualCuff
from feldsher_edge.simulate.patient import synthetic
from feldsher_tools.dbus import DBus

RNG = random.Random(1)  # noqa: S311 - jitter


@pytest.fixture
async def port(tmp_path: Path) -> AsyncGenerator[str]:
    kit = VirtualCardiograph(synthetic("normal", 1), tmp_path / "kit", random.Random(1))  # noqa: S311 - faults
    kit.plug_in()
    yield str(tmp_path / "kit")
    kit.unplug()


async def test_a_kit_says_that_it_is_one(port: str) -> None:
    (found,) = await search.serial_devices([port], {})
    assert (found.kind, found.port, found.words) == ("kit", port, "12-lead ECG kit")
    assert found.serial
    (known,) = await search.serial_devices([port], {port: "ecg-1"})
    assert known.configured == "ecg-1"


async def test_a_port_where_nothing_answers_and_one_that_is_in_use(tmp_path: Path) -> None:
    master, slave = os.openpty()
    mute = os.ttyname(slave)
    try:
        (found,) = await search.serial_devices([mute], {})
        assert (found.kind, "no answer" in found.why) == (None, True)
    finally:
        os.close(master)
        os.close(slave)
    (gone,) = await search.serial_devices([str(tmp_path / "gone")], {})
    assert "No such file" in gone.why
    (used,) = await search.serial_devices([str(tmp_path / "gone")], {str(tmp_path / "gone"): "ecg-1"})
    assert used.why == "in use: it is ecg-1 of this gateway"


@pytest.fixture
async def cuff(dbus: DBus, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[VirtualCuff]:
    for name, value in dbus.environment().items():
        monkeypatch.setenv(name, value)
    air = Air()
    daemon = await bluez.start(await host(air), dbus.address)
    made = VirtualCuff(air, lambda: datetime.now(UTC).replace(tzinfo=None))
    await made.power_on()
    yield made
    await daemon.stop()


async def test_a_cuff_is_heard_paired_known_and_forgotten_and_keeps_its_readings(cuff: VirtualCuff) -> None:
    assert await search.nearby(Radio(RNG), 0.5, {}) == []
    await cuff.measure(Decimal(132), Decimal(84), Decimal(70))
    (heard,) = await search.nearby(Radio(RNG), 3.0, {ADDRESS: "cuff-1"})
    assert (heard.kind, heard.address, heard.name, heard.configured) == ("cuff", ADDRESS, NAME, "cuff-1")
    assert heard.signal is not None
    identity, battery = await pairing.pair(Radio(RNG), "cuff", ADDRESS, 20.0)
    assert (identity.model, battery) == ("UA-651BLE virtual", 87)
    assert (len(cuff.queue), cuff.pairings) == (1, 1)
    assert [(bond.address, bond.paired) for bond in await bonds.known()] == [(ADDRESS, True)]
    assert await bonds.forget([ADDRESS.lower()]) == [ADDRESS]
    assert await bonds.known() == []
    assert await bonds.forget([ADDRESS]) == []


async def test_a_cuff_that_is_silent_says_what_to_do(cuff: VirtualCuff) -> None:
    assert cuff.queue == []
    with pytest.raises(DeviceError, match=r"was not heard in .* take a measurement"):
        await pairing.pair(Radio(RNG), "cuff", ADDRESS, 0.5)


async def test_without_a_bluetooth_daemon_it_is_said(dbus: DBus, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in dbus.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(bonds.BondsError, match="systemctl status bluetooth"):
        await bonds.known()
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/at/all")
    with pytest.raises(bonds.BondsError, match="does not answer"):
        await bonds.known()


def test_ports_keep_their_names_when_another_is_plugged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Port:
        def __init__(self, device: str, hwid: str) -> None:
            self.device, self.hwid = device, hwid

    (tmp_path / "usb-feldsher_kit_7-if00").symlink_to("/dev/ttyACM0")
    monkeypatch.setattr(search, "_BY_ID", tmp_path)
    there = [Port("/dev/ttyUSB1", "USB VID:PID=0403:6015"), Port("/dev/ttyACM0", "USB"), Port("/dev/ttyS0", "n/a")]
    monkeypatch.setattr(search.list_ports, "comports", lambda: there)
    assert search.ports() == ["/dev/ttyUSB1", str(tmp_path / "usb-feldsher_kit_7-if00")]


def test_what_was_found_is_told_in_words() -> None:
    assert Found("glucose_sensor", address="AA").words == "glucose sensor"
    assert (Found(None, port="/dev/x").words, Found(None, port="/dev/x").where) == ("unknown device", "/dev/x")
