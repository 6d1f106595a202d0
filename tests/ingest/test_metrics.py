"""Alive and ready are answered as they are."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from feldsher_ingest.metrics import Metrics, MetricsServer
from prometheus_client import CollectorRegistry


def test_a_worker_that_is_not_ready_says_so() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.dead_letters.labels(cause="payload").inc(2)
    server = MetricsServer(0, metrics.registry, lambda: True, lambda: False)
    try:
        base = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{base}/live") as answer:  # noqa: S310 (our own loopback)
            assert answer.read() == b"yes\n"
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            urllib.request.urlopen(f"{base}/ready")  # noqa: S310
        refused.value.close()
        with urllib.request.urlopen(f"{base}/metrics") as answer:  # noqa: S310
            assert b'feldsher_ingest_dead_letters_total{cause="payload"} 2.0' in answer.read()
    finally:
        server.close()
