"""`feldsher-cloud device …` and `gateway return|replace|retire`: whose devices are, their checks, and both's life."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from feldsher_cloud_api import db, terminal
from feldsher_cloud_api.assignment import AssignmentError
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import devices, gateway_life, life, limits, trail
from feldsher_cloud_api.fleet.life import LifeError
from feldsher_cloud_api.terminal import show

device_app = typer.Typer()
Name = Annotated[str, typer.Argument(help="The gateway.")]
User = Annotated[int | None, typer.Option(help="User number of a shared device (1, 2); without it the whole device.")]


@contextmanager
def work() -> Generator[tuple[db.Connection, Settings]]:
    """Open a transaction as the database's owner; what cannot be done is told in one line, with exit code 2."""
    of = terminal.settings()
    try:
        with terminal.owner(of) as connection:
            yield connection, of
    except (LifeError, AssignmentError, FhirError) as error:
        raise typer.BadParameter(str(error)) from error


@device_app.command("add")
def device_add(
    gateway: str,
    address: Annotated[str, typer.Argument(help="Bluetooth address, or its name in the gateway's configuration.")],
    kind: Annotated[str, typer.Option(help=", ".join(life.KINDS))],
    model: Annotated[str | None, typer.Option(help="Model, as the maker names it.")] = None,
    label: Annotated[str | None, typer.Option(help="What stands on the clinic's sticker.")] = None,
) -> None:
    """Register a device that a gateway reaches and print its id."""
    with work() as (connection, settings):
        identity = life.register(
            connection, gateway=gateway, address=address, kind=kind, model=model, label=label, now=settings.clock()
        )
        trail.note(connection, trail.administrator(), "registered", settings.clock(), device=identity, gateway=gateway)
    show({"device": str(identity)})


@device_app.command("list")
def device_list() -> None:
    """Print all devices, one JSON object per line; to whom they are assigned is not in it."""
    with work() as (connection, settings):
        for one in devices.every(connection, settings.clock()):
            show(devices.plain(one))


@device_app.command("assign")
def device_assign(
    device: UUID,
    patient: UUID,
    start: Annotated[datetime | None, typer.Option(help="From when on; now if not given.")] = None,
    user: User = None,
) -> None:
    """Assign a device (or a user number of it) to a patient from a time on; what held there ends."""
    with work() as (connection, settings):
        store.read(connection, "Patient", patient)
        fresh = life.hand_over(
            connection, trail.administrator(), device, patient, settings.clock(), user=user,
            start=start.astimezone() if start else None,
        )  # fmt: skip
    show({"assigned": fresh})


@device_app.command("share")
def device_share(
    device: UUID, user: Annotated[int, typer.Option(help="The number of the patient who has the device now.")] = 1
) -> None:
    """Make a device of one patient a shared one: from now on its user numbers tell whose a reading is."""
    with work() as (connection, settings):
        life.share(connection, trail.administrator(), device, user, settings.clock())
    show({"shared": True})


@device_app.command("end")
def device_end(device: UUID, user: User = None) -> None:
    """End what is assigned of a device (or of a user number of it); the device stays where it is."""
    with work() as (connection, settings):
        ended = life.end(connection, trail.administrator(), device, user, settings.clock())
    show({"ended": ended})


@device_app.command("return")
def device_return(device: UUID) -> None:
    """Note that a device came back: its assignments end; it is not handed out before `device clean`."""
    with work() as (connection, settings):
        life.take_back(connection, trail.administrator(), device, settings.clock())
    show({"life": "to_clean"})


@device_app.command("clean")
def device_clean(device: UUID) -> None:
    """Note that a device's memory and bonds are empty and that it is disinfected: it may be handed out."""
    with work() as (connection, settings):
        life.cleaned(connection, trail.administrator(), device, settings.clock())
    show({"life": "ready"})


@device_app.command("replace")
def device_replace(old: UUID, new: UUID) -> None:
    """Give whoever has the device OLD the device NEW instead; OLD came back and is to be cleaned."""
    with work() as (connection, settings):
        moved = life.replace(connection, trail.administrator(), old, new, settings.clock())
    show({"assigned": moved})


@device_app.command("retire")
def device_retire(device: UUID) -> None:
    """Note that a device is used no more; its readings stay whose they are."""
    with work() as (connection, settings):
        life.retire(connection, trail.administrator(), device, settings.clock())
    show({"life": "retired"})


@device_app.command("calibrate")
def device_calibrate(
    device: UUID,
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day of the check.")],
    by: Annotated[str, typer.Option(help="Who checked it.")],
    certificate: Annotated[str, typer.Option(help="Number of the certificate.")],
    months: Annotated[int | None, typer.Option(help="Months until the next; else the kind's own interval.")] = None,
) -> None:
    """Enter a metrological check of a device and print when the next is due."""
    with work() as (connection, settings):
        kind = devices.kind(connection, device)
        interval = months or limits.load().calibration_months.get(kind)
        if interval is None:
            raise LifeError("months", f"--months is needed: there is no interval for a {kind}")
        check = life.Calibration(on.date(), interval, by, certificate)
        life.calibrate(connection, trail.administrator(), device, check, settings.clock())
    show({"due": check.due_on})


def gateway_return(
    name: Name, reason: Annotated[str, typer.Option("--reason", "-m", help="Why, for whoever looks later.")] = ""
) -> None:
    """Make a gateway send what waits and then forget everything; revoke it when it has (`gateway tasks`)."""
    with work() as (connection, of):
        who = trail.administrator()
        gateway_life.take_back(connection, of, who, name, reason=reason, now=of.clock())
    show({"gateway": name, "life": "returning"})


def gateway_replace(
    old: Annotated[str, typer.Argument(help="The gateway that goes.")],
    new: Annotated[str, typer.Argument(help="The name of the one that takes its place.")],
) -> None:
    """Register a gateway in another's place and print its one-time claim; the old one forgets everything if it can."""
    with work() as (connection, of):
        try:
            claim = gateway_life.replace(connection, of, trail.administrator(), old, new, of.clock())
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(claim.text())


def gateway_retire(name: Name) -> None:
    """Note that a gateway is used no more; it has to be revoked first."""
    with work() as (connection, of):
        gateway_life.retire(connection, trail.administrator(), name, of.clock())
    show({"gateway": name, "life": "retired"})


def add_to(app: typer.Typer) -> None:
    """Add these commands to `feldsher-cloud gateway`."""
    app.command("return")(gateway_return)
    app.command("replace")(gateway_replace)
    app.command("retire")(gateway_retire)
