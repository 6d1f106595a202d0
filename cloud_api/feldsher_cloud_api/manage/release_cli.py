"""`feldsher-cloud release`: keys, signing, the store of updates, and bringing them to gateways and kits in stages."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from feldsher_ehr_core.rollout import Plan, RolloutError

from feldsher_cloud_api import db
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.manage import release, rollout, tasks
from feldsher_cloud_api.manage.cli import Reason
from feldsher_cloud_api.manage.release import ReleaseError
from feldsher_cloud_api.manage.tasks import TaskError
from feldsher_cloud_api.terminal import owner, settings, show

app = typer.Typer()
Beginning = Annotated[str, typer.Argument(metavar="SHA256", help="The update's SHA-256, or its beginning.")]
RolloutId = Annotated[UUID, typer.Argument(metavar="ROLLOUT", help="Its id (`release rollouts`).")]


@contextmanager
def _named() -> Generator[None]:
    try:
        yield
    except (ReleaseError, TaskError, RolloutError) as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _cloud() -> Generator[tuple[Settings, db.Connection]]:
    of = settings()
    with _named(), owner(of) as connection:
        yield of, connection


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Its name: of the person or place that signs.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Folder, best on no machine of the cloud; then `release trust` its .pub."),
    ] = None,
) -> None:
    """Make a release key: NAME.key stays secret, NAME.pub is what is trusted.

    Without --to it lies among this cloud's secrets and is trusted at once: simple, but whoever owns this machine then
    writes your gateways' software. Gateways learn the trusted keys when they are claimed; later ones an update brings
    (`release sign --trust`).
    """
    with _named():
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
            show({"key": str(to / f"{name}.key"), "public": release.new_key(to, name)})
            return
    with _cloud() as (of, connection):
        folder = of.secrets / "release"
        public = release.new_key(folder, name)
        release.trust(connection, name, public, of.clock())
    show({"key": str(folder / f"{name}.key"), "public": public})


@app.command()
def trust(name: str, public: Annotated[Path, typer.Argument(help="The file NAME.pub.", exists=True)]) -> None:
    """Trust a release key that was made elsewhere."""
    with _cloud() as (of, connection):
        release.trust(connection, name, public.read_text().strip(), of.clock())


@app.command()
def retire(name: str) -> None:
    """Trust a release key no more: nothing that it signed is offered, and running rollouts of it halt.

    Gateways that were claimed with it still take it until an update brings them other keys.
    """
    with _cloud() as (of, connection):
        release.retire(connection, name, of.clock())


@app.command()
def keys() -> None:
    """Print all release keys, one JSON object per line."""
    with _cloud() as (_, connection):
        for one in release.keys(connection):
            show(one)


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="With requirements.lock (hashes!) and wheels/*.whl.", exists=True)],
    out: Annotated[Path, typer.Argument(help="The update to write, .tar")],
) -> None:
    """Make a gateway's update of the wheels that its environment will be built from, without any network."""
    with _named():
        release.pack(folder, out)


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="What `release pack` made, or a kit's .fkit", exists=True)],
    secret: Annotated[Path, typer.Option("--key", help="The release key, NAME.key", exists=True)],
    version: Annotated[str, typer.Option(help="For people; a kit's firmware says it itself.")] = "",
    sequence: Annotated[int, typer.Option(help="Above that of every update before: gateways never go back.")] = 0,
    target: Annotated[str, typer.Option(help="The machine: aarch64, x86_64, any")] = "any",
    python: Annotated[str, typer.Option(help="The Python that the wheels are made for")] = "3.11",
    trusted: Annotated[
        list[Path] | None, typer.Option("--trust", help="Key (.pub) to be trusted from then on, instead of all before")
    ] = None,
) -> None:
    """Sign an update and write FILE.signed beside it. Needs neither database nor network."""
    with _named():
        fields: dict[str, Any] = {"version": version, "sequence": sequence, "target": target, "python": python}
        if trusted:
            fields["keys"] = [path.read_text().strip() for path in trusted]
        manifest = release.describe(file, **({} if file.suffix == ".fkit" else fields))
        typer.echo(str(release.sign(file, manifest, release.load_key(secret))))


