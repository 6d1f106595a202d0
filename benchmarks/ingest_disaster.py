"""Ingestion through disasters, in mid-flood: a replica that lacks commits is promoted, a backup is restored.

Gateways keep what was receipted, as real ones do for seven days, and send it again when they are asked to. At the end
the database is compared with what they made, and the record with the database. Real PostgreSQL with fsync and its own
tools, real mosquitto, workers in processes of their own.

    python benchmarks/ingest_disaster.py [--per-s 200] [--readings 1] [--act 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import structlog
from feldsher_cloud_api import backup
from ingest_site import DATABASE, Keeper, Load, Site, ask, projecting, site, wait

DRAIN_S = 300.0
_COUNTS = """
    select (select count(*) from vital_reading), (select count(distinct reading_id) from vital_reading),
           (select count(*) from ecg_recording), (select count(*) - count(distinct message_id) from event),
           (select count(*) from dead_letter), (select count(*) from ingest_epoch),
           (select count(*) from event where parked_at is not null)
"""


@dataclass
class Found:
    """What became of a disaster. Times in seconds.

    `receipted_and_gone`: messages that gateways held a receipt for and the database that went on did not hold, at its
    beginning: what only the gateways' copies made good. `first_receipt_s`: from the moment on which the new server
    takes writes, to a gateway's first receipt of it; `projected_s`: to the record's first change of it. `whole_s`: to
    the last receipt of everything. `data_loss_s`: how far the database had gone back.
    """

    made: int = 0
    receipted_and_gone: int = 0
    data_loss_s: float = 0.0
    server_s: float = 0.0
    first_receipt_s: float = 0.0
    projected_s: float = 0.0
    whole_s: float = 0.0
    lost: int = 0
    duplicated: int = 0
    dead_letters: int = 0
    parked: int = 0
    epochs: int = 0
    unprojected: int = 0
    written_to_the_old: int = 0


def _receipted(some: list[Keeper]) -> int:
    return sum(len(one.receipted) for one in some)


def _stored(url: str) -> int:
    return sum(ask(url, "select (select count(*) from message where kind <> 'heartbeat')"))


def act(some: list[Keeper], load: Load, what: str) -> None:
    """Wait until so many more messages are receipted."""
    before = _receipted(some)
    wait(lambda: _receipted(some) >= before + load.act, what)


def promote_in_flood(directory: Path, load: Load) -> Found:
    """Lose a primary with commits that its replica never saw, promote the replica, and bring the old primary back."""
    found = Found()
    with site(directory, replica=True) as on, projecting(on), on.flood(load) as some:
        assert on.replica is not None
        act(some, load, "the flood")
        (sender,) = ask(on.database.url(), "select pid from pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)  # the link between the two is gone; nobody notices
        stopped = time.monotonic()
        replica = on.replica.url(DATABASE)
        wait(lambda: _receipted(some) - _stored(replica) >= load.act, "receipts of what the replica never saw")
        on.database.kill()
        found.data_loss_s = time.monotonic() - stopped
        told, began = _receipted(some), time.monotonic()
        on.replica.promote()
        found.server_s = time.monotonic() - began
        found.receipted_and_gone = told - _stored(replica)
        _go_on(some, replica, found)
        found.written_to_the_old = _old_comes_back(on)
    return found


def _old_comes_back(on: Site) -> int:
    """Start the primary that was replaced, and all workers anew; return what anybody writes to it."""
    on.database.start()
    old = on.database.url(DATABASE)
    count = "select coalesce(sum(batch), 0) from ingest_mark"
    before = ask(old, count)[0]
    for process in on.workers:
        process.kill()
        process.start()
    with on.flood(Load(50), "late") as some:
        wait(lambda: _receipted(some) >= 40, "messages while two servers take writes")
    return ask(old, count)[0] - before


def restore_in_flood(directory: Path, load: Load, *, to_the_end: bool = False) -> Found:
    """Back a database up in mid-flood, delete it, and restore it: to a moment before, or to the end of the archive."""
    found = Found()
    with site(directory) as on, projecting(on), on.flood(load) as some:
        os.environ["FELDSHER_POSTGRES_BIN"] = str(Path(on.place.program("postgres")).parent)
        act(some, load, "the flood")
        backup.base(on.url, on.backups, "full")
        act(some, load, "the flood after the backup")
        moment = datetime.now(UTC)
        act(some, load, "the flood after the moment")
        on.database.kill()
        died, told, began = datetime.now(UTC), _receipted(some), time.monotonic()
        shutil.rmtree(on.database.data)
        owner = (on.place.uid, on.place.gid) if os.geteuid() == 0 else None
        backup.restore(on.backups, on.database.data, None if to_the_end else moment, owner)
        on.database.start()
        url = on.database.url(DATABASE)
        wait(lambda: ask(url, "select (not pg_is_in_recovery())::int") == (1,), "the end of the recovery")
        found.server_s = time.monotonic() - began
        found.data_loss_s = _gone_back(url, died)
        found.receipted_and_gone = max(0, told - _stored(url))
        _go_on(some, url, found)
    return found


def _gone_back(url: str, died: datetime) -> float:
    """Return how many seconds before a moment the newest commit of the restored past was made."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select greatest(max(at), (select max(stored_at) from message where stored_at < %s)) from ingest_mark"
            " where at < %s",
            (died, died),
        ).fetchone()
    assert row is not None
    return (died - row[0]).total_seconds()


