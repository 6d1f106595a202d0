"""Time sleepecg and neurokit2 on the signals of a file: run by bench_ecg.py in the peers' own environment.

`python peers.py SIGNALS.npz` with `one` (n samples at `one_fs`) and `twelve` (12, n at `twelve_fs`) in µV. Prints one
JSON line: CPU milliseconds, the least of several calls, each peer with its defaults.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

# One thread each: the time of a second core would not show in the wall clock of a busy gateway, but would in its heat.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import neurokit2  # pyright: ignore[reportMissingImports]
import numpy as np
import sleepecg  # pyright: ignore[reportMissingImports]


def least(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of a call in ms, the least of `times`."""
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(1000 * (time.process_time() - start))
    return min(found)


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    signals = np.load(sys.argv[1])
    one, one_fs = signals["one"].astype(np.float64) / 1000, float(signals["one_fs"])
    twelve, fs = signals["twelve"].astype(np.float64) / 1000, int(signals["twelve_fs"])

    def process() -> None:
        for lead in twelve:
            neurokit2.ecg_process(lead, sampling_rate=fs)  # pyright: ignore

    process()
    out = {
        "sleepecg_30min_ms": round(least(lambda: sleepecg.detect_heartbeats(one, one_fs), 7), 3),  # pyright: ignore
        "neurokit2_12lead_ms": round(least(process, 3), 1),
        "sleepecg_version": version("sleepecg"),
        "neurokit2_version": version("neurokit2"),
    }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
