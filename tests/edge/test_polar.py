import pytest
from feldsher_edge.ble.polar import (
    START,
    EcgFrame,
    Response,
    Status,
    parse_features,
    parse_frame,
    parse_response,
)


def test_the_stream_is_asked_for_at_130_per_second_and_14_bit():
    assert START.hex() == "02000001820001010e00"


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
