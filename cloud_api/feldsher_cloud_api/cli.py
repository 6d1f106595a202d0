"""`feldsher-cloud`: migrate, serve, work; the authority, gateways, devices, people; the demo; audit and signatures."""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any
from uuid import UUID

import psycopg
import structlog
import typer
import uvicorn
from feldsher_signal import jit

from feldsher_cloud_api import (
    accounts,
    audit,
    backup_cli,
    ca,
    canary,
    canary_line,
    client_cli,
    commands,
    db,
    demo,
    external,
    log,
    metrics,
    originals,
    provision,
    tokens,
    worker,
)
from feldsher_cloud_api.access import RIGHTS, Forbidden
from feldsher_cloud_api.app import create_app
from feldsher_cloud_api.care import review, signature, unassigned
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import cli as fleet
from feldsher_cloud_api.identity import cli as identity_cli
from feldsher_cloud_api.manage import cli as manage
from feldsher_cloud_api.manage import release_cli
from feldsher_cloud_api.prompt import PromptProtocol
from feldsher_cloud_api.revocation import RevocationError, enforce
from feldsher_cloud_api.secret import write_secret
from feldsher_cloud_api.synthetic import cli as synthetic_cli
from feldsher_cloud_api.terminal import owner as _owner
from feldsher_cloud_api.terminal import settings as _settings
from feldsher_cloud_api.terminal import show as _print

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
ca_app, gateway_app = typer.Typer(), typer.Typer()
user_app, audit_app, signature_app, event_app = typer.Typer(), typer.Typer(), typer.Typer(), typer.Typer()
unassigned_app, original_app = typer.Typer(), typer.Typer()
for _name, _sub, _help in (
    ("ca", ca_app, "The certificate authority of this installation."),
    ("gateway", gateway_app, "Gateways: claims, revocation, configuration, diagnostics, forgetting."),
    ("device", fleet.device_app, "Devices: whose they are, their checks, their life."),
    ("user", user_app, "People's accounts."),
    ("audit", audit_app, "The audit chain."),
    ("signature", signature_app, "Signatures of reports."),
    ("unassigned", unassigned_app, "Measurements that belong to nobody yet."),
    ("original", original_app, "Files of other cardiographs, as gateways keep them: sealed to this installation."),
    ("event", event_app, "Events of ingest that the worker gave up."),
):
    app.add_typer(_sub, name=_name, help=_help, no_args_is_help=True)
manage.add_to(gateway_app)
fleet.add_to(gateway_app)
app.add_typer(backup_cli.app, name="backup", help="Backups of the database, and restoring.", no_args_is_help=True)
app.add_typer(identity_cli.app, name="identity", help="Who is who, and whose patient: attachment, duplicates.")
app.add_typer(synthetic_cli.app, name="synthetic", help="Records of people who do not exist.", no_args_is_help=True)
app.add_typer(client_cli.app, name="client", help="Programs that registered themselves.", no_args_is_help=True)
app.add_typer(release_cli.app, name="release", help="Updates of gateways and kits.", no_args_is_help=True)


@app.command()
def migrate(
    patience: Annotated[
        int, typer.Option(min=0, help="Seconds in which locks that others hold are waited for, two at a time.")
    ] = 600,
) -> None:
    """Bring the database to the newest schema, while everything runs; where a lock is not to be had, exit code 1."""
    try:
        db.migrate(_settings().database_url, patience_s=patience)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        why = "some transaction has been open for long, see pg_stat_activity; migrate again when it has ended"
        typer.echo(f"feldsher-cloud migrate: {error}; {why}", err=True)
        raise typer.Exit(1) from error


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    tls: Annotated[bool, typer.Option(help="Serve HTTPS with a certificate of our own authority.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Loopback port of /metrics; 0 takes a free one; none if not given.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Server processes that share the port.")] = 1,
) -> None:
    """Serve the API and the pages."""
    if processes > 1 and metrics_port is not None:
        raise typer.BadParameter("one port can tell of one process only: leave --metrics-port or --processes out")
    settings = _settings()
    log.configure()
    files: dict[str, Any] = {}
    if tls:
        names = [host, "localhost", "127.0.0.1"]
        authority = ca.load(settings.ca_directory, settings.clock)
        certificate, key = authority.issue_server(names).write(settings.secrets / "api", "api")
        files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    files |= {"host": host, "port": port, "access_log": False, "log_level": "warning", "server_header": False}
    if processes > 1:
        # A small machine takes longer than uvicorn's five seconds to start a process, and it would start over for ever.
        files |= {"timeout_worker_healthcheck": 60, "http": PromptProtocol}
        uvicorn.run("feldsher_cloud_api.app:configured", factory=True, workers=processes, **files)
        return
    served = create_app(settings)
    if metrics_port is not None:
        server = metrics.serve(served.state.metrics, metrics_port)
        structlog.get_logger().info("metrics", port=server.server_port)
    uvicorn.run(served, **files)


