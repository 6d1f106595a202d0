"""Gauges of how the line stands (standing.py), asked of the database when Prometheus asks a worker.

Every worker tells the same of the one database: rules and panels take the greatest.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feldsher_ingest import primary, standing
from feldsher_ingest.standing import Standing

KEPT_S = 10.0
"""Several askers within so many seconds cost the database one look."""
_ROW = (
    ("server", "bytes", "feldsher_database_bytes", "Size of the database"),
    ("server", "timeline", "feldsher_database_timeline", "Promotions and recoveries of the database so far"),
    ("archive", "age_s", "feldsher_database_archive_age_seconds", "Since a piece of the log was last archived"),
    ("archive", "failing", "feldsher_database_archive_failing", "1 while the log is not being archived"),
    ("backups", "age_s", "feldsher_database_backup_age_seconds", "Since the newest base backup was verified"),
    ("events", "waiting", "feldsher_database_events_waiting", "Events that the record has not taken in"),
    ("events", "oldest_s", "feldsher_database_events_oldest_seconds", "For how long the oldest of them waits"),
    ("events", "parked", "feldsher_database_events_parked", "Events that the record has given up"),
    ("rollups", "due", "feldsher_database_rollups_due", "Days of sources that wait to be rolled up"),
    ("rollups", "oldest_s", "feldsher_database_rollups_oldest_seconds", "For how long the oldest of them waits"),
    ("watch", "due", "feldsher_database_watch_due", "Stretches of measurements that wait to be judged anew"),
    ("watch", "oldest_s", "feldsher_database_watch_oldest_seconds", "For how long the oldest of them waits"),
    ("canary", "silent", "feldsher_database_canary_silent", "Shards whose test alarms have not come through"),
    ("resend", "unasked", "feldsher_database_resend_unasked", "Gateways still to be asked to send again"),
)
_ROWS = (
    ("replicas", "name", "behind_s", "feldsher_database_replica_seconds", "Seconds by which a replica is behind"),
    ("replicas", "name", "behind_bytes", "feldsher_database_replica_bytes", "Bytes of the log it is behind"),
    ("slots", "name", "kept_bytes", "feldsher_database_slot_bytes", "Bytes of the log kept for a slot"),
    ("letters", "cause", "letters", "feldsher_database_dead_letters", "Dead letters that wait for somebody"),
)


class Looked(Collector):
    """Gauges of one database and of the disk that a worker's state lies on. Where the database is silent: only `up`."""

    def __init__(self, url: str, state: Path) -> None:
        self._url, self._state = url, state
        self._kept: Standing | None = None
        self._at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering asks no database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield what could be seen; what could not is not told, and rules notice its absence."""
        found = self._look()
        yield _gauge("feldsher_database_up", "1 while the database answers", found is not None)
        if self._state.exists():
            usage = shutil.disk_usage(self._state)
            yield _gauge("feldsher_ingest_disk_free_bytes", "Free where a worker's state lies", usage.free)
            yield _gauge("feldsher_ingest_disk_bytes", "Size of the disk that a worker's state lies on", usage.total)
        if found is not None:
            yield from families(found)

    def _look(self) -> Standing | None:
        if time.monotonic() - self._at < KEPT_S:
            return self._kept
        try:
            address = primary.address(self._url)
            with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
                self._kept = standing.look(connection)
        except psycopg.Error:
            self._kept = None
        self._at = time.monotonic()
        return self._kept


def families(found: Standing) -> Iterable[GaugeMetricFamily]:
    """Yield the gauges of what was seen."""
    for query, column, name, words in _ROW:
        value: Any = found.one(query).get(column)
        if value is not None:
            yield _gauge(name, words, value)
    for query, label, column, name, words in _ROWS:
        if query in found.seen:
            family = GaugeMetricFamily(name, words, labels=[label])
            for row in found.seen[query]:
                family.add_metric([str(row[label])], float(row[column] or 0))
            yield family
    if "workers" in found.seen:
        yield _gauge("feldsher_database_workers", "Worker processes that are there", len(found.seen["workers"]))
        held = sum(len(row["seats"]) for row in found.seen["workers"])
        yield _gauge("feldsher_database_seats_held", "Seats that a worker holds", held)
    if "unheld" in found.seen:
        yield _gauge("feldsher_database_seats_unheld", "Seats that nobody holds any more", len(found.seen["unheld"]))
    if "gateways" in found.seen:
        yield from _backlog(found)


def _backlog(found: Standing) -> Iterable[GaugeMetricFamily]:
    waiting = GaugeMetricFamily("feldsher_database_gateways_waiting", "Messages waiting in gateways", labels=["shard"])
    oldest = GaugeMetricFamily(
        "feldsher_database_gateways_oldest_seconds", "Age of the oldest message in gateways", labels=["shard"]
    )
    for number, backlog in found.shards().items():
        waiting.add_metric([str(number)], backlog.messages)
        oldest.add_metric([str(number)], backlog.oldest_s)
    yield waiting
    yield oldest


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=float(value))
