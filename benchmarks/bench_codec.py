"""Size and speed of the sample codec beside plain zstd and zlib, measured in the same run on the same recordings."""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zstandard
from feldsher_signal import codec, synth
from feldsher_signal.formats import read
from feldsher_signal.record import Recording

REAL = Path(__file__).parents[1].parent / "shared" / "ecg"


def _recordings() -> dict[str, list[Recording]]:
    """Return the sets to measure; real ones only where they are."""
    out = {"synthetic": [synth.ecg(patient, seed=1)[0] for patient in synth.PRESETS.values()]}
    for name, pattern in (("ptbxl", "ptbxl/records500/*/*.hea"), ("ludb", "ludb/data/*.hea")):
        paths = sorted(REAL.glob(pattern))[:40]
        if paths:
            out[name] = [read(path) for path in paths]
    return out


def _seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of a call, the least of five."""
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def measure(recordings: list[Recording]) -> dict[str, float]:
    """Return bytes a sample of each way, and milliseconds for 10 s of 12 leads through the codec (mean)."""
    raw = [np.ascontiguousarray(each.samples, "<i4").tobytes() for each in recordings]
    coded = [codec.encode(each.samples) for each in recordings]
    for each, data in zip(recordings, coded, strict=True):
        assert np.array_equal(codec.decode(data, len(each.leads), each.n), each.samples)
    samples = sum(each.samples.size for each in recordings)
    size = sum(len(each) for each in coded)
    ways = {
        "zstd_int32": sum(len(zstandard.ZstdCompressor(level=3).compress(each)) for each in raw),
        "zstd_int16": sum(
            len(zstandard.ZstdCompressor(level=3).compress(each.samples.astype("<i2").tobytes())) for each in recordings
        ),
        "zlib_int32": sum(len(zlib.compress(each, 6)) for each in raw),
    }
    encode = sum(_seconds(lambda each=each: codec.encode(each.samples)) for each in recordings)
    decode = sum(
        _seconds(lambda data=data, each=each: codec.decode(data, len(each.leads), each.n))
        for data, each in zip(coded, recordings, strict=True)
    )
    plain = sum(_seconds(lambda each=each: zstandard.ZstdCompressor(level=3).compress(each)) for each in raw)
    return {
        "recordings": len(recordings),
        "bytes_per_sample": size / samples,
        **{f"times_smaller_than_{name}": other / size for name, other in ways.items()},
        "encode_ms": encode / len(recordings) * 1e3,
        "decode_ms": decode / len(recordings) * 1e3,
        "zstd_int32_ms": plain / len(recordings) * 1e3,
    }


def main(argv: list[str]) -> int:
    """Print the measurements; `--json` for a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    results = {name: measure(recordings) for name, recordings in _recordings().items()}
    if options.json:
        print(json.dumps({"codec": results}))
        return 0
    for name, result in results.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in result.items()))
    if len(results) == 1:
        print(f"real recordings are not in {REAL}: synthetic ones only")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