@app.command()
def add(file: Annotated[Path, typer.Argument(help="The update; FILE.signed lies beside it.", exists=True)]) -> None:
    """Take a signed update into the store, to be offered."""
    with _cloud() as (of, connection):
        show(asdict(release.add(connection, of, file, tasks.administrator().name)))


@app.command("list")
def list_artefacts() -> None:
    """Print every update in the store, newest first, one JSON object per line."""
    with _cloud() as (_, connection):
        for one in release.artefacts(connection):
            show(asdict(one))


@app.command()
def offer(
    sha256: Beginning,
    gateway: str,
    device: Annotated[str, typer.Option("--kit", help="The kit's name on that gateway, for a firmware.")] = "",
    reason: Reason = "",
) -> None:
    """Offer an update to one gateway, or a firmware to one kit behind it."""
    with _cloud() as (of, connection):
        update = release.find(connection, sha256)
        if (update.kind == "kit") != bool(device):
            raise ReleaseError("a firmware is for a kit: name it with --kit; a gateway's update is for none")
        tasks.check_gateway(connection, gateway)
        who = tasks.administrator()
        made = rollout.start(connection, update, [(gateway, device)], rollout.ONE, who, reason=reason, now=of.clock())
    show({"rollout": str(made)})


@app.command("rollout")
def begin(
    sha256: Beginning,
    stages: Annotated[str, typer.Option(help="Percent of the gateways that each stage reaches in all.")] = "5,25,100",
    observe: Annotated[float, typer.Option(help="Hours that a stage is observed before the next.")] = 24.0,
    most_failed: Annotated[int, typer.Option(help="Percent of failures above which all is halted.")] = 10,
    least_applied: Annotated[int, typer.Option(help="Percent that must run it before the next stage.")] = 80,
    first: Annotated[list[str] | None, typer.Option(help="A gateway of the first stage in any case.")] = None,
    reason: Reason = "",
) -> None:
    """Bring an update to every gateway (or kit) that it could be for, stage after stage; the worker does it."""
    with _cloud() as (of, connection):
        update = release.find(connection, sha256)
        try:
            shares = tuple(int(share) for share in stages.split(","))
        except ValueError as error:
            raise RolloutError(f"stages {stages!r}: percentages with commas between, like 5,25,100") from error
        plan = Plan(shares, least_applied, most_failed, observe * 3600)
        wanted = rollout.candidates(connection, update)
        who = tasks.administrator()
        made = rollout.start(connection, update, wanted, plan, who, reason=reason, now=of.clock(), first=first or ())
    show({"rollout": str(made), "targets": len(wanted)})


@app.command("rollouts")
def list_rollouts(
    one: Annotated[UUID | None, typer.Argument(metavar="ROLLOUT", help="Its targets; else all rollouts.")] = None,
) -> None:
    """Print rollouts, newest first, or the targets of one, one JSON object per line."""
    with _cloud() as (_, connection):
        found = rollout.rollouts(connection) if one is None else rollout.targets(connection, one)
        for item in found:
            show(asdict(item))


@app.command()
def halt(identity: RolloutId, reason: Reason = "halted by hand") -> None:
    """Stop a rollout: nothing more is offered, and what no gateway has begun is withdrawn."""
    with _cloud() as (of, connection):
        rollout.halt(connection, identity, reason, of.clock())


@app.command()
def pause(identity: RolloutId, reason: Reason = "paused by hand") -> None:
    """Offer nothing more for now; what was offered goes on."""
    with _cloud() as (of, connection):
        rollout.pause(connection, identity, reason, of.clock())


@app.command()
def resume(
    identity: RolloutId,
    most_failed: Annotated[int | None, typer.Option(help="Another limit of failures, percent.")] = None,
    reason: Reason = "resumed by hand",
) -> None:
    """Let a paused or halted rollout go on from where it was; its failures still count."""
    with _cloud() as (of, connection):
        if most_failed is not None:
            rollout.tolerate(connection, identity, most_failed)
        rollout.resume(connection, identity, reason, of.clock())
