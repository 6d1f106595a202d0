"""The length of unpacked leads, told without unpacking: against ecgdatakit's decoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_signal.formats import FormatError, xli_guard
from hypothesis import given
from hypothesis import strategies as st

lzw = pytest.importorskip("ecgdatakit.parsing.codecs.lzw")


def _chunk(codes: list[int]) -> bytes:
    bits = "".join(f"{code:010b}" for code in codes)
    size = -(-len(bits) // 8)
    return int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size, "big")


def _limit(path: Path, packed: bytes) -> int:
    """Return the unpacked length that the guard counts: the smallest limit that it does not refuse."""
    low, high = 0, 1 << 22
    while low < high:
        middle = (low + high) // 2
        try:
            xli_guard.check(path, packed, middle)
            high = middle
        except FormatError:
            low = middle + 1
    return low


@given(st.lists(st.integers(0, 300), min_size=2, max_size=60))
def test_length_against_the_decoder(codes: list[int]) -> None:
    made = 256
    valid: list[int] = []
    for code in codes:
        # Only codes that exist by then, or the one about to be made, are what an encoder writes.
        valid.append(
            code if code < 256 or (valid and code < made) else made if len(valid) > 1 and code == 300 else code % 256
        )
        made += len(valid) > 1
    chunk = _chunk(valid)
    expected = len(lzw.LzwDecoder(chunk, bits=10).read_all())
    packed = len(chunk).to_bytes(4, "little") + bytes(4) + chunk
    assert _limit(Path("x"), packed) == expected


def test_a_chunk_that_is_cut_short_is_left_to_the_decoder() -> None:
    xli_guard.check(Path("x"), b"\xff\xff\xff\x7f" + bytes(4) + b"abc")
    xli_guard.check(Path("x"), b"abc")
