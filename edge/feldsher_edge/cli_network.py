"""The commands for the network: look at the way to the cloud, join a Wi-Fi, use a mobile modem."""

from __future__ import annotations

import os
import ssl
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from feldsher_edge import network, nmcli, tls
from feldsher_edge.api import Api
from feldsher_edge.checks import Check
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out
from feldsher_edge.clock import SystemClock
from feldsher_edge.config import Config
from feldsher_edge.identity import Identity, ProvisionError, load_identity
from feldsher_edge.true_time import TrueTime

app = typer.Typer(no_args_is_help=True, help="Look at the way to the cloud, and set the network up.")
_PASSWORD = "FELDSHER_WIFI_PASSWORD"  # noqa: S105 - a name


@app.command()
def check(config: ConfigFile = DEFAULT, json: Json = False) -> None:
    """Look at everything between this gateway and its cloud; each failure says what to do next."""
    out = Out(json=json)
    out.checks(network.look(_cloud(out, out.load(config))))


@app.command()
def wifi(
    ssid: Annotated[
        str | None, typer.Argument(help="The network's name; without it, those in reach are listed.")
    ] = None,
    password: Annotated[
        str | None, typer.Option(envvar=_PASSWORD, help="Asked for where it is needed and not given.")
    ] = None,
    json: Json = False,
) -> None:
    """Join a Wi-Fi network, or list those in reach; it is kept for every start."""
    out = Out(json=json)
    try:
        found = nmcli.networks()
        if ssid is None:
            out.result(found, *(_line(it) for it in found), *([] if found else ["No Wi-Fi network is in reach."]))
            return
        known = next((it for it in found if it.ssid == ssid), None)
        if known is not None and known.security and not password and not json and os.isatty(0):
            password = typer.prompt("password", hide_input=True)
        nmcli.join(ssid, password)
    except nmcli.NmcliError as error:
        out.fail(str(error), "feldsher-edge network wifi lists the networks in reach", code=1)
    out.result({"joined": ssid}, f"Joined {ssid}. Now: feldsher-edge network check")


@app.command()
def mobile(
    apn: Annotated[str, typer.Argument(help="The access point name, from the operator of the SIM card.")],
    pin: Annotated[str | None, typer.Option(help="The SIM card's PIN, where it has one.")] = None,
    json: Json = False,
) -> None:
    """Use a mobile modem; it is kept for every start."""
    out = Out(json=json)
    try:
        nmcli.dial(apn, pin)
    except nmcli.NmcliError as error:
        out.fail(str(error), "nmcli device shows whether the modem is seen", code=1)
    out.result({"apn": apn}, f"Connected through {apn}. Now: feldsher-edge network check")


def _line(it: nmcli.Wifi) -> str:
    return f"{'*' if it.in_use else ' '} {it.signal:3d} %  {it.ssid}{'' if it.security else '  (open)'}"


def _cloud(out: Out, config: Config) -> network.Cloud:
    try:
        identity = load_identity(config.state)
    except ProvisionError as error:
        out.fail(str(error), "feldsher-edge claim CLAIM --force")
    if identity is None:
        out.checks([network.interfaces(), network.address()])
        out.fail("this gateway has no identity yet, so its cloud is not known", "feldsher-edge setup CLAIM", code=1)
    return cloud(config, identity)


def cloud(config: Config, identity: Identity) -> network.Cloud:
    """Return what is to be reached: the identity's cloud, with what the configuration sets otherwise."""
    mqtt, place = config.mqtt, identity.place
    time = TrueTime(SystemClock(), config.state)
    api = Api(identity, time)
    files: tuple[Path, Path, Path] = (
        mqtt.ca or identity.ca, mqtt.certificate or identity.certificate, mqtt.key or identity.key,
    )  # fmt: skip
    return network.Cloud(
        place.api_url,
        mqtt.host or place.mqtt_host,
        mqtt.port or place.mqtt_port,
        mqtt.path,
        mqtt.transport == "websockets",
        partial(_context, *files, time),
        api.ask_time,
    )


def _context(ca: Path, certificate: Path, key: Path, time: TrueTime) -> ssl.SSLContext:
    return tls.context(ca, time.now, (certificate, key))


def checked(config: Config, identity: Identity) -> list[Check]:
    """Look at the way to the cloud of an identity."""
    return network.look(cloud(config, identity))
