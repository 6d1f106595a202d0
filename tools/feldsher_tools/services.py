"""Database server and broker of one installation, started and stopped: `./run up`, `./run down`, `./run shell`.

Existing servers are used instead where FELDSHER_DATABASE_URL and FELDSHER_MQTT_URL point to them.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from feldsher_cloud_api import ca, db, demo, suite
from feldsher_cloud_api.config import from_environment
from feldsher_ehr_core.ids import CLOUD_WORKER, INGEST_TOOL, INGEST_USERS

from feldsher_tools.mosquitto import ACL, Mosquitto, TlsFiles, configuration, write_private
from feldsher_tools.place import Place, ServiceError, find_place, free_port, port_is_free, state_directory
from feldsher_tools.postgres import DatabaseServer, Postgres
from feldsher_tools.process import Note, Process, recorded, stop_recorded

HOSTS = ("127.0.0.1", "localhost", "::1")
DATABASE = "feldsher"
API_PORT = 8020
SERVICES = (INGEST_USERS[0], INGEST_TOOL, CLOUD_WORKER)
"""Broker users of an installation with one ingest worker."""

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Start and stop the private servers.",
)


@dataclass(frozen=True, slots=True)
class Broker:
    """A reachable MQTT broker with the authority that its clients' certificates come from."""

    url: str
    authority: ca.CertificateAuthority

    def credentials(self, name: str) -> TlsFiles:
        """Return the files of a client certificate with the common name `name`, made at the first call."""
        return client_files(self.authority, name)


def client_files(authority: ca.CertificateAuthority, name: str) -> TlsFiles:
    """Return the files of the client certificate `name`, made where there is none."""
    directory = authority.directory / "clients"
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    if not key.exists():
        authority.issue_client(name).write(directory, name)
    return TlsFiles(authority.directory / "ca.pem", certificate, key)


def listener_files(authority: ca.CertificateAuthority) -> TlsFiles:
    """Return the files of a broker's listener on loopback: a new certificate, and the list of revoked ones."""
    certificate, key = authority.issue_server(HOSTS).write(authority.directory / "broker", "broker")
    return TlsFiles(authority.directory / "ca.pem", certificate, key, authority.crl_path)


def open_authority(state: Path) -> ca.CertificateAuthority:
    """Return the authority of a state directory, with the certificates of SERVICES; both are made where absent."""
    authority = ca.open_or_create(state / "secrets" / "ca")
    for name in SERVICES:
        client_files(authority, name)
    return authority


def reload_command(pid_file: Path) -> str:
    """Return the command, for FELDSHER_BROKER_RELOAD, by which a private broker reads its revocation list again."""
    return shlex.join([sys.executable, "-m", "feldsher_tools.services", "reload", str(pid_file)])


def external_database() -> DatabaseServer | None:
    """Return the server of FELDSHER_DATABASE_URL, or None."""
    url = os.environ.get("FELDSHER_DATABASE_URL")
    return DatabaseServer(url) if url else None


def external_broker() -> str | None:
    """Return FELDSHER_MQTT_URL, or None; that broker must trust the authority of this installation."""
    return os.environ.get("FELDSHER_MQTT_URL") or None


def start_servers(place: Place) -> dict[str, str]:
    """Start what does not run yet, to outlive this command, and return the environment that clients need."""
    running = {note.name: note for note in recorded(place.run)}
    environment = {"FELDSHER_STATE": str(place.state)}
    environment["FELDSHER_DATABASE_URL"] = os.environ.get("FELDSHER_DATABASE_URL") or _start_postgres(place, running)
    given, authority = external_broker(), open_authority(place.state)
    environment["FELDSHER_MQTT_URL"] = given or _start_mosquitto(place, running, authority)
    if given is None:
        environment["FELDSHER_BROKER_RELOAD"] = reload_command(place.run / "mosquitto.pid")
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    (place.run / "environment").write_text("".join(lines))
    return environment


