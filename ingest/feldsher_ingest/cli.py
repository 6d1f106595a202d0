"""`feldsher-ingest`: runs a worker, tells how the line stands, asks gateways again, replays letters and archives."""

from __future__ import annotations

import dataclasses
import getpass
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import psycopg
import structlog
import typer
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import INGEST_TOOL, gateway_id
from rich.console import Console
from rich.table import Table

from feldsher_ingest import deadletter, log, replay_cli, resend, status
from feldsher_ingest.cli_retention import retentions
from feldsher_ingest.consume import Worker, collect_rarely, switch_often
from feldsher_ingest.link import Link
from feldsher_ingest.looked import Looked
from feldsher_ingest.metrics import Metrics, MetricsServer
from feldsher_ingest.replay import ReplayError
from feldsher_ingest.settings import SettingsError, database_url, from_environment
from feldsher_ingest.store import Store, UnavailableError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Takes gateways' messages from the MQTT broker into the database and sends receipts. "
        "Addresses come from FELDSHER_DATABASE_URL, FELDSHER_MQTT_URL and FELDSHER_STATE."
    ),
)
letters = typer.Typer(no_args_is_help=True, help="Messages that could not be stored, kept whole with the reason.")
app.add_typer(letters, name="dead-letters")
app.add_typer(retentions, name="retention")
app.add_typer(replay_cli.app, name="replay")

Since = Annotated[
    datetime | None,
    typer.Option(help="UTC, such as 2026-11-23T02:30:00. Without it: everything that gateways keep (seven days)."),
]


@app.command()
def run(
    seats: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=16,
            help="How many workers can be busy at once, the same for all of them; one more waits in reserve.",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Loopback port of /metrics, /live and /ready; 0 takes a free one.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run a worker until SIGTERM; then store what has arrived, send its receipts and end."""
    log.configure(log_level)
    settings = from_environment(os.environ)
    settings = dataclasses.replace(
        settings,
        seats=settings.seats if seats is None else seats,
        metrics_port=settings.metrics_port if metrics_port is None else metrics_port,
    )
    metrics = Metrics()
    consumer = Worker(settings, metrics)
    collect_rarely()
    switch_often()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        consumer.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = None
    if settings.metrics_port is not None:
        metrics.registry.register(Looked(settings.database_url, settings.state))
        server = MetricsServer(settings.metrics_port, metrics.registry, lambda: consumer.live, lambda: consumer.ready)
        structlog.stdlib.get_logger("feldsher_ingest.cli").info("metrics", port=server.port)
    try:
        consumer.run()
    finally:
        if server is not None:
            server.close()


@app.command("status")
def status_command(
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="A worker's metrics port, such as http://127.0.0.1:9101, to ask it too; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell how the line stands: database and copies, workers, what waits where, disk.

    Exit code 0: all is well; 1: something is wrong; 3: nothing is known to be wrong, but not everything could be seen.
    The database's user needs no more than the role feldsher_status.
    """
    port = os.environ.get("FELDSHER_INGEST_METRICS_PORT")
    asked = metrics or ([f"http://127.0.0.1:{port}"] if port else [])
    state = Path(os.environ.get("FELDSHER_STATE", ".state"))
    found = status.gather(database_url(os.environ), state, asked)
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        Console(soft_wrap=True).print(status.table(found))
    raise typer.Exit(found.exit_code)


@app.command("resend")
def resend_command(gateway: Annotated[str, typer.Option(help="The gateway's name.")], since: Since = None) -> None:
    """Ask one gateway to send again what it still keeps; what is stored already stays as it is."""
    log.configure("warning")
    gateway_id(gateway)
    # a broker user of its own: a worker's session must not be taken over
    settings = dataclasses.replace(from_environment(os.environ), user=INGEST_TOOL, shards=(), session_s=0)
    link = Link(settings, lambda _: None, random.Random())  # noqa: S311 (waiting times)
    link.start()
    try:
        request = resend.request(_utc(since), time.time_ns() // 1000, os.urandom(10))
        sent = link.wait_up(15) and link.publish(wire.down_topic(gateway, "resend"), wire.encode(request))
        if not (sent and link.flush(15)):
            raise SettingsError("the broker did not take the request (see the log above)")
    finally:
        link.stop()
    typer.echo(f"{gateway} is asked to send again {'everything it keeps' if since is None else f'from {since} on'}")


@app.command()
def restored(since: Since = None) -> None:
    """Tell that the database was restored or promoted: every gateway is asked once to send again.

    The workers ask gateways that are online within seconds and the others when they are next heard of. Messages made
    before --since but delivered after it are only asked for without --since.
    """
    why = f"{getpass.getuser()} ran restored"
    with _store() as store:
        store.run(lambda connection: resend.accept(connection, why))
        epoch = store.run(lambda connection: resend.open_epoch(connection, _utc(since), why))
    typer.echo(f"epoch {epoch}: the workers now ask every gateway to send again")


@letters.command("list")
def list_letters(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were repaired.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many, the newest.")] = 100,
) -> None:
    """List dead letters, newest first."""
    with _store() as store:
        found = store.run(lambda connection: deadletter.listed(connection, repaired=everything, limit=limit))
    table = Table("id", "received (UTC)", "seen", "gateway", "kind", "cause", "reason")
    for letter in found:
        at = letter.received_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        kind = letter.kind or "?"
        table.add_row(str(letter.id), at, str(letter.seen), letter.gateway, kind, letter.cause, letter.reason[:200])
    Console().print(table if found else "no dead letters")


@letters.command("show")
def show_letter(
    number: int, output: Annotated[Path | None, typer.Option(help="Write the payload to this file, for repair.")] = None
) -> None:
    """Show one dead letter: topic, reason, and what its payload holds."""
    with _store() as store:
        letter = _letter(store, number)
    typer.echo(f"{letter.topic}\n{letter.cause}: {letter.reason}\nreceived {letter.received_at}, seen {letter.seen}")
    typer.echo(deadletter.outline(letter.payload))
    if output is not None:
        output.touch(mode=0o600)
        output.write_bytes(letter.payload)


@letters.command("replay")
def replay_letter(
    number: int, payload: Annotated[Path | None, typer.Option(help="Store this repaired payload instead.")] = None
) -> None:
    """Check and store a dead letter again; exit code 1 where it is still refused."""
    repaired = None if payload is None else payload.read_bytes()
    with _store() as store:
        state = deadletter.replay(store, _letter(store, number), getpass.getuser(), repaired)
    typer.echo(state)
    if state.startswith("refused"):
        raise typer.Exit(1)


def _store() -> Store:
    return Store(database_url(os.environ), "feldsher-ingest-cli")


def _letter(store: Store, number: int) -> deadletter.DeadLetter:
    letter = store.run(lambda connection: deadletter.shown(connection, number))
    if letter is None:
        raise SettingsError(f"there is no dead letter {number}")
    return letter


def _utc(since: datetime | None) -> datetime | None:
    return None if since is None else since.replace(tzinfo=since.tzinfo or UTC)


def main() -> None:
    """Run the command line; what an operator can put right is one line on standard error and exit code 2."""
    try:
        app()
    except (SettingsError, UnavailableError, ReplayError, FileNotFoundError, ValueError, psycopg.Error) as error:
        typer.echo(f"feldsher-ingest: {error}", err=True)
        sys.exit(2)
