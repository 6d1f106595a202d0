"""From a reading that breaks a limit to the Task of it: ingest's commit and the cloud's worker, one reading at a time.

The worker runs as it does in production, in a thread of this process; what is timed begins where the store takes the
payload from the network's queue, and ends when the Task can be read.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from uuid import UUID

import msgspec
import psycopg
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.worker import Worker
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import device_key
from feldsher_ehr_core.monitoring import Range
from feldsher_ehr_core.vitals import SYSTOLIC
from feldsher_ingest.check import check
from feldsher_ingest.simulate import SimulatedGateway
from feldsher_ingest.store import Store

GATEWAY, CUFF = "gw-alert", "cuff-alert"
_PATIENCE_S = 60.0


def watch(url: str) -> None:
    """Put one patient under monitoring whose every pressure breaks a limit."""
    rule = msgspec.json.encode(Range((SYSTOLIC.mdc,), above=Decimal(1))).decode()
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into watch_subject (device, subject, during) values (%s, %s, '[2020-01-01Z,)')",
            (device_key(GATEWAY, CUFF), UUID(int=1)),
        )
        connection.execute(
            "insert into watch_limit (id, version, subject, rule, severity, during)"
            " values (gen_random_uuid(), 1, %s, %s, 'urgent', '[2020-01-01Z,)')",
            (UUID(int=1), rule),
        )


def latency(url: str, state: Path, count: int) -> dict[str, float]:
    """Return the median and the 99th centile of `count` alerts, milliseconds; RuntimeError where one does not come.

    `url`: a migrated database of its own.
    """
    watch(url)
    worker = Worker(Settings(database_url=url, state=state, clock=lambda: datetime.now(UTC)))
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    gateway = SimulatedGateway(GATEWAY, 1)
    try:
        with Store(url, "bench") as store, psycopg.connect(url, autocommit=True) as asking:
            _one(store, asking, gateway)  # the first finds cold plans and no device
            took = [_one(store, asking, gateway) for _ in range(count)]
    finally:
        worker.stop()
        thread.join(10)
    return {"p50": quantiles(took, n=2)[0], "p99": quantiles(took, n=100)[98]}


def _one(store: Store, asking: psycopg.Connection[tuple[object, ...]], gateway: SimulatedGateway) -> float:
    message = gateway.pressure(1, CUFF)
    payload, began = wire.encode(message), time.perf_counter()
    store.save([check(wire.up_topic(GATEWAY, "vitals"), payload)])
    query = (
        "select from watch_alert a join cloud.alarm_alert g on g.alert = a.id join fhir.task t on t.id = g.task"
        " where a.reading_id = %s"
    )
    while not asking.execute(query, (message.reading[0],)).fetchall():
        if time.perf_counter() - began > _PATIENCE_S:
            raise RuntimeError(f"no Task within {_PATIENCE_S:.0f} s of a reading that breaks a limit")
        time.sleep(0.002)
    return (time.perf_counter() - began) * 1000
