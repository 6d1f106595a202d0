"""Speed of the ECG engine on synthetic patients, beside other engines and passes over memory measured in the same run.

CPU milliseconds (the machine may be shared): least of several. Every stage is given with its ratio to a copy of the
same samples in memory, the least that any pass can take. sleepecg and neurokit2 run in an environment of their own
(`./run bench ecg` makes it; FELDSHER_PEERS names its Python). The tables of accuracy are those of accuracy.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import accuracy
import bench_ambulatory
import numpy as np
import tables
from feldsher_signal import detector, draw, fiducial, synth
from feldsher_signal.interpret import interpret, warm
from numpy.typing import NDArray
from sets import DATA

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

_START = """
import json, time
from feldsher_signal import synth
recording, _ = synth.ecg(synth.PRESETS["normal"], seed=1)
before = time.process_time()
from feldsher_signal.interpret import interpret
interpret(recording)
after = time.process_time()
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps([after, after - before, peak]))
"""


def least(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of a call in ms, the least of `times`."""
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(1000 * (time.process_time() - start))
    return min(found)


def r_peaks(x: NDArray[np.float32], fs: float, lead_on: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the R peaks of the first lead: detection on all leads, then the wave itself."""
    at = detector.detect(x, fs, lead_on)
    return fiducial.peaks(x, fs, at, np.zeros_like(at))


def _copy(x: NDArray[np.float32]) -> float:
    """Return the time that a copy of the samples takes, in ms: the limit of one pass over memory."""
    into = np.empty_like(x)
    return max(least(lambda: np.copyto(into, x), 20), 1e-3)


def _start() -> dict[str, float]:
    """Return CPU seconds and memory (MB) of a fresh process up to its first interpretation, kernels cached."""
    warm()
    done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True, check=True, env=os.environ)
    whole, engine, kilobytes = json.loads(done.stdout)
    return {
        "cached_start_cpu_s": round(whole, 3),
        "cached_start_engine_cpu_s": round(engine, 3),
        "rss_mb": round(kilobytes / 1024, 1),
    }


def _peers(one: NDArray[np.float32], twelve: NDArray[np.float32]) -> dict[str, float | str]:
    """Return what the other engines take for the same signals, or say on standard error that they are not there."""
    python = os.environ.get("FELDSHER_PEERS")
    if python is None:
        sys.stderr.write("peers: ABSENT, ./run bench ecg makes their environment\n")
        return {}
    with tempfile.TemporaryDirectory() as place:
        signals = Path(place) / "signals.npz"
        np.savez(signals, one=one[0], one_fs=360.0, twelve=twelve, twelve_fs=500)
        command = [python, str(Path(__file__).with_name("peers.py")), str(signals)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def speed() -> dict[str, float | str]:
    """Return every figure of speed and memory, ours and the peers'."""
    warm()
    long, _ = synth.ecg(synth.PRESETS["noisy"], seconds=1800, fs=360, seed=1)
    one = np.ascontiguousarray(long.microvolts()[1:2])
    short, _ = synth.ecg(synth.PRESETS["normal"], seed=1)
    twelve, result = short.microvolts(), interpret(short)
    on_one, on_twelve = np.full(1, True), np.full(12, True)
    times = {
        "qrs_30min_ms": (least(lambda: r_peaks(one, 360.0, on_one), 15), one),
        "qrs_12lead_10s_ms": (least(lambda: r_peaks(twelve, 500.0, on_twelve), 30), twelve),
        "full_12lead_ms": (least(lambda: interpret(short), 30), twelve),
        "full_30min_one_lead_ms": (least(lambda: interpret(long, channel=1), 3), one),
        "svg_ms": (least(lambda: draw.svg(short, result), 10), twelve),
    }
    out: dict[str, float | str] = {}
    for name, (ms, x) in times.items():
        limit = _copy(x)
        out[name] = round(ms, 3)
        out[f"{name[:-3]}_times_copy"] = round(ms / limit, 1)
        out[f"{name[:-3]}_ns_per_sample"] = round(1e6 * ms / x.size, 2)
    out |= _start() | bench_ambulatory.measure() | _peers(one, twelve)
    for ratio, ours, theirs in (
        ("sleepecg_times", "qrs_30min_ms", "sleepecg_30min_ms"),
        ("neurokit2_times", "full_12lead_ms", "neurokit2_12lead_ms"),
    ):
        if theirs in out:
            out[ratio] = round(float(out[theirs]) / float(out[ours]), 2)
    return out


def main() -> None:
    """Measure and print tables; with --json one line last; with --write the tables go into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON line at the end instead of tables")
    parser.add_argument(
        "--data", type=Path, default=DATA, help="recordings: any folder of WFDB records with annotations"
    )
    parser.add_argument("--speed", action="store_true", help="no accuracy, which takes minutes")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    out: dict[str, Any] = dict(speed())
    found = {} if options.speed else accuracy.reports(options.data, list(accuracy.SETS))
    parts = {"Speed": {name: {"measured": value} for name, value in out.items()}}
    parts |= {f"Accuracy, {name}": report for name, report in found.items()}
    text = "\n".join(tables.markdown(title, report) for title, report in parts.items())
    if options.write:
        tables.place(PAGE, "bench ecg", f"Written by `./run bench ecg --write`.\n\n{text}")
    print(json.dumps({**out, "accuracy": found}, ensure_ascii=False) if options.json else text)


if __name__ == "__main__":
    main()
