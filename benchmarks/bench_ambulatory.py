"""Speed and memory of the report of a day: 24 h of one lead at 360 Hz, from integer samples to the report.

`day()` makes the recording and `analyse()` reports on it, for `./run bench ecg`; run alone it prints both and the peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
from feldsher_signal import synth
from feldsher_signal.record import Recording

FS, HOURS = 360.0, 24
_HOUR = (
    ("normal", 1200),
    ("sinus_arrhythmia", 900),
    ("ventricular_ectopy", 600),
    ("atrial_fibrillation", 600),
    ("atrial_ectopy", 300),
)
_PEAK = """
import resource, sys
import numpy as np
from feldsher_signal.ambulatory import Stored
from feldsher_signal.ambulatory_report import report
report(Stored(np.load(sys.argv[1], mmap_mode="r"), ("II",), 360.0, (1.0,)), "bench")
with open("/proc/self/status") as status:
    fields = dict(line.split(":", 1) for line in status)
print(int(fields["VmHWM"].split()[0]), int(fields["RssAnon"].split()[0]))
"""


def hour(seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Return one synthetic hour of lead II as int16 (1, n): sinus rhythm, ectopy of both kinds, fibrillation."""
    pieces = [
        synth.ecg(synth.PRESETS[name], seconds=seconds, fs=FS, seed=seed + k)[0].samples[1:2]
        for k, (name, seconds) in enumerate(_HOUR)
    ]
    return np.concatenate(pieces, axis=1).clip(-32768, 32767).astype(np.int16)


def day(seed: int = 1) -> Recording:
    """Return 24 h of lead II: the same hour again and again, its amplitude slowly changing with the time of day."""
    one = hour(seed).astype(np.int32)
    swing = [1000 + round(200 * np.sin(2 * np.pi * k / HOURS)) for k in range(HOURS)]
    return Recording(("II",), FS, np.concatenate([one * part // 1000 for part in swing], axis=1), (1.0,))


def analyse(recording: Recording) -> object:
    """Return the report of a long recording."""
    from feldsher_signal.ambulatory import Whole  # noqa: PLC0415 - loads Numba
    from feldsher_signal.ambulatory_report import report  # noqa: PLC0415

    return report(Whole(recording), "bench")


def measure() -> dict[str, float]:
    """Return the CPU seconds of a day's report (least of three), and the peak memory (MB) of a process that makes one.

    The process reads the day from a file of int16 samples piece by piece.
    """
    recording = day()
    analyse(recording.only(0))
    found: list[float] = []
    for _ in range(3):
        start = time.process_time()
        analyse(recording)
        found.append(time.process_time() - start)
    return {"holter_24h_s": round(min(found), 3), **_memory(recording)}


def _memory(recording: Recording) -> dict[str, float]:
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"feldsher-day-{os.getpid()}.npy")  # noqa: PTH118, S108
    np.save(path, recording.samples.astype(np.int16))
    try:
        done = subprocess.run([sys.executable, "-c", _PEAK, path], capture_output=True, text=True, check=True)
    finally:
        os.unlink(path)  # noqa: PTH108
    peak, anonymous = (int(word) / 1024 for word in done.stdout.split())
    return {"holter_24h_peak_mb": round(peak, 1), "holter_24h_anonymous_mb": round(anonymous, 1)}


def main() -> None:
    """Print the figures, or one JSON line with --json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure()
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28s} {value:10.3f}")


if __name__ == "__main__":
    main()
