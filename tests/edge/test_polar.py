import pytest
from feldsher_edge.ble.polar import (
    EcgFrame,
    Response,
    Setting,
    Status,
    encode_settings,
    parse_features,
    parse_frame,
    parse_response,
    parse_settings,
    start,
)
from hypothesis import given
from hypothesis import strategies as st


def test_the_stream_is_asked_for_at_130_per_second_and_14_bit():
    assert start().hex() == "02000001820001010e00"


def test_what_the_belt_offers():
    it = parse_response(bytes.fromhex("f0010000" + "00" + "00018200" + "01010e00"))
    assert parse_settings(it.parameters) == {Setting.RATE: (130,), Setting.RESOLUTION: (14,)}


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("0000", 2), ("00000282", 4), ("000901", 1)])
def test_what_is_wrong_with_settings_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse_settings(bytes.fromhex(raw))


@given(st.dictionaries(st.sampled_from(Setting), st.lists(st.integers(0, 255), max_size=9).map(tuple)))
def test_settings_are_read_back(settings: dict[Setting, tuple[int, ...]]):
    assert parse_settings(encode_settings(settings)) == settings


@given(st.binary(max_size=40))
def test_any_bytes_are_settings_or_an_error(raw: bytes):
    try:
        found = parse_settings(raw)
    except ValueError:
        return
    assert parse_settings(encode_settings(found)) == found


def test_a_frame_of_microvolts_with_the_time_of_its_last_sample():
    it = parse_frame(bytes.fromhex("00" + "00ca9a3b00000000" + "00" + "e80300" + "18fcff"))
    assert it == EcgFrame(1_000_000_000, (1000, -1000))


def test_a_second_start_is_refused_with_already():
    assert parse_response(bytes.fromhex("f00200060a")) == Response(2, 0, Status.ALREADY, b"\x0a")


def test_features_name_the_ecg():
    assert parse_features(bytes.fromhex("0f" + "05" + "00" * 15)) & 1


@pytest.mark.parametrize(
    ("raw", "byte"), [("", 0), ("02", 0), ("00ca9a3b", 4), ("00" + "00" * 8 + "80", 9), ("00" * 10 + "e803", 10)]
)
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse_frame(bytes.fromhex(raw))
