"""What the API tells Prometheus, on a loopback port of its own: counts by route, state and code, never of anybody."""

from __future__ import annotations

import math
from collections.abc import Iterable
from wsgiref.simple_server import WSGIServer

import psycopg
from feldsher_ehr_core.ids import SHARDS
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feldsher_cloud_api import canary, db, worker
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fleet import devices, gateways, limits, problems


class Metrics:
    """Counters of one application, by route template and never by address, and gauges of what its database holds."""

    def __init__(self, settings: Settings, pool: db.Pool) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("feldsher_http_requests", "Answered requests", labels, registry=self.registry)
        self.seconds = Histogram("feldsher_http_seconds", "Time to answer", ("method", "route"), registry=self.registry)
        self.registry.register(Standing(settings, pool))


class Standing(Collector):
    """Gauges that are asked of the database when Prometheus asks; only `parked`, not a number, where it is silent."""

    def __init__(self, settings: Settings, pool: db.Pool) -> None:
        self._settings, self._pool = settings, pool

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering asks no database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield events given up; gateways by state, devices by life, and what needs a technician, by code."""
        parked = GaugeMetricFamily("feldsher_events_parked", "Events that the worker has given up")
        counted = [parked]
        try:
            with self._pool.connection(timeout=2) as connection:
                parked.add_metric([], worker.parked_count(connection))
            counted += self._fleet()
        except (psycopg.Error, TimeoutError):
            if not parked.samples:
                parked.add_metric([], math.nan)
        return counted

    def _fleet(self) -> list[GaugeMetricFamily]:
        now = self._settings.clock()
        # A manager's view: counts and states are all that this role sees.
        with db.asking(self._pool, user=None, role="manager") as connection:
            states, lives = gateways.states(connection), devices.lives(connection, now)
            found = problems.counts(connection, limits.load(), now)
            line = canary.standing(connection, now)
        by_state = GaugeMetricFamily("feldsher_fleet_gateways", "Gateways by state", labels=["state"])
        by_life = GaugeMetricFamily("feldsher_fleet_devices", "Devices by life", labels=["life"])
        wrong = GaugeMetricFamily("feldsher_fleet_problems", "What needs a technician", labels=["of", "code"])
        for state in gateways.STATES:
            by_state.add_metric([state], states.get(state, 0))
        for life in ("assigned", "ready", "to_clean", "retired"):
            by_life.add_metric([life], lives.get(life, 0))
        every = (("gateway", problems.GATEWAY_CODES), ("device", problems.DEVICE_CODES), ("line", problems.LINE_CODES))
        for of, codes in every:
            for code in codes:
                wrong.add_metric([of, code], found.get(f"{of}.{code}", 0))
        return [by_state, by_life, wrong, *_canary(line)]


def _canary(line: canary.Standing) -> list[GaugeMetricFamily]:
    """Return how the test alarms stand. Alarm on `feldsher_canary_silent > 0`, and on its absence."""
    silent = GaugeMetricFamily("feldsher_canary_silent", "Shards whose test alarms have not come through for too long")
    crossed = GaugeMetricFamily(
        "feldsher_canary_crossed_timestamp_seconds", "When a shard's last test alarm came through", labels=["shard"]
    )
    legs = GaugeMetricFamily(
        "feldsher_canary_seconds",
        "From sending the newest test alarm until it was seen at a leg",
        labels=["shard", "leg"],
    )
    silent.add_metric([], len(line.silent) if line.canaries else SHARDS)
    for one in line.canaries:
        shard = str(one.shard)
        if one.crossed_at is not None:
            crossed.add_metric([shard], one.crossed_at.timestamp())
        taken = {"broker": one.heard_s, "ingest": one.receipt_s, "watch": one.stored_s, "worker": one.seconds}
        for leg, seconds in taken.items():
            if seconds is not None:
                legs.add_metric([shard, leg], seconds)
    return [silent, crossed, legs]


def serve(metrics: Metrics, port: int) -> WSGIServer:
    """Serve the metrics on a port of this machine's loopback and return the server; port 0 takes a free one."""
    server, _ = start_http_server(port, addr="127.0.0.1", registry=metrics.registry)
    return server
