"""Oracle of WFDB's sample formats: signal(5) taken literally, one sample and one bit at a time."""

from __future__ import annotations


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def samples(code: int, raw: bytes, count: int) -> list[int]:
    """Return the first `count` samples of `raw` in format `code`."""
    return [_sample(code, raw, k) for k in range(count)]


def _sample(code: int, raw: bytes, k: int) -> int:
    if code in {16, 24, 32, 61, 160, 8, 80}:
        width = {16: 2, 24: 3, 32: 4, 61: 2, 160: 2, 8: 1, 80: 1}[code]
        held = raw[k * width : (k + 1) * width]
        value = int.from_bytes(held, "big" if code == 61 else "little")
        return value - (1 << (8 * width - 1)) if code in {80, 160} else _signed(value, 8 * width)
    per_group, width = (2, 3) if code == 212 else (3, 4)
    group = raw[k // per_group * width :][:width].ljust(width, b"\0")
    word = int.from_bytes(group, "little")
    bits = {
        212: [[*range(12)], [*range(16, 24), *range(12, 16)]],
        310: [[*range(1, 11)], [*range(17, 27)], [*range(11, 16), *range(27, 32)]],
        311: [[*range(10)], [*range(10, 20)], [*range(20, 30)]],
    }[code][k % per_group]
    return _signed(sum((word >> bit & 1) << place for place, bit in enumerate(bits)), len(bits))
