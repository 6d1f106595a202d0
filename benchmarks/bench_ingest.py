"""Ingestion: what the store takes in against PostgreSQL's best, the whole line over real MQTT, and nothing lost of it.

Everything is measured in one run on one machine with fsync on: ingest_rates.py (store, COPY, inserts), ingest_line.py
(gateways, broker, worker, receipts), ingest_trial.py (killed parts, a database that is away), ingest_rows.py (what a
row and a question cost in a store of growing size), ingest_alert.py (from a reading to its alarm). `--json` ends with
one line of JSON; `--rows` scales.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ingest_alert
import ingest_line
import ingest_rates
import ingest_rows
import ingest_trial
import structlog
from feldsher_cloud_api import db
from feldsher_ingest.consume import collect_rarely, switch_often
from ingest_line import Flow

Rates = Mapping[str, float]
_MOST_RATED = 2_000_000
"""Values whose messages are made beforehand and held in memory."""
_SIZES = (300_000, 1_000_000, 10_000_000, 30_000_000, 100_000_000, 200_000_000)
"""Of the store at which rows and questions are measured, up to `--rows`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=540_000, help="values of the store; of the rates at most two million"
    )
    parser.add_argument("--kills", type=int, default=10, help="SIGKILLs of worker, broker and database")
    parser.add_argument("--messages", type=int, default=8000, help="messages sent meanwhile")
    parser.add_argument("--pause", type=float, default=60, help="seconds of a database that takes nothing, under flood")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    collect_rarely()
    switch_often()
    rows: int = min(options.rows, _MOST_RATED)
    with tempfile.TemporaryDirectory() as place, ingest_trial.line(Path(place)) as on:
        url = on.database.create_database("rates")
        db.migrate(url)
        ingest_rates.watch_some(url)
        vitals = {n: ingest_rates.vitals(url, rows * n // 15, n) for n in (1, 5, 15)}
        unwatched = ingest_rates.unwatched(url, rows)
        ecg = ingest_rates.recordings(url, max(60, rows // 300))
        alarmed = on.database.create_database("alarms")
        db.migrate(alarmed)
        alert = ingest_alert.latency(alarmed, Path(place), 100)
        ingest_line.wait_up(on)
        flows = {n: ingest_line.flow(on, max(400, rows // 135 // 4 * 4), n) for n in (1, 5, 15)}
        latency = ingest_line.latency(on, 200)
        trial = ingest_trial.run(on, options.kills, options.messages, options.pause)
    grown = ingest_rows.curve([n for n in _SIZES if n <= max(options.rows, _SIZES[1])], 300, say=lambda _found: None)
    _report(vitals, ecg, flows, latency)
    print(f"with roll-ups and watch off, 60 values per message: {unwatched:,.0f} values/s")
    print(f"from a reading that breaks a limit to its Task: p50 {alert['p50']:.0f} ms, p99 {alert['p99']:.0f} ms")
    for found in grown:
        ingest_rows.report(found)
    print(
        f"{trial.kills} SIGKILLs and {options.pause:g} s without a database in {trial.made:,} messages: "
        f"{trial.lost} lost, {trial.duplicated} duplicated; worker's memory at most {trial.worker_rss_mb:.0f} MB"
    )
    if options.json:
        told = {"unwatched_per_s": round(unwatched), **{f"alert_ms_{name}": round(ms) for name, ms in alert.items()}}
        print(json.dumps(_numbers(vitals, ecg, flows, latency) | told | _judged(trial) | _grown(grown)))
    return 0


def _best_insert(rates: Rates) -> float:
    """Return the faster of the two idempotent ways."""
    return max(rates["inserted"], rates["staged"])


def _report(vitals: Mapping[int, Rates], ecg: Rates, flows: Mapping[int, Flow], latency: Rates) -> None:
    for readings, v in vitals.items():
        best = _best_insert(v)
        print(f"{4 * readings} values per message: store {v['store']:,.0f} values/s", end=", ")
        print(f"{v['store'] / best:.0%} of the best insert ({best:,.0f}: unnest {v['inserted']:,.0f},", end=" ")
        print(f"staging {v['staged']:,.0f}), {v['store'] / v['copied']:.0%} of ready-made COPY", end=" ")
        print(f"({v['copied']:,.0f}); replay {v['replay']:,.0f}; {v['bytes']:.0f} bytes per value")
    print(f"ECG: store {ecg['store']:,.0f}/s, {ecg['store'] / ecg['insert']:.0%} of bare inserts", end=" ")
    print(f"({ecg['insert']:,.0f}/s); {ecg['bytes'] / 1000:.1f} kB each")
    for readings, f in flows.items():
        print(f"MQTT to receipt, {4 * readings} values per message: {f.messages:,.0f} messages/s", end=" = ")
        print(f"{f.rows:,.0f} values/s; processor per message: worker {f.worker_us:.0f} µs", end=", ")
        print(f"database {f.database_us:.0f}, broker {f.broker_us:.0f}, gateways {f.gateways_us:.0f}")
    print(f"one message at a time, publish to receipt: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")


def _judged(trial: ingest_trial.Found) -> dict[str, float]:
    return {
        "worker_rss_mb": round(trial.worker_rss_mb),
        "kills": trial.kills,
        "lost": trial.lost,
        "duplicated": trial.duplicated,
    }


def _grown(steps: Sequence[dict[str, Any]]) -> dict[str, object]:
    last = steps[-1]
    return {
        "at_values": last["values"],
        "latest_p95_ms": round(last["last values"]["first_p95"], 2),
        "trend_p95_ms": round(last["90-day trend, kit"]["first_p95"], 2),
        "one_ecg_p95_ms": round(last["one ECG"]["first_p95"], 2),
        "database_us_per_value": {step["values"]: round(step["writing"]["fresh_cpu_us"], 1) for step in steps},
    }


def _numbers(vitals: Mapping[int, Rates], ecg: Rates, flows: Mapping[int, Flow], latency: Rates) -> dict[str, float]:
    most = vitals[15]
    best = _best_insert(most)
    return {
        "vitals_per_s": round(most["store"]),
        "best_insert_per_s": round(best),
        "copy_per_s": round(most["copied"]),
        "vitals_to_insert": round(most["store"] / best, 3),
        "vitals_to_copy": round(most["store"] / most["copied"], 3),
        "vitals_per_s_4": round(vitals[1]["store"]),
        "vitals_per_s_20": round(vitals[5]["store"]),
        "replay_per_s": round(most["replay"]),
        "line_per_s": round(flows[15].rows),
        "line_messages_per_s": round(flows[1].messages),
        "ecg_per_s": round(ecg["store"]),
        "ecg_insert_per_s": round(ecg["insert"]),
        "bytes_per_vital": round(most["bytes"]),
        "bytes_per_ecg": round(ecg["bytes"]),
        "receipt_p50_ms": round(latency["p50"], 1),
        "receipt_p99_ms": round(latency["p99"], 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