def _start_postgres(place: Place, running: Mapping[str, Note]) -> str:
    if "postgres" in running:
        url = DatabaseServer(running["postgres"].address).url(DATABASE)
        db.migrate(url)  # this clone may be newer than what it was started from
        return url
    server = Postgres(place, place.base / "postgres", port=same_port(place, "postgres"), outlives=True)
    server.start()
    with psycopg.connect(server.url()) as connection:
        exists = connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone() is not None
    url = server.url(DATABASE) if exists else server.create_database(DATABASE)
    db.migrate(url)
    return url


def _start_mosquitto(place: Place, running: Mapping[str, Note], authority: ca.CertificateAuthority) -> str:
    if "mosquitto" in running:
        return running["mosquitto"].address
    port = same_port(place, "mosquitto")
    server = Mosquitto(place, place.state / "mosquitto", listener_files(authority), port=port, outlives=True)
    server.start()
    return server.url


def same_port(place: Place, name: str) -> int:
    """Return the port that a server had last time where it is still free: claims and settings name it."""
    file = place.run / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if name not in ports or not port_is_free(ports[name]):
        ports[name] = free_port()
        place.run.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(ports))
    return ports[name]


def start_parts(place: Place, environment: Mapping[str, str]) -> str:
    """Start what does not run yet of ingest, worker and API beside the servers; return the API's address."""
    running = {note.name: note for note in recorded(place.run)}
    port = API_PORT if port_is_free(API_PORT) else free_port()
    url = running["api"].address if "api" in running else f"http://127.0.0.1:{port}"
    environment = api_environment(environment, url)
    parts = {
        "ingest": ["feldsher-ingest", "run"],
        "worker": ["feldsher-cloud", "worker"],
        "api": ["feldsher-cloud", "serve", "--port", str(port)],
    }
    for name, (program, *arguments) in parts.items():
        if name in running:
            continue
        part = Process(
            name,
            [str(Path(sys.executable).with_name(program)), *arguments],
            place.state / "log" / f"{name}.log",
            place.run / f"{name}.pid",
            environment=environment,
            address=url if name == "api" else "",
            outlives_parent=True,
        )
        part.start()
        part.wait_ready(lambda name=name: name != "api" or not port_is_free(port))
    return url


