"""A day of twenty devices in minutes, with everything going wrong: every committed reading in the cloud just once.

Real gateway, broker, ingest and TimescaleDB; one scaled clock over all (feldsher_edge.simulate.soak). The gateway is
killed at random moments, the broker killed and stopped, the disk full for a while, the wall clock at 1970 and a year
off; cuffs bring readings twice, have wrong clocks, fail and say NaN. The second half runs undisturbed: the growth
of its last part is what is measured.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import psycopg
from feldsher_edge import status
from feldsher_edge.simulate import journal
from feldsher_edge.simulate.clock import START_US
from feldsher_edge.simulate.scaled import ScaledClock, Wrong
from feldsher_edge.simulate.soak import Plan
from feldsher_signal import synth
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.process import Process
from feldsher_tools.services import client_files
from installation import Installation

GATEWAY = "gw-soak"
_HOURS = 24.0
_HOUR_S = 3600.0
_YEAR_US = 365 * 86_400 * 1_000_000
_DISTURBED = 0.5
_SETTLED = 0.7
_DRAIN_S = 120.0
_EDGE_S = 60.0
"""Virtual seconds about a change of the clock in which a reading and its message may stand on both sides of it."""
_TOLERANCE_US = 5_000_000
"""Between a corrected time and the truth: devices tell whole seconds."""
_PAUSE_S = 0.02
"""Real seconds that a scheduler may put between two readings of a clock; in the trial they are scaled as well."""

CONFIGURATION = """\
gateway = "{name}"
state = "{state}"
[mqtt]
host = "127.0.0.1"
port = {port}
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
backoff_cap_s = 3
history_per_s = 200
heartbeat_s = 5
[interpreter]
timeout_s = 20
[outbox]
history_after_s = 900
continuous = {{ rows = 60, bytes = 1000000, days = 60 }}
"""


@dataclass(slots=True)
class Growth:
    """Memory (MB), open files and processor time (s) of a process at one moment; `children`: of those it started."""

    rss_mb: float
    files: int
    cpu_s: float
    children_mb: float = 0.0
    children_cpu_s: float = 0.0


def growth(pid: int) -> Growth:
    """Return what a process takes now."""
    kids = [growth(int(kid)) for kid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    rss_mb = int(fields["VmRSS"].split()[0]) / 1024
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Growth(rss_mb, files, cpu_s, sum(kid.rss_mb for kid in kids), sum(kid.cpu_s for kid in kids))


class Trial:
    """One trial on `at`: `minutes` of real time, everything random from `seed`; `say` is told the steps."""

    def __init__(self, at: Installation, minutes: float, seed: int, say: Callable[[str], None]) -> None:
        self._at, self._say = at, say
        self._random = Random(seed)  # noqa: S311 - a trial must be repeatable
        self._seconds = minutes * 60
        self._folder = at.folder / "soak"
        self._state = self._folder / "state"
        self._folder.mkdir()
        self._broker = Mosquitto(at.place, self._folder / "mosquitto", at.listener, name=f"{at.tag}-soak-broker")
        self._plan = self._make_plan(seed)
        plan = self._folder / "plan.json"
        plan.write_bytes(msgspec.json.encode(self._plan))
        self.gateway = Process(
            name="gateway",
            argv=[sys.executable, "-m", "feldsher_edge.simulate.soak", str(plan)],
            log=self._folder / "gateway.log",
            pid_file=at.place.run / f"{at.tag}-soak.pid",
        )
        self.kills = Counter[str]()

    def _make_plan(self, seed: int) -> Plan:
        files = client_files(self._at.authority, GATEWAY)
        samples = self._folder / "samples.npy"
        np.save(samples, synth.ecg(synth.PRESETS["normal"], seed=seed)[0].samples.astype(np.int32))
        config = CONFIGURATION.format(
            name=GATEWAY, state=self._state, port=self._broker.port, ca=files.ca, certificate=files.certificate,
            key=files.key,
        )  # fmt: skip
        wrong = (
            Wrong(0, 2 * _HOUR_S, 600_000_000 - START_US),  # no clock of its own: it wakes in 1970
            Wrong(8 * _HOUR_S, 9 * _HOUR_S, _YEAR_US),
            Wrong(11 * _HOUR_S, 12 * _HOUR_S, -_YEAR_US),
        )
        scale = _HOURS * 3600 / self._seconds
        return Plan(
            config, str(self._folder / "journal"), str(samples), time.monotonic_ns(), scale, START_US, _HOURS, seed,
            wrong=wrong, full=((5 * _HOUR_S, 5.5 * _HOUR_S),),
        )  # fmt: skip

    def run(self) -> dict[str, Any]:
        """Run the trial and return its figures."""
        # as the service does before its start: compiled under way, the kernels would take longer than the trial
        subprocess.run([sys.executable, "-m", "feldsher_edge.interpreter_child", "--warm"], check=True)
        with self._broker, self._at.ingest(self._broker.url):
            # the origin is set now: what came before was not the trial's
            self._plan = msgspec.structs.replace(self._plan, origin_ns=time.monotonic_ns())
            Path(self.gateway.argv[-1]).write_bytes(msgspec.json.encode(self._plan))
            clock = ScaledClock(self._plan.origin_ns, self._plan.scale, START_US)
            self.gateway.start()
            try:
                self._disturb(clock)
                self._until(clock, _SETTLED)
                before = growth(self.gateway.pid)
                self._until(clock, 1.0)
                self._drain()
                after = growth(self.gateway.pid)
            finally:
                self.gateway.stop()
        return self._figures(before, after)

    def _until(self, clock: ScaledClock, share: float) -> None:
        while clock.elapsed_s() < share * _HOURS * _HOUR_S:
            time.sleep(0.05)

    def _disturb(self, clock: ScaledClock) -> None:
        """Kill and stop at random moments, in the first part of the trial."""
        kinds: list[Callable[[], None]] = [self._kill_gateway] * 6 + [self._kill_broker] * 2 + [self._stop_broker]
        moments = sorted(self._random.uniform(0.05, _DISTURBED) for _ in kinds)
        self._random.shuffle(kinds)
        for moment, disturb in zip(moments, kinds, strict=True):
            self._until(clock, moment)
            disturb()

    def _kill_gateway(self) -> None:
        self._say("  SIGKILL to the gateway")
        self.kills["gateway"] += 1
        os.kill(self.gateway.pid, signal.SIGKILL)  # its child is left to find out by itself
        while self.gateway.running:
            time.sleep(0.01)
        self.gateway.start()

    def _kill_broker(self) -> None:
        self._say("  SIGKILL to the broker")
        self.kills["broker"] += 1
        self._broker.kill()
        self._broker.start()

    def _stop_broker(self) -> None:
        self._say("  the broker stays away")
        self.kills["outage"] += 1
        self._broker.stop()
        time.sleep(self._seconds * 0.08)  # two hours of its day
        self._broker.start()

    def _drain(self) -> None:
        """Wait until nothing waits."""
        deadline = time.monotonic() + _DRAIN_S
        while time.monotonic() < deadline:
            try:
                report = status.ask(self._state)
            except status.StatusError:
                report = None
            if report is not None and sum(report.waiting.values()) + report.held == 0:
                return
            time.sleep(0.2)
        self._say("  not everything was receipted in time")

    def _figures(self, before: Growth, after: Growth) -> dict[str, Any]:
        committed = journal.read(Path(self._plan.journal))
        with psycopg.connect(self._at.database) as connection:
            found = _compare(connection, committed, self._plan)
        return found | {
            "soak_hours": _HOURS,
            "soak_devices": self._plan.cuffs + self._plan.meters + self._plan.belts + 1,
            "kills": self.kills["gateway"],
            "broker_restarts": self.kills["broker"] + self.kills["outage"],
            "rss_mb_start": round(before.rss_mb, 1),
            "rss_mb_end": round(after.rss_mb, 1),
            "files_start": before.files,
            "files_end": after.files,
            "soak_commit_ms_p50": round(statistics.median(committed.wall_ms), 2),
            "soak_commit_ms_p99": round(statistics.quantiles(committed.wall_ms, n=100)[98], 2),
            "soak_commit_cpu_ms_p50": round(statistics.median(committed.cpu_ms), 3),
        }


def _compare(connection: psycopg.Connection[Any], committed: journal.Committed, plan: Plan) -> dict[str, Any]:
    """Return what of the committed is in the cloud, how often, and with what time."""
    rows = connection.execute(
        "select reading_id::text, count(*), count(distinct code), min(coalesce(corrected_time, time))"
        " from vital_sign where gateway = %s group by reading_id",
        [GATEWAY],
    ).fetchall()
    stored = {reading: (count - codes, taken) for reading, count, codes, taken in rows}
    found = connection.execute("select sha256 from ecg_recording where gateway = %s", [GATEWAY]).fetchall()
    recordings = Counter(bytes(digest) for (digest,) in found)
    gaps = connection.execute(
        "select device, sum(readings)::bigint from gap where gateway = %s group by device", [GATEWAY]
    )
    ledger = {device: count for device, count in gaps.fetchall() if count}
    missing = committed.of_device(committed.readings.keys() - stored.keys())
    lost_ecgs = [digest for digest in committed.recordings if not recordings[digest]]
    off = [r for r in committed.readings.keys() & stored.keys() if _off(committed.readings[r][1], stored[r][1], plan)]
    return {
        "soak_generated": len(committed.readings) + len(committed.recordings),
        "stored": len(stored) + len(recordings),
        "lost": sum(max(0, n - ledger.get(device, 0)) for device, n in missing.items()) + len(lost_ecgs),
        "duplicated": sum(extra for extra, _ in stored.values()) + sum(n - 1 for n in recordings.values()),
        "ledgered": sum(ledger.values()),
        "times_wrong": len(off),
        "soak_ecgs": len(committed.recordings),
    }


def _off(brought: list[tuple[int, float, float]], stored: datetime, plan: Plan) -> bool:
    """Return whether a stored time is wrong, but not where the clock was being set at the moment of delivery."""
    edges = [edge for wrong in plan.wrong for edge in (wrong.begin, wrong.end)]
    if any(begin_s - _EDGE_S < edge < end_s + _EDGE_S for _, begin_s, end_s in brought for edge in edges):
        return False
    at_us = (stored - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6
    tolerance_us = _TOLERANCE_US + _PAUSE_S * plan.scale * 1e6
    return min(abs(at_us - true_us) for true_us, _, _ in brought) > tolerance_us
