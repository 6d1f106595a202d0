"""What a worker tells Prometheus, and its answers to "are you alive?" and "are you ready?", on a loopback port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    make_wsgi_app,  # pyright: ignore[reportUnknownVariableType]
)

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The counters of one worker. No label holds a gateway or anything of a patient."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self.messages = Counter(
            "feldsher_ingest_messages", "Messages by what became of them", ["state"], registry=registry
        )
        self.dead_letters = Counter(
            "feldsher_ingest_dead_letters", "New dead letters by cause", ["cause"], registry=registry
        )
        self.ignored = Counter(
            "feldsher_ingest_ignored", "Messages that are dropped: live strips that came too late or do not fit, "
            "QoS 0 without room", ["why"], registry=registry,
        )  # fmt: skip
        self.live = Histogram(
            "feldsher_ingest_live_seconds", "Arrival of a live strip's piece until it is notified", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.receipts = Counter(
            "feldsher_ingest_receipts", "Receipts by whether they could be sent", ["sent"], registry=registry
        )
        self.batch = Histogram(
            "feldsher_ingest_batch_messages", "Messages per transaction", registry=registry,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
        )  # fmt: skip
        self.commit = Histogram(
            "feldsher_ingest_commit_seconds", "Check and transaction of a batch", registry=registry, buckets=_SECONDS
        )
        self.lag = Histogram(
            "feldsher_ingest_lag_seconds", "Arrival to receipt of a batch's oldest message", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.alerts = Counter(
            "feldsher_ingest_alerts", "Alerts raised on arrival, by severity, whether late, whether doubted",
            ["severity", "late", "doubted"], registry=registry,
        )  # fmt: skip
        self.alert = Histogram(
            "feldsher_ingest_alert_seconds", "Arrival of a batch's oldest message until its alerts are committed",
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.shard_lag = Gauge(
            "feldsher_ingest_shard_lag_seconds", "Arrival to receipt of a shard's oldest message in its last batch",
            ["shard"], registry=registry,
        )  # fmt: skip
        self.seats = Gauge("feldsher_ingest_seats", "Broker users that this worker is", registry=registry)
        self.outstanding = Gauge(
            "feldsher_ingest_receipts_outstanding", "Receipts that the broker has not confirmed", registry=registry
        )
        self.waiting = Gauge("feldsher_ingest_waiting_messages", "Messages in memory", registry=registry)
        self.chores = Counter(
            "feldsher_ingest_chores", "Rounds of a chore by how they ended", ["chore", "well"], registry=registry
        )
        self.database_up = Gauge("feldsher_ingest_database_up", "1 while the database takes batches", registry=registry)
        self.broker_up = Gauge("feldsher_ingest_broker_up", "1 while subscribed at the broker", registry=registry)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Say nothing: the access log of a metrics port is noise."""


class MetricsServer:
    """Serves /metrics, /live and /ready on 127.0.0.1 until closed. Port 0 takes a free one."""

    def __init__(
        self, port: int, registry: CollectorRegistry, live: Callable[[], bool], ready: Callable[[], bool]
    ) -> None:
        metrics = cast("Callable[..., Iterable[bytes]]", make_wsgi_app(registry))
        answers = {"/live": live, "/ready": ready}

        def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            ask = answers.get(str(environ.get("PATH_INFO")))
            if ask is None:
                return metrics(environ, start_response)
            good = ask()
            start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"yes\n" if good else b"no\n"]

        self._server: WSGIServer = make_server("127.0.0.1", port, application, handler_class=_Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="ingest-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
