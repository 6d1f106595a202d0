"""A server killed in mid-transaction: what it has acknowledged is there, and nothing partial is seen."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from feldsher_tools.clinic import Clinic

SIZE = 60
_SERVER = """
import sys, uvicorn
from pathlib import Path
from feldsher_cloud_api.app import create_app
from feldsher_cloud_api.config import Settings
settings = Settings(database_url=sys.argv[1], state=Path(sys.argv[2]), api_url="http://testserver")
server = uvicorn.Server(uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="error"))
original = server.startup
async def startup(sockets=None):
    await original(sockets)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
server.startup = startup
server.run()
"""


@contextmanager
def server(clinic: Clinic) -> Generator[tuple[subprocess.Popen[bytes], int]]:
    command = [sys.executable, "-c", _SERVER, clinic.url, str(clinic.settings.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def bundle(number: int) -> bytes:
    entries = [
        {
            "resource": {"resourceType": "Basic", "code": {"text": f"kill {number}"},
                         "identifier": [{"system": "urn:example:kill", "value": f"{number}-{i}"}]},
            "request": {"method": "POST", "url": "Basic"},
        }
        for i in range(SIZE)
    ]  # fmt: skip
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def sent(port: int, number: int, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/fhir", bundle(number), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def stored(clinic: Clinic) -> dict[str, int]:
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content #>> '{code,text}', count(*) FROM fhir.basic WHERE content #>> '{code,text}' LIKE 'kill %'"
            " GROUP BY 1"
        ).fetchall()
        logged = connection.execute(
            "SELECT count(*) FROM fhir.change WHERE type = 'Basic' AND method = 'POST'"
        ).fetchone()
    assert logged is not None
    assert logged[0] >= sum(count for _, count in rows)
    return {str(text): int(count) for text, count in rows}


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_partial_is_seen(clinic: Clinic, program: dict[str, str]) -> None:
    acknowledged: list[int] = []
    with server(clinic) as (process, port):

        def client(first: int) -> None:
            with suppress(OSError, http.client.HTTPException):
                for number in range(first, 100_000, 4):
                    assert sent(port, number, program) == 200
                    acknowledged.append(number)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while len(acknowledged) < 6 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    _settled(clinic)
    found = stored(clinic)
    assert len(acknowledged) >= 6
    assert set(found.values()) == {SIZE}
    assert {f"kill {number}" for number in acknowledged} <= set(found)


def _settled(clinic: Clinic) -> None:
    """Wait until the database has noticed that the server is gone."""
    busy: Any = True
    until = time.monotonic() + 60
    while busy and time.monotonic() < until:
        with clinic.owner() as connection:
            busy = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle' AND query LIKE '%fhir.basic%'"
            ).fetchone() != (0,)
