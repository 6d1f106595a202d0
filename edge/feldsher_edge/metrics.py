"""The gateway's figures for Prometheus: on this machine's loopback, or in a file; no patient, no values."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feldsher_edge.devices.ble_device import BleDevice
from feldsher_edge.gateway import Gateway
from feldsher_edge.room import Priority

_log = structlog.get_logger("metrics")
_EVERY_S = 15.0
_ADAPTER_FIGURES = {
    "scan_restarts": "Scans started anew because they heard nothing",
    "scan_failures": "Scans that could not run",
    "failed_connects": "Connections that could not be made",
    "power_cycles": "Times that the adapter was switched off and on because it was stuck",
    "lost_bonds": "Bonds removed because the device had lost them",
}


class GatewayCollector(Collector):
    """Reads a gateway's figures when Prometheus asks."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield all figures."""
        yield from self._outbox()
        yield from self._connection()
        yield from self._adapters()
        ages = GaugeMetricFamily("feldsher_source_age_seconds", "Since a device's last sign of life", labels=["device"])
        for device, age_s in self._gateway.sources.ages_s().items():
            ages.add_metric([device], age_s)
        yield ages
        seen = GaugeMetricFamily(
            "feldsher_source_seen", "1 where a configured device gave a sign of life since the start", labels=["device"]
        )
        unseen = self._gateway.unseen()
        for device in self._gateway.names():
            seen.add_metric([device], int(device not in unseen))
        yield seen
        late = len(self._gateway.pulses.late())
        yield GaugeMetricFamily("feldsher_late_tasks", "Tasks of the daemon without a heartbeat", value=late)

    def _outbox(self) -> Iterator[Metric]:
        counts = self._gateway.outbox.counts()
        waiting = GaugeMetricFamily("feldsher_outbox_rows", "Messages waiting for a receipt", labels=["priority"])
        for priority, rows in zip(Priority, counts.waiting, strict=True):
            waiting.add_metric([priority.name.lower()], rows)
        yield waiting
        yield GaugeMetricFamily("feldsher_outbox_bytes", "Bytes waiting for a receipt", value=counts.waiting_bytes)
        yield GaugeMetricFamily("feldsher_outbox_kept_rows", "Receipted messages kept for resending", value=counts.kept)
        yield GaugeMetricFamily("feldsher_dead_letters", "Messages that the broker refused", value=counts.dead)
        yield CounterMetricFamily("feldsher_dropped", "Messages dropped for want of room", value=counts.dropped)
        yield CounterMetricFamily("feldsher_thinned", "Readings thinned out for want of room", value=counts.thinned)

    def _adapters(self) -> Iterator[Metric]:
        found = {it.radio.adapter: it.radio.figures for it in self._gateway.cuffs if isinstance(it, BleDevice)}
        for name, what in _ADAPTER_FIGURES.items():
            metric = CounterMetricFamily(f"feldsher_bluetooth_{name}", what, labels=["adapter"])
            for adapter, figures in found.items():
                metric.add_metric([adapter], getattr(figures, name))
            yield metric

    def _connection(self) -> Iterator[Metric]:
        figures = self._gateway.publisher.figures
        yield GaugeMetricFamily("feldsher_connected", "1 while connected to the broker", value=int(figures.connected))
        yield CounterMetricFamily("feldsher_connections", "Connections made to the broker", value=figures.connections)
        yield GaugeMetricFamily("feldsher_in_flight", "Messages sent and not yet receipted", value=figures.in_flight)
        yield CounterMetricFamily("feldsher_repeated", "Messages sent again without a receipt", value=figures.repeated)
        taken_over = "Connections that another program with this gateway's identity ended"
        yield CounterMetricFamily("feldsher_taken_over", taken_over, value=figures.taken_over)
        receipts = CounterMetricFamily("feldsher_receipts", "Receipts by state", labels=["state"])
        for state in ("stored", "duplicate", "quarantined"):
            receipts.add_metric([state], getattr(figures, state))
        yield receipts


@contextmanager
def served(gateway: Gateway, port: int) -> Generator[None]:
    """Serve the figures on 127.0.0.1:`port` in a thread."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway))
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def keep_written(gateway: Gateway, path: Path, every_s: float = _EVERY_S) -> None:
    """Write the figures into a file again and again, each time whole: for node_exporter's textfile collector."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(gateway))
    while True:
        try:
            await asyncio.to_thread(write_to_textfile, str(path), registry)
        except OSError as error:
            _log.error("figures not written", path=str(path), error=str(error))
        await asyncio.sleep(every_s)
