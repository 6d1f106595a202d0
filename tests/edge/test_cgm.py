from datetime import datetime
from decimal import Decimal

import pytest
from feldsher_edge.ble.cgm import (
    Op,
    Procedure,
    Record,
    Status,
    crc,
    encode,
    parse,
    parse_procedure,
    parse_session_start,
)


def test_the_crc_is_that_of_the_catalogue():
    # CRC-16/MCRF4XX, check value of "123456789" (reveng CRC catalogue).
    assert crc(b"123456789") == 0x6F91


def test_two_records_in_one_value():
    first, second = (
        Record(Decimal(101), 5),
        Record(Decimal(99), 10, int(Status.TOO_WARM), 0b010, Decimal("-0.5"), crc=True),
    )
    data = encode((first, second))
    assert data[:6].hex() == "060065000500"
    assert parse(data) == (first, second)


def test_a_flipped_bit_is_told_by_the_crc():
    data = bytearray(encode((Record(Decimal(99), 10, crc=True),)))
    data[3] ^= 1
    with pytest.raises(ValueError, match="byte 6: CRC"):
        parse(bytes(data))


def test_a_session_gives_records_their_time():
    it = parse_session_start(bytes.fromhex("ea070b170102030c00"))
    assert (it.zone, it.dst) == (12, 0)
    assert it.at(90) == datetime(2026, 11, 23, 2, 32, 3)  # noqa: DTZ001 - the sensor's local time
    assert parse_session_start(bytes.fromhex("0000000001020380ff")).at(0) is None


def test_a_procedure_keeps_what_it_does_not_know():
    assert parse_procedure(bytes.fromhex("1c1a01"), protected=False) == Procedure(Op.RESPONSE, b"\x1a\x01")


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("05006500", 0), ("0700650005", 0), ("070065000500aa", 6)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
