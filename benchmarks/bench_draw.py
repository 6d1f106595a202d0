"""Time and size of the ECG paper beside the same line drawn plainly (every sample, floating point), in the same run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from feldsher_signal import draw, draw_trace, synth
from numpy.typing import NDArray

LAYOUTS: tuple[draw.Layout, ...] = ("3x4+1", "6x2", "12x1", "single")


def _plain(microvolts: NDArray[np.float32]) -> str:
    """Return the obvious drawing: polylines of millimetres with three decimals."""
    return "".join(
        '<polyline points="' + " ".join(f"{i * 0.05:.3f},{-value / 100:.3f}" for i, value in enumerate(row)) + '"/>'
        for row in microvolts.tolist()
    )


def _milliseconds(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of a call in ms, the least of several."""
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found) * 1e3


def measure() -> dict[str, dict[str, float]]:
    """Return ms and kB for every layout of a 12-lead recording of 10 s at 500/s, and for the plain line."""
    recording, _ = synth.ecg(synth.PRESETS["normal"])
    microvolts = draw_trace.steady(recording.microvolts(), recording.fs)
    shown = np.concatenate([microvolts[:, :1250].reshape(1, -1), microvolts[1:2]], axis=1)
    plain = {"ms": _milliseconds(lambda: _plain(shown), 5), "kb": len(_plain(shown)) / 1e3}
    out = {"plain line of 3x4+1": plain}
    for layout in LAYOUTS:
        page = draw.svg(recording, layout=layout)
        out[layout] = {
            "ms": _milliseconds(lambda layout=layout: draw.svg(recording, layout=layout), 20),
            "kb": len(page.encode()) / 1e3,
        }
    out["3x4+1"]["times_faster_than_plain"] = plain["ms"] / out["3x4+1"]["ms"]
    out["3x4+1"]["times_smaller_than_plain"] = plain["kb"] / out["3x4+1"]["kb"]
    return out


def main(argv: list[str]) -> int:
    """Print the measurements; `--json` for a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    results = measure()
    if options.json:
        print(json.dumps({"draw": results}))
        return 0
    for name, result in results.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