def _go_on(some: list[Keeper], url: str, found: Found) -> None:
    """Wait until all is whole on the new server, and count."""
    began = time.monotonic()
    done = "select count(*) from event where done_at > (select max(at) from ingest_epoch)"
    told = threading.Event()

    def look() -> None:
        with suppress(psycopg.Error):
            wait(lambda: ask(url, done)[0] > 0, "the record goes on")
            found.projected_s = time.monotonic() - began
        told.set()

    threading.Thread(target=look, daemon=True).start()
    wait(lambda: any(at > began for one in some for at in list(one.receipted.values())), "a receipt of the new server")
    found.first_receipt_s = time.monotonic() - began
    wait(lambda: all(one.asked for one in some), "every gateway is asked to send again", DRAIN_S)
    for one in some:
        one.finish()
    wait(lambda: all(one.done for one in some), "everything is there again", DRAIN_S)
    found.whole_s = time.monotonic() - began
    told.wait(120)
    finish(some, url, found)


def finish(some: list[Keeper], url: str, found: Found) -> None:
    """Wait until everything is receipted and the record has it, and count."""
    for one in some:
        one.finish()
    wait(lambda: all(one.done for one in some), "everything is receipted", DRAIN_S)
    open_events = "select count(*) from event where done_at is null and parked_at is null"
    wait(lambda: ask(url, open_events) == (0,), "the record has everything", 2 * DRAIN_S)
    _count(url, some, found)


def _count(url: str, some: list[Keeper], found: Found) -> None:
    readings, distinct, recordings, twice, dead, epochs, parked = ask(url, _COUNTS)
    made, ecgs = sum(one.readings for one in some), sum(one.recordings for one in some)
    found.made = sum(one.made for one in some)
    found.lost = made - distinct + ecgs - recordings
    found.duplicated = readings - distinct + twice
    found.dead_letters, found.epochs, found.parked = dead, epochs, parked
    waiting = "select count(*) from cloud.unassigned"
    (queued,) = ask(url, waiting)
    found.unprojected = made + ecgs - queued


def main() -> None:
    """Print what became of a promotion, of a restore to a moment, and of one to the end of the archive."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--per-s", type=float, default=200.0, help="messages a second")
    options.add_argument("--readings", type=int, default=1, help="per message")
    options.add_argument("--act", type=int, default=1000, help="messages from one act of the play to the next")
    given = options.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    load = Load(given.per_s, given.readings, given.act)
    runs: dict[str, Callable[[Path], Found]] = {
        "promotion": lambda d: promote_in_flood(d, load),
        "restore to a moment": lambda d: restore_in_flood(d, load),
        "restore to the end": lambda d: restore_in_flood(d, load, to_the_end=True),
    }
    for name, run in runs.items():
        with tempfile.TemporaryDirectory() as directory:
            found = run(Path(directory))
        print(json.dumps({"disaster": name, **{k: round(v, 3) for k, v in asdict(found).items()}}), flush=True)


if __name__ == "__main__":
    main()
