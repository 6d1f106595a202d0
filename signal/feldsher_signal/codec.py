"""Lossless codec of ECG samples: zstd over byte planes of zigzag-coded differences ("zdb32").

Measured best of eleven on 12-lead recordings (docs/performance.md). Differences wrap modulo 2^32, so every int32 value,
MISSING included, survives. Layout of the input to zstd: for each of the four byte planes, least significant first, all
leads' differences in lead-major order; the first difference of a lead is its first sample.
"""

from __future__ import annotations

import hashlib

import numpy as np
import zstandard
from numpy.typing import NDArray

ZDB32 = "zdb32"
MAX_SAMPLES = 16_000_000


class CodecError(ValueError):
    """Coded samples that cannot be decoded; the text says what was expected."""


def encode(samples: NDArray[np.int32]) -> bytes:
    """Return int32 samples (leads, n) coded as `zdb32`."""
    bits = np.ascontiguousarray(samples, dtype="<i4").view(np.uint32)
    delta = bits.copy()
    delta[:, 1:] -= bits[:, :-1]
    signed = delta.view(np.int32)
    zigzag = (delta << np.uint32(1)) ^ (signed >> np.int32(31)).view(np.uint32)
    planes = np.ascontiguousarray(zigzag.astype("<u4").reshape(-1, 1).view(np.uint8).T)
    return zstandard.ZstdCompressor(level=3).compress(planes.tobytes())


def decode(coded: bytes, leads: int, n: int, codec: str = ZDB32) -> NDArray[np.int32]:
    """Return the int32 samples (leads, n) of `coded`; CodecError where it is not `zdb32` of that shape."""
    if codec != ZDB32:
        raise CodecError(f"codec: {codec!r} is not known")
    size = leads * n * 4
    if leads < 1 or n < 1 or leads * n > MAX_SAMPLES:
        raise CodecError(f"shape: {leads} leads of {n} samples cannot be decoded")
    try:
        # the decompressor allocates what a frame announces, whatever max_output_size says
        announced = zstandard.frame_content_size(coded)
        if announced != size:
            raise CodecError(f"samples: the frame announces {announced} bytes where {size} are needed")
        plain = zstandard.ZstdDecompressor().decompress(coded, max_output_size=size)
    except zstandard.ZstdError as error:
        raise CodecError(f"samples: {error}") from error
    if len(plain) != size:
        raise CodecError(f"samples: {len(plain)} bytes where {leads} leads of {n} samples need {size}")
    together = np.empty((leads * n, 4), np.uint8)
    for k, plane in enumerate(np.frombuffer(plain, dtype=np.uint8).reshape(4, leads * n)):
        together[:, k] = plane  # plane by plane: half the time of a transposition
    zigzag = together.view("<u4").reshape(leads, n).astype(np.uint32, copy=False)
    delta = zigzag & np.uint32(1)
    np.negative(delta, out=delta)
    delta ^= zigzag >> np.uint32(1)
    return np.cumsum(delta, axis=1, dtype=np.uint32, out=delta).view(np.int32)


def sha256(samples: NDArray[np.int32]) -> bytes:
    """Return the SHA-256 of the samples as little-endian int32, lead-major: what a doctor's signature covers."""
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<i4").data).digest()
