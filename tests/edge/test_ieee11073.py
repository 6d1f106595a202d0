from decimal import Decimal

import pytest
from feldsher_edge.ble.ieee11073 import decode_float, decode_sfloat, encode_float, encode_sfloat
from hypothesis import given
from hypothesis import strategies as st

# Hand-computed from the layout: mantissa 12 or 24 bit, exponent 4 or 8 bit, both two's complement.
SFLOATS = [
    ("7800", Decimal(120)),
    ("78f0", Decimal("12.0")),
    ("78b0", Decimal("0.00120")),
    ("fff7", Decimal("204.7")),
    ("00f8", Decimal("-204.8")),
    ("0c10", Decimal("12E+1")),
    ("ff07", "nan"),
    ("0008", "nres"),
    ("fe07", "+inf"),
    ("0208", "-inf"),
    ("0108", "reserved"),
]
FLOATS = [
    ("6f0100fe", Decimal("3.67")),
    ("6e0100ff", Decimal("36.6")),
    ("ffff7f00", "nan"),
    ("00008000", "nres"),
    ("feff7f00", "+inf"),
    ("02008000", "-inf"),
    ("01008000", "reserved"),
    ("ffff7fff", Decimal("838860.7")),
]


@pytest.mark.parametrize(("raw", "value"), SFLOATS)
def test_sfloat_by_hand(raw: str, value: Decimal | str):
    decoded = decode_sfloat(bytes.fromhex(raw))
    assert decoded == value
    assert str(decoded) == str(value)  # the resolution as sent is kept
    assert encode_sfloat(decoded).hex() == raw


@pytest.mark.parametrize(("raw", "value"), FLOATS)
def test_float_by_hand(raw: str, value: Decimal | str):
    decoded = decode_float(bytes.fromhex(raw))
    assert str(decoded) == str(value)
    assert encode_float(decoded).hex() == raw


def test_every_sfloat_survives():
    for word in range(1 << 16):
        raw = word.to_bytes(2, "little")
        assert encode_sfloat(decode_sfloat(raw)) == raw


@given(st.binary(min_size=4, max_size=4))
def test_every_float_survives(raw: bytes):
    assert encode_float(decode_float(raw)) == raw


def test_an_exponent_out_of_range_is_exchanged_exactly():
    assert decode_sfloat(encode_sfloat(Decimal("3E+8"))) == Decimal("3E+8")


@pytest.mark.parametrize("value", [Decimal(2046), Decimal("1.2345"), Decimal("NaN"), Decimal("1E+20")])
def test_what_has_no_exact_form_is_refused(value: Decimal):
    with pytest.raises(ValueError, match="SFLOAT"):
        encode_sfloat(value)


def test_short_data_names_the_byte():
    with pytest.raises(ValueError, match="byte 4: the SFLOAT from byte 3 needs 2 bytes"):
        decode_sfloat(b"1234", 3)
    with pytest.raises(ValueError, match="byte 0: the FLOAT from byte 0 needs 4 bytes"):
        decode_float(b"")