def api_environment(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the environment of the parts behind an API at `url` on loopback.

    It is a demo unless FELDSHER_DEMO says otherwise; over a database that is given (FELDSHER_DATABASE_URL) only where
    FELDSHER_DEMO=1 says so, for it may hold real patients.
    """
    demo = os.environ.get("FELDSHER_DEMO", "0" if external_database() else "1")
    tokens = os.environ.get("FELDSHER_TOKEN_MINUTES", "60" if demo == "1" else "5")  # suites ask for one token only
    # suites send parts of records
    references = os.environ.get("FELDSHER_REFERENCES", "accept" if demo == "1" else "refuse")
    told = {"FELDSHER_DEMO": demo, "FELDSHER_TOKEN_MINUTES": tokens, "FELDSHER_REFERENCES": references}
    return {**environment, "FELDSHER_API_URL": url, **told}


def register_suite(environment: Mapping[str, str]) -> dict[str, Any]:
    """Fill the record with the demo clinic, register clients for test suites, and return what a suite must know.

    Where the installation is no demo nothing is made, and only the addresses are returned.
    """
    settings = from_environment(environment)
    if not settings.demo:
        return {"address": settings.api_url, "fhir_base": settings.fhir_base, "demo": False}
    with db.connect(settings.database_url) as connection:
        clinic = demo.seed(connection, settings, **demo.NAMES, redirect_uris=list(suite.REDIRECTS))
        told = suite.register(connection, settings)
    told["administrator"] |= access_token(told["token_endpoint"], told["administrator"])
    return told | {"accounts": clinic["accounts"], "patients": clinic["patients"]}


def access_token(endpoint: str, client: Mapping[str, str]) -> dict[str, Any]:
    """Return `access_token` and `expires_in` of a program's client; ServiceError where the API gives none."""
    form = {"grant_type": "client_credentials", "scope": client["scope"]}
    form |= {name: client[name] for name in ("client_id", "client_secret")}
    try:
        with urllib.request.urlopen(endpoint, urllib.parse.urlencode(form).encode(), timeout=30) as answer:  # noqa: S310
            token: dict[str, Any] = json.load(answer)
    except OSError as error:
        raise ServiceError(f"{endpoint} gives no token: {error}") from error
    return {name: token[name] for name in ("access_token", "expires_in")}


def database_address(run: Path) -> str:
    """Return the address of the record's database: the given one, else the newest running private server's."""
    given = os.environ.get("FELDSHER_DATABASE_URL")
    notes = [note for note in recorded(run) if note.address.startswith("postgresql:")]
    notes.sort(key=lambda note: (not note.name.startswith("test-"), note.started))
    if not given and not notes:
        raise ServiceError("no database server runs; start one with ./run up or ./run demo")
    return given or DatabaseServer(notes[-1].address).url(DATABASE)


@commands.command()
def up(
    *,
    api: Annotated[bool, typer.Option("--api", help="Also start ingest, worker and API.")] = False,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Ask Debian's archive for newer servers first.")] = False,
) -> None:
    """Start database server and broker in the background; what runs already stays.

    With --api the answer is one JSON object: addresses, and clients for test suites (plain HTTP on this machine only).
    """
    if upgrade:
        stop_recorded(state_directory() / "run")
    place = find_place(upgrade=upgrade)
    environment = start_servers(place)
    if api:
        environment = api_environment(environment, start_parts(place, environment))
        print(json.dumps(register_suite(environment) | {"environment": environment}))
        return
    for name, value in environment.items():
        print(f"{name}={value}")
    print(f"(for a shell: source {place.run / 'environment'})")


@commands.command()
def compose() -> None:
    """Write what compose.yaml needs (certificates, the broker's configuration) and say how to start it."""
    state = state_directory()
    authority = open_authority(state)
    files, inside = listener_files(authority), Path("/feldsher/secrets")
    paths = (files.ca, files.certificate, files.key, authority.crl_path)
    tls = TlsFiles(*(inside / path.relative_to(authority.directory) for path in paths))
    text = configuration(8883, "0.0.0.0", "/feldsher/broker", tls, as_root=os.geteuid() == 0)  # noqa: S104 in a container
    write_private(state / "compose" / "mosquitto" / "mosquitto.conf", text)
    write_private(state / "compose" / "mosquitto" / "acl", ACL)
    facts = {"FELDSHER_STATE": state, "FELDSHER_USER": f"{os.getuid()}:{os.getgid()}"}
    write_private(state / "compose" / "env", "".join(f"{name}={value}\n" for name, value in facts.items()))
    print(f"docker compose --env-file {state / 'compose' / 'env'} up -d")
    print(f"export FELDSHER_DATABASE_URL=postgresql://postgres@127.0.0.1:5432/{DATABASE}")
    print("export FELDSHER_MQTT_URL=mqtts://127.0.0.1:8883")
    # a restart, not a signal: a file that has been replaced comes into a container only with its start
    restart = f"docker compose --env-file {state / 'compose' / 'env'} restart broker"
    print(f"export FELDSHER_BROKER_RELOAD={shlex.quote(restart)}")


@commands.command("reload")
def reload_broker(pid_file: Path) -> None:
    """Make the private broker of this PID file read its ACL, certificates and revocation list again."""
    notes = {note.name: note for note in recorded(pid_file.parent)}
    if pid_file.stem not in notes:
        raise ServiceError(f"{pid_file}: no broker runs")
    os.kill(notes[pid_file.stem].pid, signal.SIGHUP)


@commands.command()
def down() -> None:
    """Stop everything that was started from this clone."""
    stopped = stop_recorded(state_directory() / "run")
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(context: typer.Context) -> None:
    """Open psql on the record's database; further arguments go to psql."""
    url = database_address(state_directory() / "run")
    program = find_place().program("psql")
    os.execv(program, [program, url, *context.args])  # noqa: S606 psql takes this terminal over


def main() -> None:
    """Run a command; what a user can repair is said in words, not as a traceback."""
    try:
        commands()
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
