"""The project's own record: round trips, known bytes, every damage refused by field."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from feldsher_signal.formats import FormatError, own, read
from feldsher_signal.record import MISSING, Recording
from hypothesis import given
from hypothesis import strategies as st

RECORDING = Recording(("I", "V1"), 500.0, np.array([[1, 2, MISSING], [-4, 5, 6]], np.int32), (1.0, 0.5), (0, 3))


def _same(a: Recording, b: Recording) -> bool:
    return np.array_equal(a.samples, b.samples) and (a.leads, a.fs, a.uv_per_bit, a.baseline) == (
        b.leads,
        b.fs,
        b.uv_per_bit,
        b.baseline,
    )


@st.composite
def _recordings(draw: st.DrawFn) -> Recording:
    leads = draw(st.lists(st.text(max_size=6), min_size=1, max_size=4, unique=True))
    n = draw(st.integers(1, 20))
    value = st.integers(-(2**31), 2**31 - 1)
    samples = [draw(st.lists(value, min_size=n, max_size=n)) for _ in leads]
    scale = st.floats(1e-9, 1e6)
    return Recording(
        tuple(leads),
        draw(st.floats(0.1, 1e6)),
        np.array(samples, np.int32),
        tuple(draw(scale) for _ in leads),
        tuple(draw(st.integers(-(2**31), 2**31)) for _ in leads) if draw(st.booleans()) else (),
    )


@given(_recordings())
def test_round_trip(recording: Recording) -> None:
    assert _same(own.loads(own.dumps(recording)), recording)


def test_file_round_trip_leaves_no_partial(tmp_path: Path) -> None:
    path = tmp_path / "a.fecg"
    own.write(path, RECORDING)
    assert _same(read(path), RECORDING)
    assert [each.name for each in tmp_path.iterdir()] == ["a.fecg"]


def test_the_layout_is_frozen() -> None:
    raw = own.dumps(RECORDING)
    assert raw[:8] == b"\x89FECG\r\n\x01"
    fields = msgspec.msgpack.decode(raw[8:])
    assert list(fields) == ["leads", "fs", "uv_per_bit", "baseline", "n", "codec", "samples", "sha256"]
    assert (fields["leads"], fields["fs"], fields["n"], fields["codec"]) == (["I", "V1"], 500.0, 3, "zdb32")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("leads", ["I", "I"], "leads: a name occurs twice"),
        ("fs", 0.0, "fs: 0.0 is not a sampling rate"),
        ("fs", float("nan"), "fs: nan is not"),
        ("fs", "fast", r"byte 8: Expected `float`, got `str` - at `\$.fs`"),
        ("uv_per_bit", [1.0], "uv_per_bit: 2 finite"),
        ("uv_per_bit", [1.0, 0.0], "uv_per_bit: 2 finite"),
        ("baseline", [1], "baseline: 2 or none"),
        ("n", 4, "samples: the frame announces 24 bytes where 32 are needed"),
        ("n", -1, "shape: 2 leads of -1"),
        ("n", 10**9, "shape: 2 leads of 1000000000"),
        ("codec", "flac", "codec: 'flac' is not known"),
        ("samples", b"junk", "samples: "),
        ("sha256", bytes(32), "sha256: the samples are not those"),
    ],
)
def test_refused_by_field(tmp_path: Path, field: str, value: object, match: str) -> None:
    raw = own.dumps(RECORDING)
    fields = msgspec.msgpack.decode(raw[8:], type=dict[str, object])
    path = tmp_path / "a.fecg"
    path.write_bytes(raw[:8] + msgspec.msgpack.encode(fields | {field: value}))
    with pytest.raises(FormatError, match=match):
        read(path)


def test_later_fields_are_ignored() -> None:
    raw = own.dumps(RECORDING)
    fields = msgspec.msgpack.decode(raw[8:], type=dict[str, object])
    assert _same(own.loads(raw[:8] + msgspec.msgpack.encode(fields | {"later": 1})), RECORDING)


@given(st.integers(0, len(own.dumps(RECORDING)) - 1), st.integers(0, 255))
def test_any_damage_is_refused_or_harmless(at: int, value: int) -> None:
    """A changed byte may change scale or names; never silently the samples."""
    raw = bytearray(own.dumps(RECORDING))
    raw[at] = value
    try:
        recording = own.loads(bytes(raw))
    except FormatError:
        return
    assert np.array_equal(recording.samples, RECORDING.samples)


def test_truncated_and_foreign(tmp_path: Path) -> None:
    raw = own.dumps(RECORDING)
    with pytest.raises(FormatError, match=r"record: byte 8: .*truncated"):
        own.loads(raw[:-1])
    with pytest.raises(FormatError, match="byte 0: not a"):
        own.loads(b"FECG")
    with pytest.raises(FormatError, match="file: No such file"):
        own.read(tmp_path / "none.fecg")


def test_empty_recordings_are_not_written(tmp_path: Path) -> None:
    empty = Recording(("I",), 500.0, np.zeros((1, 0), np.int32), (1.0,))
    with pytest.raises(ValueError, match="samples: 0 is not between 1"):
        own.write(tmp_path / "a.fecg", empty)
    assert list(tmp_path.iterdir()) == []