@app.command("worker")
def run_worker(
    mqtt: Annotated[bool, typer.Option(help="Publish orders to gateways, send test alarms.")] = True,
) -> None:
    """Project events into the record, publish orders, send test alarms, seal the audit; until stopped."""
    settings = _settings()
    log.configure()
    publisher = commands.Mqtt(settings) if mqtt else None
    line = partial(canary_line.cross, settings) if mqtt else None
    running = worker.Worker(settings, publisher, line)
    # a new installation's first ECG would wait four seconds for the compiling of what draws it
    threading.Thread(target=jit.warm, name="warm", daemon=True).start()

    def stop(number: int, frame: FrameType | None) -> None:
        running.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if publisher is not None:
        publisher.start()
    running.run()
    if publisher is not None:
        publisher.stop()


@ca_app.command("init")
def ca_init() -> None:
    """Make the certificate authority where there is none, and print its pin."""
    settings = _settings()
    authority = ca.open_or_create(settings.ca_directory, settings.clock)
    _print({"ca": str(authority.directory / "ca.pem"), "ca_sha256": authority.pin, "crl": str(authority.crl_path)})


@ca_app.command("server")
def ca_server(name: str, hosts: list[str], to: Annotated[Path, typer.Option(help="Folder to write into.")]) -> None:
    """Issue a server certificate NAME.pem and NAME.key for HOSTS."""
    settings = _settings()
    certificate, key = ca.load(settings.ca_directory, settings.clock).issue_server(hosts).write(to, name)
    _print({"certificate": str(certificate), "key": str(key)})


@ca_app.command("client")
def ca_client(name: str, to: Annotated[Path, typer.Option(help="Folder to write into.")]) -> None:
    """Issue a client certificate for the broker user NAME (ingest.0 to ingest.15, ingest.tool, cloud.worker)."""
    settings = _settings()
    certificate, key = ca.load(settings.ca_directory, settings.clock).issue_client(name).write(to, name)
    _print({"certificate": str(certificate), "key": str(key)})


