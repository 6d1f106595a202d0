"""The commands about devices: which are there, pairing, names, forgetting, and testing one again."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from feldsher_edge import config_file, pairing, search, self_test
from feldsher_edge.ble import bonds
from feldsher_edge.ble.session import Radio
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out
from feldsher_edge.config import ConfigError
from feldsher_edge.devices import DeviceError
from feldsher_edge.devices.profiles import PROFILES
from feldsher_edge.guide import described, proposed
from feldsher_edge.service_control import ControlError, reload, running

Device = Annotated[str, typer.Argument(help="Its name in the configuration.")]


def devices(
    config: ConfigFile = DEFAULT,
    listen: Annotated[float, typer.Option(min=0, help="Seconds to listen for Bluetooth devices; 0: not at all.")] = 8.0,
    port: Annotated[list[str] | None, typer.Option(help="Ask these serial ports only; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Show which devices are plugged in or nearby, and which of them belong to this gateway."""
    out = Out(json=json)
    out.load(config)
    known = config_file.devices(config)
    by_port = {str(fields["port"]): str(fields["device"]) for _, fields in known if "port" in fields}
    by_address = {str(f["address"]).upper(): str(f["device"]) for _, f in known if "address" in f}
    try:
        found = asyncio.run(_look(tuple(port) if port else None, listen, by_port, by_address))
    except bonds.BondsError as error:
        out.fail(str(error), "feldsher-edge devices --listen 0 shows what is plugged in", code=1)
    lines = [f"{it.configured or '(new)'}: {described(it)}{f'; {it.why}' if it.why else ''}" for it in found]
    met = {it.configured for it in found}
    lines += [f"{fields['device']}: {kind}, not heard now" for kind, fields in known if fields["device"] not in met]
    out.result({"found": found, "configured": [{"kind": kind, **f} for kind, f in known]}, *(lines or ["none"]))


async def _look(
    ports: tuple[str, ...] | None, listen_s: float, by_port: dict[str, str], by_address: dict[str, str]
) -> list[search.Found]:
    found = await search.serial_devices(ports if ports is not None else search.ports(), by_port)
    if listen_s:
        await bonds.known()
        found += await search.nearby(Radio(random.SystemRandom()), listen_s, by_address)
    return found


def pair(
    address: Annotated[str, typer.Argument(help="The Bluetooth address, as `feldsher-edge devices` shows it.")],
    kind: Annotated[str, typer.Option(help="cuff, thermometer, oximeter, scale, glucometer, …")] = "cuff",
    name: Annotated[str | None, typer.Option(help="Its name here; without it, one is made.")] = None,
    config: ConfigFile = DEFAULT,
    wait: Annotated[float, typer.Option(min=1, help="Seconds to wait until it is heard.")] = 60.0,
    json: Json = False,
) -> None:
    """Pair a Bluetooth device with this gateway and write it into the configuration."""
    out = Out(json=json)
    out.load(config)
    if kind not in PROFILES:
        out.fail(f"{kind!r} is no kind of device", f"one of: {', '.join(PROFILES)}")
    known = config_file.devices(config)
    there = next((str(f["device"]) for _, f in known if str(f.get("address", "")).upper() == address.upper()), None)
    try:
        identity, battery = asyncio.run(pairing.pair(Radio(random.SystemRandom()), kind, address, wait))
        if there is None:
            there = name or proposed(kind, {str(fields["device"]) for _, fields in known})
            config_file.add(config, kind, {"device": there, "address": address.upper(), "since": _now()})
    except DeviceError as error:
        out.fail(str(error), f"feldsher-edge pair {address}", code=1)
    except (ConfigError, OSError) as error:
        out.fail(str(error), f"correct {config}")
    _reload(out, config)
    told = {"device": there, "address": address.upper(), "model": identity.model, "battery": battery}
    out.result(told, f"{there}: {identity.model} is paired. Now: feldsher-edge test {there} --wait 120")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def forget(device: Device, config: ConfigFile = DEFAULT, json: Json = False) -> None:
    """Take a device away from this gateway: its entry in the configuration, and its Bluetooth bond."""
    out = Out(json=json)
    out.load(config)
    gone: dict[str, Any] = {}
    try:
        gone = config_file.remove(config, device)
        _reload(out, config)
        removed = asyncio.run(bonds.forget([gone["address"]])) if gone.get("address") else []
    except (ConfigError, OSError) as error:
        out.fail(str(error), "feldsher-edge devices shows their names")
    except bonds.BondsError as error:
        todo = "start it (systemctl start bluetooth), then: bluetoothctl remove " + str(gone.get("address"))
        out.fail(f"{device} is out of the configuration, but its bond is not removed: {error}", todo, code=1)
    words = "and its bond is removed" if removed else "there was no bond"
    out.result({"forgotten": device, "bond_removed": bool(removed)}, f"{device} no longer belongs here; {words}.")


def rename(
    device: Device,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    config: ConfigFile = DEFAULT,
    json: Json = False,
) -> None:
    """Give a device another name. Orders name a cardiograph by it: change it in the workstation too."""
    out = Out(json=json)
    out.load(config)
    try:
        config_file.rename(config, device, name)
    except (ConfigError, OSError) as error:
        out.fail(str(error), "feldsher-edge devices shows their names")
    _reload(out, config)
    out.result({"device": name, "before": device}, f"{device} is called {name} now.")


def probe(
    device: Annotated[str | None, typer.Argument(help="Its name; without it, all are tested.")] = None,
    config: ConfigFile = DEFAULT,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a device that comes by itself.")] = 0.0,
    json: Json = False,
) -> None:
    """Test the running gateway's connection and its devices: electrodes, signal, first reading. Nothing is kept."""
    out = Out(json=json)
    settings = out.load(config)
    names = config_file.testable(config)
    if device is not None and device not in names:
        out.fail(f"no device is called {device!r}", f"there are: {', '.join(names) or 'none'}")
    wanted = [device] if device is not None else names

    def tell(text: str) -> None:
        out.console.print(text, markup=False)

    out.checks(asyncio.run(self_test.run(settings.state, wanted, connect_s=10.0, wait_s=wait, tell=tell)))


def _reload(out: Out, config: Path) -> None:
    """Let a gateway that runs read its configuration again."""
    report = running(out.load(config).state)
    if report is None:
        return
    try:
        reload(report)
    except ControlError as error:
        out.fail(f"the configuration is changed, but the running gateway does not know: {error}", "use sudo", code=1)
