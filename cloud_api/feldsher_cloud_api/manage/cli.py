"""`feldsher-cloud gateway configure|standing|tasks|diagnostics|wipe`: what is wanted of a gateway, what came of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feldsher_cloud_api.manage import configuration, tasks, wipe
from feldsher_cloud_api.manage import diagnostics as bundles
from feldsher_cloud_api.manage.tasks import TaskError
from feldsher_cloud_api.terminal import owner, settings, show

Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for whoever looks later.")]


def configure(
    name: Annotated[str, typer.Argument(help="The gateway.")],
    file: Annotated[Path | None, typer.Argument(help="Its whole wanted configuration, TOML.", exists=True)] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="One value over what is wanted now: mqtt.heartbeat_s=30")
    ] = None,
    reason: Reason = "",
    check: Annotated[bool, typer.Option("--check", help="Only say whether a gateway could use it.")] = False,
) -> None:
    """Sign a configuration for a gateway and let it be sent: the gateway lays it over its own file and tries it.

    Give a FILE, or --set KEY=VALUE once or more. The gateway keeps it once it has been connected for a while with
    everything alive; else it goes back and says why (`feldsher-cloud gateway standing NAME`).
    """
    if (file is None) == (not changes):
        raise typer.BadParameter("give a FILE, or --set KEY=VALUE; not both, not neither")
    of = settings()
    with owner(of) as connection:
        try:
            wanted = configuration.wanted(connection, name) if file is None else _read(file)
            toml = configuration.changed(wanted, changes) if changes else wanted
            if check:
                configuration.check(toml)
                typer.echo(toml, nl=False)
                return
            who = tasks.administrator()
            version, task = configuration.author(connection, of, name, toml, who, reason=reason)
        except TaskError as error:
            raise typer.BadParameter(str(error)) from error
    show({"gateway": name, "version": version, "task": str(task)})


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{file}: cannot be read: {error}") from error


def standing(name: Annotated[str | None, typer.Argument(help="One gateway; all if not given.")] = None) -> None:
    """Print what is wanted of gateways beside what they report, one JSON object per line."""
    with owner(settings()) as connection:
        for one in configuration.standing(connection, name):
            show(asdict(one))


def configurations(name: Annotated[str, typer.Argument(help="The gateway.")]) -> None:
    """Print every configuration that was wanted of a gateway, newest first, one JSON object per line."""
    with owner(settings()) as connection:
        for one in configuration.versions(connection, name):
            show(asdict(one))


def list_tasks(name: Annotated[str, typer.Argument(help="The gateway.")]) -> None:
    """Print what a gateway was asked to do and what became of it, newest first, one JSON object per line."""
    with owner(settings()) as connection:
        for one in tasks.of_gateway(connection, name):
            show(asdict(one))


def diagnostics(
    name: Annotated[str, typer.Argument(help="The gateway.")],
    to: Annotated[Path | None, typer.Option(help="Write the newest bundle to this file; ask for none.")] = None,
    reason: Reason = "",
) -> None:
    """Ask a gateway for a diagnostics bundle, without personal data; later fetch it with --to FILE."""
    of = settings()
    with owner(of) as connection:
        try:
            if to is None:
                who = tasks.administrator()
                show({"task": str(bundles.ask(connection, name, who, reason=reason, now=of.clock()))})
                return
        except TaskError as error:
            raise typer.BadParameter(str(error)) from error
        came = bundles.bundles(connection, name)
        if not came:
            typer.echo(f"{name}: no bundle has come (yet); `feldsher-cloud gateway tasks {name}` says more", err=True)
            raise typer.Exit(1)
        to.write_bytes(bundles.content(connection, came[0].id) or b"")
        show(asdict(came[0]))


def forget(
    name: Annotated[str, typer.Argument(help="The gateway.")],
    force: Annotated[bool, typer.Option(help="Also what it has measured and not sent yet; that is lost.")] = False,
    reason: Reason = "",
) -> None:
    """Make a gateway forget everything before it is returned or given to others: measurements, bonds, identity.

    It first sends what waits, unless --force. When its task is `applied` (`feldsher-cloud gateway tasks NAME`), revoke
    it: `feldsher-cloud gateway revoke NAME`.
    """
    of = settings()
    with owner(of) as connection:
        try:
            task = wipe.ask(connection, of, name, tasks.administrator(), reason=reason, force=force)
        except TaskError as error:
            raise typer.BadParameter(str(error)) from error
    show({"task": str(task)})


def add_to(app: typer.Typer) -> None:
    """Add these commands to `feldsher-cloud gateway`."""
    app.command()(configure)
    app.command()(standing)
    app.command()(configurations)
    app.command("tasks")(list_tasks)
    app.command()(diagnostics)
    app.command("wipe")(forget)
