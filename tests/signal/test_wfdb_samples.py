"""The sample formats against decoders that walk bit by bit, and the two that are written against their readers."""

from __future__ import annotations

import naive_wfdb
import numpy as np
import pytest
from feldsher_signal.formats import wfdb_samples
from hypothesis import given
from hypothesis import strategies as st

CODES = sorted(wfdb_samples.PACKINGS)


@pytest.mark.parametrize("code", CODES)
@given(raw=st.binary(max_size=64), offset=st.integers(0, 3))
def test_unpack_against_the_oracle(code: int, raw: bytes, offset: int) -> None:
    packing = wfdb_samples.PACKINGS[code]
    count = packing.fits(len(raw) - offset)
    assert packing.size(count) <= max(len(raw) - offset, 0)
    found = wfdb_samples.unpack(code, raw, min(offset, len(raw)), count)
    assert found.tolist() == naive_wfdb.samples(code, raw[offset:], count)


def test_known_bytes() -> None:
    # signal(5): 0x3E3 and 0x3F3 (995, 1011: the first samples of MIT-BIH record 100) are E3 33 F3.
    assert wfdb_samples.unpack(212, b"\xe3\x33\xf3", 0, 2).tolist() == [995, 1011]
    assert wfdb_samples.unpack(24, b"\xff\xff\xff\x01\x00\x80", 0, 2).tolist() == [-1, -(1 << 23) + 1]
    assert wfdb_samples.unpack(61, b"\x01\x02", 0, 1).tolist() == [0x0102]
    assert wfdb_samples.unpack(80, b"\x00\x80\xff", 0, 3).tolist() == [-128, 0, 127]
    assert wfdb_samples.unpack(160, b"\x00\x80", 0, 1).tolist() == [0]


@given(st.lists(st.integers(-2048, 2047), max_size=33))
def test_212_is_read_as_written(samples: list[int]) -> None:
    packed = wfdb_samples.pack212(np.array(samples, np.int32))
    assert len(packed) == wfdb_samples.PACKINGS[212].size(len(samples))
    assert naive_wfdb.samples(212, packed, len(samples)) == samples


@given(st.lists(st.integers(-32768, 32767), max_size=33))
def test_16_is_read_as_written(samples: list[int]) -> None:
    packed = wfdb_samples.pack16(np.array(samples, np.int32))
    assert naive_wfdb.samples(16, packed, len(samples)) == samples
