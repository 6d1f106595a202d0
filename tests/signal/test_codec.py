"""The sample codec against a slow oracle, over every int32, and on damaged bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import zstandard
from feldsher_signal import codec
from feldsher_signal.record import MISSING
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

SAMPLES = st.integers(1, 4).flatmap(
    lambda leads: st.integers(1, 30).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(-(2**31), 2**31 - 1), min_size=n, max_size=n), min_size=leads, max_size=leads
        )
    )
)


def _oracle(samples: list[list[int]]) -> bytes:
    """The layout by its words: differences modulo 2^32, zigzag, four byte planes; before zstd."""
    words: list[int] = []
    for lead in samples:
        before = 0
        for value in lead:
            difference = (value - before + 2**31) % 2**32 - 2**31
            words.append(difference * 2 if difference >= 0 else -difference * 2 - 1)
            before = value
    return bytes(word >> 8 * plane & 255 for plane in range(4) for word in words)


@given(SAMPLES)
def test_layout_and_round_trip(samples: list[list[int]]) -> None:
    array = np.array(samples, np.int32)
    coded = codec.encode(array)
    assert zstandard.ZstdDecompressor().decompress(coded) == _oracle(samples)
    decoded = codec.decode(coded, *array.shape)
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, array)


def test_missing_samples_survive_beside_extremes() -> None:
    array = np.array([[MISSING, 2**31 - 1, 0, MISSING, -1]], np.int32)
    assert np.array_equal(codec.decode(codec.encode(array), 1, 5), array)


@pytest.mark.parametrize("order", ["C", "F"])
def test_any_memory_layout(order: str) -> None:
    array: NDArray[np.int32] = np.arange(24, dtype=np.int32).reshape(2, 12)
    given_array = np.asfortranarray(array) if order == "F" else array
    assert np.array_equal(codec.decode(codec.encode(given_array), 2, 12), array)
    assert np.array_equal(codec.decode(codec.encode(array[:, ::2]), 2, 6), array[:, ::2])
    assert codec.sha256(given_array) == hashlib.sha256(array.astype("<i4").tobytes()).digest()


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(coded: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode(coded, 2, 5)


@pytest.mark.parametrize(("leads", "n"), [(0, 5), (2, 0), (-1, -5), (2, 10**9)])
def test_impossible_shapes(leads: int, n: int) -> None:
    with pytest.raises(codec.CodecError, match="shape"):
        codec.decode(codec.encode(np.zeros((2, 5), np.int32)), leads, n)


def test_a_bomb_does_not_unfold() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    with pytest.raises(codec.CodecError, match="samples"):
        codec.decode(bomb, 1, 5)


def test_unknown_codec() -> None:
    with pytest.raises(codec.CodecError, match="codec: 'flac' is not known"):
        codec.decode(b"", 1, 1, "flac")
