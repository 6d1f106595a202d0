import pytest
from feldsher_edge.ble.racp import Count, Op, Operator, Request, Response, Result, after, encode, parse


def test_what_comes_after_the_last_record():
    assert encode(after(None)).hex() == "0101"
    assert encode(after(41)).hex() == "0103012a00"


def test_the_answers_of_a_meter():
    assert parse(bytes.fromhex("05000300")) == Count(3)
    assert parse(bytes.fromhex("06000106")) == Response(Op.REPORT, Result.NO_RECORDS)


def test_a_range_has_two_ends():
    assert encode(Request(Op.COUNT, Operator.WITHIN, (1, 9))).hex() == "04040101000900"
    with pytest.raises(ValueError, match="bounds: 1 numbers for WITHIN"):
        encode(Request(Op.REPORT, Operator.WITHIN, (1,)))


@pytest.mark.parametrize(
    ("raw", "byte"), [("", 0), ("01", 1), ("0901", 0), ("0109", 1), ("01030200", 2), ("0103012a", 4), ("010101", 2)]
)
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
