"""The whole line while its parts are killed: every reading once, whatever dies; and a restored database made whole.

What is claimed is "nothing lost after commit": a reading counts from the gateway's commit on. Between the Bluetooth
daemon's confirmation to the cuff and that commit lies a window of milliseconds, so the gateway itself is killed when
the cuff has hung up and its readings are committed, but not yet all published.
"""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from feldsher_cloud_api.care import order
from feldsher_cloud_api.project import common
from feldsher_edge.simulate import cart
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_number
from feldsher_tools.client import Client
from feldsher_tools.demo import measure
from feldsher_tools.place import Place
from feldsher_tools.stack import CART, GATEWAY, KILLABLE, Stack, running

SESSIONS, PER_SESSION = 20, 100
KILLED_IN_SESSION = {3: "broker", 6: "ingest", 9: "database", 12: "worker", 15: "gateway"}
COMMITTED_S = 1.0  # from the cuff's hang-up until the gateway has surely committed what it was sent
DOWN_S = 2.0

Pair = tuple[int, int]


def pairs(session: int) -> list[Pair]:
    """Blood pressures that no other session has, so that each can be told apart."""
    return [(90 + i, 40 + session) for i in range(PER_SESSION)]


@pytest.fixture(scope="module")
def line(place: Place, server_directory: Path) -> Iterator[Stack]:
    directory = place.make_directory(server_directory / "journey")
    with running(Stack(place, directory, tag=f"journey-{server_directory.name}")) as stack:
        yield stack
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def client(line: Stack) -> Iterator[Client]:
    assert line.demo is not None
    with_token = Client(line.api_url, *line.demo.client)
    yield with_token
    with_token.close()


def stored(stack: Stack) -> list[Pair]:
    """The blood pressures of the record, repeats included."""
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(
            """select (content #>> '{component,0,valueQuantity,value}')::int,
                      (content #>> '{component,1,valueQuantity,value}')::int
               from fhir.observation where content @@ '$.code.coding[*].code == "85354-9"'"""
        ).fetchall()
    return [(int(systolic), int(diastolic)) for systolic, diastolic in rows]


def dead_letters(stack: Stack) -> int:
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute("select count(*) from dead_letter").fetchone()
    assert row is not None
    return int(row[0])


def reports(stack: Stack, sha256: str) -> list[tuple[str, str | None]]:
    """The reports of an original: their ids, and the orders that they fulfil."""
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(
            """select id::text, content #>> '{basedOn,0,reference}' from fhir.diagnosticreport
               where content @@ ('$.extension[*].extension[*].valueString == "' || %s || '"')::jsonpath""",
            (sha256,),
        ).fetchall()
    return [(str(identity), order) for identity, order in rows]


def eventually(holds: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.25)


def test_a_recording_and_a_blood_pressure_reach_the_record(line: Stack, client: Client) -> None:
    measured = measure(line, client, lambda _: None)
    assert (measured.lost, measured.duplicated, measured.samples_lost) == (0, 0, 0)
    assert measured.conclusion


def drop(stack: Stack, name: str, raw: bytes) -> str:
    """Let the closed cardiograph write a file, whole at once, and return its SHA-256."""
    (stack.folder / f"{name}.tmp").write_bytes(raw)
    (stack.folder / f"{name}.tmp").rename(stack.folder / name)
    return hashlib.sha256(raw).hexdigest()


def ecg_file(number: str, seed: int) -> bytes:
    at = datetime.now(UTC).replace(tzinfo=None)
    return cart.written("dicom", cart.recording(seed), cart.Patient(number, subject=Subject()), at)


def test_a_file_of_a_closed_cardiograph_is_in_the_record_once_and_with_its_order(line: Stack, client: Client) -> None:
    assert line.demo is not None
    raw = ecg_file("4711", 1)
    first = drop(line, "SECRETOVA.dcm", raw)
    line.kill("gateway")
    line.revive("gateway")
    drop(line, "SECRETOVA again.dcm", raw)
    eventually(lambda: not list(line.folder.glob("*.dcm")), timeout_s=120)
    eventually(lambda: len(reports(line, first)) == 1, timeout_s=120)
    device, patient = common.device_id(GATEWAY, CART), UUID(line.demo.patients[0])
    ordered = client.create(order.request(patient, device))
    (number,) = [it["value"] for it in ordered["identifier"]]
    assert number == order_number(UUID(ordered["id"]))
    eventually(lambda: client.search("ServiceRequest", _id=ordered["id"])[0].get("extension") is not None, timeout_s=60)
    second = drop(line, "ordered.dcm", ecg_file(number.lower(), 2))
    eventually(lambda: len(reports(line, second)) == 1, timeout_s=120)
    (report,) = reports(line, second)
    assert report[1] == f"ServiceRequest/{ordered['id']}"
    assert client.search("ServiceRequest", _id=ordered["id"])[0]["status"] == "completed"
    assert len(reports(line, first)) == 1
    assert len(list((line.folder / "done").iterdir())) == 2
    assert not [log for log in line.logs.iterdir() if b"SECRETOVA" in log.read_bytes()]


def test_every_part_is_killed_once_and_every_reading_arrives_exactly_once(line: Stack) -> None:
    assert set(KILLED_IN_SESSION.values()) == set(KILLABLE)
    before = stored(line)
    for session in range(SESSIONS):
        mark = line.simulator.measure(pairs(session))
        part = KILLED_IN_SESSION.get(session)
        if part is None or part == "gateway":
            line.simulator.hung_up(mark)
        if part == "gateway":
            time.sleep(COMMITTED_S)
        if part is not None:
            line.kill(part)
            time.sleep(DOWN_S)
            line.revive(part)
        line.simulator.hung_up(mark)
    expected = [pair for session in range(SESSIONS) for pair in pairs(session)]
    assert len(set(expected)) == 2000
    eventually(lambda: len(stored(line)) - len(before) >= len(expected), 180)
    time.sleep(2)  # a repeat that is still under way would come now
    assert sorted(stored(line)) == sorted(before + expected)
    assert dead_letters(line) == 0
    eventually(lambda: _outbox(line) == [0, 0, 0], 60)


def test_a_restored_database_is_made_whole_by_the_gateways(line: Stack) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    backup = line.postgres.directory / "backup"
    line.postgres.stop()
    subprocess.run(["cp", "-a", str(line.postgres.data), str(backup)], check=True)
    line.postgres.start()
    before = stored(line)
    later = [(90 + i, 100) for i in range(PER_SESSION)]
    line.simulator.hung_up(line.simulator.measure(later))
    eventually(lambda: len(stored(line)) == len(before) + len(later), 90)

    line.postgres.kill()
    shutil.rmtree(line.postgres.data)
    backup.rename(line.postgres.data)
    line.postgres.start()
    assert len(stored(line)) == len(before)
    line.command("feldsher-ingest", "restored", "--since", since.strftime("%Y-%m-%dT%H:%M:%S"))
    eventually(lambda: len(stored(line)) >= len(before) + len(later), 120)
    assert sorted(stored(line)) == sorted(before + later)
    assert dead_letters(line) == 0


def _outbox(stack: Stack) -> list[int]:
    status = stack.gateway_status()
    return [] if status is None else list(status["outbox"])
