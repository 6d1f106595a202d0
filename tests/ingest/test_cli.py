"""The command line as a process: killed, restarted, drained; restores and dead letters by hand."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
import structlog
from feldsher_cloud_api import ca
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import shard
from feldsher_ingest import sql
from feldsher_ingest.check import check
from feldsher_ingest.cli import main
from feldsher_ingest.consume import Worker
from feldsher_ingest.seats import BEAT_S, HELD_S
from feldsher_ingest.settings import Settings, Tls, mqtt_address
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.postgres import Postgres
from feldsher_tools.services import Broker, client_files

Rows = Callable[[str], list[tuple[Any, ...]]]
Connect = Callable[[str], GatewayClient]
Run = Callable[[Settings], Worker]
COMMAND = [sys.executable, "-c", "from feldsher_ingest.cli import main; main()"]


def environment(settings: Settings) -> dict[str, str]:
    folder = settings.clients
    (folder / "ca.pem").write_bytes(settings.ca.read_bytes())
    return os.environ | {
        "FELDSHER_DATABASE_URL": settings.database_url,
        "FELDSHER_MQTT_URL": f"mqtts://{settings.mqtt_host}:{settings.mqtt_port}",
        "FELDSHER_MQTT_TLS": str(folder),
        "FELDSHER_STATE": str(settings.state),
        "FELDSHER_INGEST_SEATS": str(settings.seats),
        "COLUMNS": "200",
    }


@dataclasses.dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the command line within this process: a new one costs seconds of imports."""

    def run(*arguments: str, **variables: str) -> Done:
        for name, value in (environment(settings) | variables).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["feldsher-ingest", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        structlog.reset_defaults()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run


Command = Callable[..., Done]


@pytest.fixture
def spawn(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a worker process and wait until it is subscribed."""
    children: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "log"
    file = log.open("ab")

    def start(other: Settings | None = None, *options: str) -> subprocess.Popen[bytes]:
        before = log.read_text().count('"event": "subscribed"')
        child = subprocess.Popen([*COMMAND, "run", *options], env=environment(other or settings), stderr=file)
        children.append(child)
        deadline = time.monotonic() + 60
        while log.read_text().count('"event": "subscribed"') == before:
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
    file.close()


Spawn = Callable[..., subprocess.Popen[bytes]]


def wait_logged(log: Path, event: str) -> None:
    deadline = time.monotonic() + 60
    while f'"event": "{event}"' not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def test_killed_in_the_middle_of_a_transaction_everything_is_there_once(
    settings: Settings, gateway: Connect, spawn: Spawn, rows: Rows, store_url: str, blocked: Callable[[], None]
) -> None:
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    messages: list[wire.UpMessage] = [made.pressure(2) if i % 5 else made.recording(seconds=1) for i in range(200)]
    first = spawn()
    client.send(messages[0])
    assert client.wait_receipts({messages[0].env.id})
    with psycopg.connect(store_url, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("lock table vital_reading in exclusive mode")
            for message in messages[1:]:
                client.send(message)
            blocked()
            first.kill()  # SIGKILL, the batch half written
            first.wait()
        spawn()
        assert client.wait_receipts({m.env.id for m in messages})
    readings = sum(isinstance(m, wire.VitalsBatch) for m in messages) * 2
    assert rows("select count(*), count(distinct reading_id) from vital_sign") == [(readings * 4, readings)]
    assert rows("select count(*) from ecg_recording") == [(40,)]
    assert rows("select count(*), count(distinct message_id) from event") == [(200, 200)]
    assert rows("select count(*) from dead_letter") == [(0,)]


@pytest.mark.slow
def test_killed_again_and_again_everything_is_there_once(
    settings: Settings, gateway: Connect, spawn: Spawn, rows: Rows
) -> None:
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    messages = [made.pressure() for _ in range(2000)]
    child = spawn()
    for i, message in enumerate(messages):
        client.send(message)
        if i in (500, 1200):
            client.wait_receipts({messages[i - 400].env.id})  # it is at work
            child.kill()
            child.wait()
            child = spawn()
    assert client.wait_receipts({m.env.id for m in messages})
    assert rows("select count(*), count(distinct reading_id) from vital_sign") == [(8000, 2000)]
    assert rows("select count(*), count(distinct message_id) from event") == [(2000, 2000)]
    assert rows("select count(*) from dead_letter") == [(0,)]


def test_a_killed_broker_costs_nothing_that_the_gateway_still_has(
    own_mosquitto: Mosquitto, authority: ca.CertificateAuthority, settings: Settings, spawn: Spawn, rows: Rows
) -> None:
    host, port = mqtt_address(own_mosquitto.url)
    files = client_files(authority, "gw-a")
    spawn(_at(settings, host, port))
    messages = [SimulatedGateway("gw-a", 1).pressure()]
    made = SimulatedGateway("gw-a", 2)
    messages += [made.pressure() for _ in range(200)]
    with GatewayClient("gw-a", host, port, Tls(files.ca, files.certificate, files.key)) as client:
        client.send(messages[0])
        assert client.wait_receipts({messages[0].env.id})
        for message in messages[1:]:
            client.send(message)
        own_mosquitto.kill()
        told = set(client.receipts)
    own_mosquitto.start()
    waiting = {m.env.id: m for m in messages if m.env.id not in told}
    with GatewayClient("gw-a", host, port, Tls(files.ca, files.certificate, files.key)) as client:
        for _ in range(20):  # what the outbox does: again, until there is a receipt
            for message in waiting.values():
                client.send(message)
            if client.wait_receipts(set(waiting), 3):
                break
        assert set(waiting) <= set(client.receipts)
    assert rows("select count(*), count(distinct reading_id) from vital_sign") == [(804, 201)]


def _at(settings: Settings, host: str, port: int, url: str | None = None) -> Settings:
    return dataclasses.replace(settings, mqtt_host=host, mqtt_port=port, database_url=url or settings.database_url)


def test_a_killed_database_costs_nothing(
    own_postgres: Postgres, settings: Settings, gateway: Connect, spawn: Spawn
) -> None:
    url = own_postgres.create_database("killed")
    with psycopg.connect(url) as connection:
        connection.execute("\n".join(sql.schemas()).encode())
    child = spawn(_at(settings, settings.mqtt_host, settings.mqtt_port, url))
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    messages = [made.pressure() for _ in range(400)]
    client.send(messages[0])
    assert client.wait_receipts({messages[0].env.id})
    for message in messages[1:200]:
        client.send(message)
    own_postgres.kill()
    for message in messages[200:]:
        client.send(message)
    wait_logged(settings.state / "log", "database unavailable")
    assert client.receipts.keys().isdisjoint(m.env.id for m in messages[200:])
    assert child.poll() is None
    own_postgres.start()
    assert client.wait_receipts({m.env.id for m in messages})
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*), count(distinct reading_id) from vital_sign").fetchone()
        assert found == (1600, 400)
        assert connection.execute("select count(*) from dead_letter").fetchone() == (0,)


def test_sigterm_ends_in_order(settings: Settings, gateway: Connect, spawn: Spawn) -> None:
    child = spawn()
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    client.send(message)
    assert client.wait_receipts({message.env.id})
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    assert '"event": "stopped"' in (settings.state / "log").read_text()


def test_a_killed_workers_seats_are_taken_over_within_ten_seconds(
    settings: Settings, mosquitto: Broker, gateway: Connect, spawn: Spawn, rows: Rows, tmp_path: Path
) -> None:
    mosquitto.credentials("ingest.1")
    other = tmp_path / "other machine"
    first = spawn(dataclasses.replace(settings, seats=2))
    spawn(dataclasses.replace(settings, seats=2, state=other))
    while len(rows("select distinct holder from ingest_seat")) < 2:
        time.sleep(0.05)
    names = [f"gw-{i}" for i in range(6)]
    assert {shard(name) % 2 for name in names} == {0, 1}
    clients = {name: gateway(name) for name in names}
    first.kill()
    first.wait()
    # By the database's own clock, however busy this machine: its leases end, and then the next beat takes the seats.
    [(left_s,)] = rows("select max(extract(epoch from held_until - clock_timestamp()))::float from ingest_seat")
    assert left_s <= HELD_S
    assert HELD_S + BEAT_S < 10
    for name, client in clients.items():
        made = SimulatedGateway(name, 1)
        messages = [made.pressure() for _ in range(20)]
        for message in messages:
            client.send(message)
        assert client.wait_receipts({m.env.id for m in messages})
    assert rows("select count(distinct id), count(*) from message") == [(120, 120)]


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
        return str(answer.read().decode())


def test_metrics_liveness_and_readiness(settings: Settings, gateway: Connect, spawn: Spawn) -> None:
    spawn(None, "--metrics-port", "0", "--seats", "1")
    client, message = gateway("gw-a"), SimulatedGateway("gw-a", 1).pressure()
    client.send(message)
    assert client.wait_receipts({message.env.id})
    lines = (settings.state / "log").read_text().splitlines()
    port = next(msgspec.json.decode(line)["port"] for line in lines if '"port"' in line)
    deadline = time.monotonic() + 60  # counted after the receipt has gone
    while 'feldsher_ingest_messages_total{state="stored"} 1.0' not in (text := fetch(port, "metrics")):
        assert time.monotonic() < deadline, text
    assert f'feldsher_ingest_shard_lag_seconds{{shard="{shard("gw-a")}"}}' in text
    assert "feldsher_ingest_seats 1.0" in text
    assert "gw-a" not in text
    for path in ("live", "ready"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
            assert answer.status == 200


def test_restored_makes_the_workers_ask_every_gateway(
    settings: Settings, gateway: Connect, running: Run, command: Command
) -> None:
    client, made = gateway("gw-a"), SimulatedGateway("gw-a", 1)
    birth = made.birth()
    running(settings)
    client.send(birth)
    assert client.wait_receipts({birth.env.id})
    done = command("restored", "--since", "2026-11-23T00:00:00")
    assert (done.returncode, "epoch 1" in done.stdout) == (0, True)
    assert client.wait_resend()
    assert client.resends[0].since_us == 1_795_392_000_000_000


def test_resend_asks_one_gateway(gateway: Connect, command: Command) -> None:
    client = gateway("gw-a")
    done = command("resend", "--gateway", "gw-a")
    assert (done.returncode, done.stderr) == (0, "")
    assert client.wait_resend()
    assert client.resends[0].since_us == 0


def test_dead_letters_are_listed_shown_repaired_and_replayed(
    settings: Settings, rows: Rows, tmp_path: Path, command: Command
) -> None:
    made = SimulatedGateway("gw-a", 1)
    damaged = msgspec.structs.replace(made.recording(seconds=1), sha256=bytes(32))
    store = Store(settings.database_url, "test")
    store.save([check(wire.up_topic("gw-a", "ecg"), wire.encode(damaged))])
    store.close()
    listed = command("dead-letters", "list").stdout
    assert "gw-a" in listed
    assert "sha256: the decoded samples" in listed
    payload = tmp_path / "payload"
    shown = command("dead-letters", "show", "1", "--output", str(payload)).stdout
    assert "device: 'kit-gw-a'" in shown
    assert payload.read_bytes() == wire.encode(damaged)
    again = command("dead-letters", "replay", "1")
    assert (again.returncode, again.stdout.startswith("refused: sha256")) == (1, True)
    repaired = tmp_path / "repaired"
    fresh = SimulatedGateway("gw-a", 1).recording(seconds=1)
    repaired.write_bytes(wire.encode(fresh))
    assert command("dead-letters", "replay", "1", "--payload", str(repaired)).stdout == "stored\n"
    assert rows("select count(*) from ecg_recording") == [(1,)]
    assert command("dead-letters", "list").stdout.strip() == "no dead letters"
    assert "gw-a" in command("dead-letters", "list", "--all").stdout


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FELDSHER_MQTT_URL", "mqtt://127.0.0.1:1883", "is not mqtts://"),
        ("FELDSHER_DATABASE_URL", "", "FELDSHER_DATABASE_URL is not set"),
        ("FELDSHER_INGEST_SEATS", "17", "FELDSHER_INGEST_SEATS: '17' is not a number from 1 to 16"),
        ("FELDSHER_MQTT_TLS", "/nowhere", "/nowhere/ca.pem is missing"),
    ],
)
def test_what_an_operator_can_put_right_is_one_line(command: Command, name: str, value: str, message: str) -> None:
    done = command("run", **{name: value})
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_dead_letter_is_said_so(command: Command) -> None:
    assert "there is no dead letter 7" in command("dead-letters", "show", "7").stderr


def test_help_is_readable(command: Command) -> None:
    text = command("--help").stdout
    assert all(word in text for word in ("run", "resend", "restored", "dead-letters"))


def test_a_worker_loads_neither_the_engine_nor_dask() -> None:
    program = "import sys, feldsher_ingest.cli; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"numba", "llvmlite", "dask", "distributed", "fastapi", "feldsher_cloud_api"})
