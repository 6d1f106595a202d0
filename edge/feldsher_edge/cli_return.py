"""The command `return`: a gateway goes back, or to other people; nothing of the present ones stays on it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from feldsher_edge import config_file, daemon, identity, owner, returning, wiping
from feldsher_edge.checks import Check
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out
from feldsher_edge.config import Config, ConfigError, read
from feldsher_edge.configured import Configured
from feldsher_edge.outbox import Counts
from feldsher_edge.service_control import ControlError, reload, running
from feldsher_edge.store import StoreError

_LOOK_S = 0.3
_KINDS = ("alarms", "ECGs", "vital signs", "continuous data")


def give_back(
    config: ConfigFile = DEFAULT,
    force: Annotated[bool, typer.Option(help="Also what the cloud has not received; it is lost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until everything has been sent.")] = 300.0,
    json: Json = False,
) -> None:
    """Return this gateway: everything that waits is sent, then identity, readings, bonds and devices are forgotten.

    Revoke it in the cloud as well: feldsher-cloud gateway revoke NAME.
    """
    out = Out(json=json)
    settings = out.load(config)
    if not yes and not json:
        typer.confirm("Forget everything on this gateway?", abort=True)
    report = running(settings.state)
    checks = _left_in_folders(settings)
    try:
        if report is not None:
            wiping.want(settings.state, force=force)
            owner.hand_over(settings.state)
            reload(report)
            _wait(out, settings, wait, force=force)
        else:
            _refuse_losses(out, settings, force=force)
            laid_over = Configured(settings.state, read(config), str(config)).effective()
            checks += asyncio.run(returning.clean(settings, laid_over))
            wiping.wipe(settings.state)
        for name in [str(fields["device"]) for _, fields in config_file.devices(config)]:
            config_file.remove(config, name)
    except PermissionError as error:
        out.fail(f"{error.filename}: not allowed", "use sudo")
    except (ControlError, ConfigError, StoreError, OSError) as error:
        out.fail(str(error), "feldsher-edge status", code=1)
    words = [f"{check.name}: {check.detail}{f' → {check.next}' if check.next else ''}" for check in checks]
    told = "Everything on this gateway is forgotten. It may be given away, or set up anew: feldsher-edge setup CLAIM"
    out.result({"forgotten": True, "checks": checks}, *words, told)


def _left_in_folders(config: Config) -> list[Check]:
    """Return which watched folders still hold files: they belong to a cardiograph's network share, not to us alone."""
    left = [
        each.path
        for each in config.folder
        if each.path.is_dir() and any(entry.is_file() for entry in each.path.rglob("*"))
    ]
    what = "it still holds patients' recordings, sealed ones and unread ones: they are not forgotten with the gateway"
    return [Check(f"folder {path}", False, what, f"empty it: sudo find {path} -type f -delete") for path in left]


def _wait(out: Out, config: Config, seconds: float, *, force: bool) -> None:
    """Wait until the running gateway has sent everything and forgotten it."""
    deadline = time.monotonic() + seconds
    while (identity.at(config.state)).exists() or wiping.wanted(config.state) is not None:
        if time.monotonic() > deadline:
            report = running(config.state)
            left = sum(report.waiting.values()) if report else 0
            todo = "leave it on with a network: it forgets everything as soon as the cloud has them; or --force"
            out.fail(f"{left} messages have not reached the cloud yet", "" if force else todo, code=1)
        time.sleep(_LOOK_S)


def _refuse_losses(out: Out, config: Config, *, force: bool) -> None:
    """End the command where a gateway that does not run holds what the cloud has not received."""
    if force or not (config.state / "outbox.sqlite3").exists():
        return
    try:
        counts = asyncio.run(_counts(config))
    except ConfigError:
        return  # never claimed: there is nobody to whom anything could be sent
    if sum(counts.waiting) + counts.held:
        todo = "start it with a network (feldsher-edge run), then return it again; --force loses them"
        out.fail(f"not received by the cloud: {losses(counts)}", todo, code=1)


async def _counts(config: Config) -> Counts:
    with daemon.opened(config) as outbox:
        return outbox.counts()


def losses(counts: Counts) -> str:
    """Return in words what waits."""
    parts = [f"{rows} {kind}" for kind, rows in zip(_KINDS, counts.waiting, strict=True) if rows]
    return ", ".join([*parts, *([f"{counts.held} ECGs being interpreted"] if counts.held else [])])