@gateway_app.command("add")
def gateway_add(name: str, description: Annotated[str, typer.Option(help="Where it stands.")] = "") -> None:
    """Register a gateway and print its one-time claim: it is shown only now."""
    settings = _settings()
    authority = ca.load(settings.ca_directory, settings.clock)
    with _owner(settings) as connection:
        try:
            claim = provision.add_gateway(connection, settings, authority, name, description or name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    typer.echo(claim.text())


@gateway_app.command("list")
def gateway_list() -> None:
    """Print all gateways with their state, one JSON object per line."""
    names = ("id", "name", "state", "state_at", "claimed_at", "certificate_expires", "revoked_at", "report")
    with _owner(_settings()) as connection:
        for row in provision.gateways(connection):
            _print(dict(zip(names, row, strict=True)))


@gateway_app.command("revoke")
def gateway_revoke(name: str) -> None:
    """Revoke a gateway's certificate and claim, make the broker refuse it and end its connection; repeatable.

    The broker is told by the command FELDSHER_BROKER_RELOAD. Exit code 1 where the gateway may still be connected.
    """
    settings = _settings()
    authority = ca.load(settings.ca_directory, settings.clock)
    with _owner(settings) as connection:
        found = provision.revoke_gateway(connection, authority, name, settings.clock())
    if found == "unknown":
        raise typer.BadParameter(f"{name}: there is no such gateway")
    if found == "revoked":
        try:
            enforce(settings, authority, name)
        except RevocationError as error:
            typer.echo(f"revoked, but it may still be connected: {error}", err=True)
            raise typer.Exit(1) from error


@app.command("rotate-keys")
def rotate_keys() -> None:
    """Sign tokens with new keys from now on; what the former ones signed stays valid until it is over."""
    _print(tokens.rotate(_settings()))


@user_app.command("add")
def user_add(
    username: str,
    display: str,
    role: Annotated[str, typer.Option(help=f"one of: {', '.join(RIGHTS)}")],
    practitioner: Annotated[UUID | None, typer.Option(help="Their FHIR Practitioner.")] = None,
    patient: Annotated[UUID | None, typer.Option(help="The Patient they speak for.")] = None,
    clinic_wide: Annotated[bool, typer.Option(help="In care relationship with every patient.")] = False,
) -> None:
    """Add an account and print its first password."""
    settings = _settings()
    password, identity = accounts.new_password(), store.new_id(settings.clock())
    with _owner(settings) as connection:
        accounts.add_person(
            connection,
            identity=identity,
            username=username,
            display=display,
            role=role,
            password=password,
            practitioner=practitioner,
            patient=patient,
        )
        if clinic_wide:
            accounts.care_for(connection, identity, None, "clinic-wide")
    _print({"person": str(identity), "username": username, "password": password})


@user_app.command("disable")
def user_disable(username: str) -> None:
    """End a person's access at once: account, sessions, tokens."""
    settings = _settings()
    with _owner(settings) as connection:
        if not accounts.disable(connection, username, settings.clock()):
            raise typer.BadParameter("there is no such account")


@user_app.command("sessions")
def user_sessions(username: str) -> None:
    """Print where a person is signed in, one JSON object per line."""
    settings = _settings()
    with _owner(settings) as connection:
        for session in accounts.sessions_of(connection, username, settings.clock(), settings.session_idle):
            _print(asdict(session))


@user_app.command("link")
def user_link(
    username: str,
    provider: Annotated[str, typer.Argument(help="Its name in the file of FELDSHER_PROVIDERS.")],
    subject: Annotated[str, typer.Argument(help="Who they are there: the claim that the provider's table names.")],
) -> None:
    """Let a person sign in with another provider; only a keyed hash of the subject is kept."""
    settings = _settings()
    known = external.providers(settings.providers)
    if provider not in known:
        raise typer.BadParameter(f"{provider}: not one of {', '.join(known) or 'no providers at all'}")
    with _owner(settings) as connection:
        external.link(connection, settings, known[provider], subject, accounts.person_of(connection, username))


@user_app.command("sign-out")
def user_sign_out(username: str) -> None:
    """End all of a person's sessions and what programs were granted; they may sign in again."""
    settings = _settings()
    with _owner(settings) as connection:
        accounts.sign_out(connection, username, settings.clock())


@user_app.command("remove-second-factor")
def user_remove_second_factor(username: str) -> None:
    """Remove the second factor of who has lost the app and all recovery codes; be sure of who asks you for it."""
    with _owner(_settings()) as connection:
        if not accounts.remove_second_factor(connection, username):
            raise typer.BadParameter("there is no such account, or it has no second factor")


@app.command("seed-demo")
def seed_demo(
    clinic_gateway: Annotated[str, typer.Option()] = "demo-clinic",
    cardiograph: Annotated[str, typer.Option(help="Its name in the clinic gateway's configuration.")] = "cardiograph",
    home_gateway: Annotated[str, typer.Option()] = "demo-home",
    cuff: Annotated[str, typer.Option(help="The home cuff's Bluetooth address.")] = "F0:E1:D2:C3:B4:A5",
    redirect_uri: Annotated[list[str] | None, typer.Option(help="Of the public demo client.")] = None,
) -> None:
    """Fill the database with a clinic of people who do not exist, and print the accounts as JSON. Repeatable."""
    settings = _settings()
    with _owner(settings) as connection:
        result = demo.seed(
            connection,
            settings,
            clinic_gateway=clinic_gateway,
            cardiograph=cardiograph,
            home_gateway=home_gateway,
            cuff=cuff,
            redirect_uris=redirect_uri or ["http://127.0.0.1:8765/callback"],
        )
    _print(result)


@audit_app.command("verify")
def audit_verify() -> None:
    """Recompute the audit chain; exit 1 and name the seals that do not fit where something was changed."""
    with _owner(_settings()) as connection:
        found = audit.verify(connection)
    _print({"seals": found.seals, "events": found.events, "unsealed": found.unsealed, "broken": found.broken})
    if not found.whole:
        raise typer.Exit(1)


@signature_app.command("verify")
def signature_verify(
    report: Annotated[UUID | None, typer.Argument(help="One DiagnosticReport; every signed one if not given.")] = None,
) -> None:
    """Compare signed reports with their signatures; exit 1 and name what was changed."""
    broken = False
    with _owner(_settings()) as connection:
        for one in [report] if report else signature.signed_reports(connection):
            wrong = signature.verify(connection, one)
            broken = broken or bool(wrong)
            _print({"report": str(one), "whole": not wrong, "wrong": wrong})
    if broken:
        raise typer.Exit(1)


@event_app.command("list")
def event_list() -> None:
    """Print the events that the worker gave up, one JSON object per line, and how many there are."""
    with _owner(_settings()) as connection:
        given_up = worker.parked(connection)
    for event in given_up:
        _print(event)
    _print({"parked": len(given_up)})


@event_app.command("retry")
def event_retry() -> None:
    """Let the worker try again what it gave up."""
    with _owner(_settings()) as connection:
        _print({"retried": worker.unpark(connection)})


@app.command("canary")
def show_canary() -> None:
    """Print how the test alarms of all shards stand, one JSON object per line; exit 1 where they do not come."""
    settings = _settings()
    now = settings.clock()
    with _owner(settings) as connection:
        found = canary.standing(connection, now)
    for one in found.canaries:
        silent = one.silent(now)
        _print(
            {
                "shard": one.shard, "silent": silent, "stopped": one.stopped(now) if silent else None,
                "crossed_at": one.crossed_at, "tried_at": one.tried_at, "heard_s": one.heard_s,
                "receipt_s": one.receipt_s, "stored_s": one.stored_s, "seconds": one.seconds,
            }
        )  # fmt: skip
    _print({"shards": len(found.canaries), "silent": len(found.silent), "well": found.well})
    if not found.well:
        raise typer.Exit(1)


@app.command()
def reinterpreted(
    run: Annotated[int, typer.Argument(help="As `feldsher-ingest replay status` lists it.")],
) -> None:
    """Print what a re-interpretation of the archive came to in the record: reports, patients, reviews."""
    with _owner(_settings()) as connection:
        found = review.of_run(connection, run)
    if found is None:
        raise typer.BadParameter(f"there is no run {run}")
    _print(found)


@unassigned_app.command("list")
def unassigned_list() -> None:
    """Print the measurements that belong to nobody yet, one JSON object per line."""
    with _owner(_settings()) as connection:
        for entry in unassigned.waiting(connection):
            _print(entry)


@unassigned_app.command("assign")
def unassigned_assign(
    measurement: Annotated[UUID, typer.Argument(help="Its id, as `unassigned list` prints it.")],
    patient: UUID,
    by: Annotated[str, typer.Option(help="Username of the doctor who decides it.")],
) -> None:
    """Give a measurement to its patient, with all that was made of it."""
    settings = _settings()
    with _owner(settings) as connection:
        try:
            who = unassigned.staff(connection, by)
            moved = unassigned.assign(connection, who, measurement, patient, settings.clock())
        except (FhirError, Forbidden) as error:
            raise typer.BadParameter(str(error)) from error
    _print({"patient": str(patient), "moved": moved})


@original_app.command("open")
def original_open(
    sealed: Annotated[Path, typer.Argument(help="A file `….p7m` from a gateway's folder `done` or `quarantine`.")],
    to: Annotated[Path, typer.Argument(help="Where to write it, for you alone to read; it names a patient.")],
) -> None:
    """Open a sealed original."""
    try:
        raw = originals.opened(_settings(), sealed.read_bytes())
        write_secret(to, raw)
    except (OSError, originals.SealError) as error:
        raise typer.BadParameter(str(error)) from error
    _print({"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()})


def main() -> None:
    """Run the command line; what it logs goes to standard error, so that its answers can be piped."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app()
