"""The sample formats of WFDB signal files: bytes to whole numbers, and back for the two that are written.

Source: signal(5) of the WFDB Applications Guide (Moody, MIT). Formats 508, 516 and 524 (FLAC) are not read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Packing:
    """How a format packs samples: `len(ends)` of them in `ends[-1]` bytes; `invalid` means "no valid sample".

    `ends`: the bytes that the first, the first two … samples of a group need, where a group is not full.
    """

    ends: tuple[int, ...]
    invalid: int | None
    unpack: Callable[[NDArray[np.uint8]], NDArray[np.int32]]

    def size(self, count: int) -> int:
        """Return the bytes that `count` samples take at least."""
        groups, rest = divmod(count, len(self.ends))
        return groups * self.ends[-1] + (self.ends[rest - 1] if rest else 0)

    def fits(self, size: int) -> int:
        """Return the most samples that `size` bytes hold."""
        groups, rest = divmod(max(size, 0), self.ends[-1])
        return groups * len(self.ends) + sum(end <= rest for end in self.ends)


def unpack(code: int, raw: bytes, offset: int, count: int) -> NDArray[np.int32]:
    """Return `count` samples of format `code` from byte `offset` on, where `Packing.size(count)` bytes must be."""
    packing = PACKINGS[code]
    groups, width = -(-count // len(packing.ends)), packing.ends[-1]
    held = np.frombuffer(raw, np.uint8, min(groups * width, len(raw) - offset), offset)
    if held.size < groups * width:
        held = np.concatenate([held, np.zeros(groups * width - held.size, np.uint8)])
    return packing.unpack(held.reshape(groups, width))[:count]


def pack16(samples: NDArray[np.int32]) -> bytes:
    """Return samples between -32768 and 32767 as format 16."""
    return samples.astype("<i2").tobytes()


def pack32(samples: NDArray[np.int32]) -> bytes:
    """Return samples as format 32."""
    return samples.astype("<i4").tobytes()


def pack212(samples: NDArray[np.int32]) -> bytes:
    """Return samples between -2048 and 2047 as format 212: pairs of 12-bit two's complement in three bytes."""
    padded = np.zeros(samples.size + samples.size % 2, np.int32)
    padded[: samples.size] = samples
    first, second = (padded.reshape(-1, 2) & 0xFFF).T
    out = np.stack([first & 0xFF, first >> 8 | second >> 8 << 4, second & 0xFF], axis=1).astype(np.uint8)
    return out.tobytes()[: (samples.size * 3 + 1) // 2]


def _words(groups: NDArray[np.uint8], kind: str) -> NDArray[np.int32]:
    return np.ascontiguousarray(groups).view(kind).ravel().astype(np.int32)


def _signed(values: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    half = 1 << (bits - 1)
    return ((values + half) & (2 * half - 1)) - half


def _unpack24(groups: NDArray[np.uint8]) -> NDArray[np.int32]:
    low, middle, high = groups.astype(np.int32).T
    return _signed(low | middle << 8 | high << 16, 24)


def _unpack212(groups: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Low 8 bits of the first sample, high nibbles (second, first), low 8 bits of the second."""
    low, middle, high = groups.astype(np.int32).T
    return _signed(np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], axis=1).ravel(), 12)


def _unpack310(groups: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Bits 1 to 10 of both words are a sample each, their bits 11 to 15 are the third's low and high half."""
    one, two = _words(groups, "<u2").reshape(-1, 2).T
    third = one >> 11 | (two >> 11) << 5
    return _signed(np.stack([one >> 1 & 0x3FF, two >> 1 & 0x3FF, third], axis=1).ravel(), 10)


def _unpack311(groups: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Three samples of 10 bits, the first lowest, in one word of 32."""
    word = _words(groups, "<i4")
    return _signed(np.stack([word & 0x3FF, word >> 10 & 0x3FF, word >> 20 & 0x3FF], axis=1).ravel(), 10)


PACKINGS = {
    8: Packing((1,), None, lambda groups: _words(groups, "i1")),
    16: Packing((2,), -(1 << 15), lambda groups: _words(groups, "<i2")),
    24: Packing((3,), -(1 << 23), _unpack24),
    32: Packing((4,), -(1 << 31), lambda groups: _words(groups, "<i4")),
    61: Packing((2,), -(1 << 15), lambda groups: _words(groups, ">i2")),
    80: Packing((1,), -128, lambda groups: _words(groups, "u1") - 128),
    160: Packing((2,), -(1 << 15), lambda groups: _words(groups, "<u2") - 32768),
    212: Packing((2, 3), -(1 << 11), _unpack212),
    310: Packing((2, 4, 4), -(1 << 9), _unpack310),
    311: Packing((2, 3, 4), -(1 << 9), _unpack311),
}
"""The formats that are read. Format 8 holds differences: its samples are their sums from the initial value on."""
