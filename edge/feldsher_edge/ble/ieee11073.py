"""IEEE 11073-20601 numbers as Bluetooth sends them: SFLOAT (16 bit) and FLOAT (32 bit), little endian.

Mantissa and exponent are both two's complement (Bluetooth GATT Specification Supplement, medfloat16 and medfloat32; the
published `bluetooth-sig` takes the exponent for biased and is wrong). A special value is one only when the *whole* word
matches: 0x07FF is NaN, 0xF7FF is 204.7. Numbers become Decimal, so 36.60 stays 36.60; specials become the words of
`feldsher_ehr_core.vitals.Absent`, never a float.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from feldsher_ehr_core.vitals import Absent

Number = Decimal | Absent
"""What a device sent in the place of a number: the number, or why there is none."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """One of the two widths: bytes in all, mantissa bits, exponent bits, and its special words."""

    name: str
    size: int
    mantissa: int
    exponent: int
    special: dict[int, Absent]


_SFLOAT: Final = _Layout(
    "SFLOAT", 2, 12, 4, {0x07FF: "nan", 0x0800: "nres", 0x07FE: "+inf", 0x0802: "-inf", 0x0801: "reserved"}
)
_FLOAT: Final = _Layout(
    "FLOAT",
    4,
    24,
    8,
    {
        0x007F_FFFF: "nan",
        0x0080_0000: "nres",
        0x007F_FFFE: "+inf",
        0x0080_0002: "-inf",
        0x0080_0001: "reserved",
    },
)


def decode_sfloat(data: bytes, at: int = 0) -> Number:
    """Return the SFLOAT at byte `at`; ValueError names the byte where `data` ends too early."""
    return _decode(_SFLOAT, data, at)


def decode_float(data: bytes, at: int = 0) -> Number:
    """Return the FLOAT at byte `at`; ValueError names the byte where `data` ends too early."""
    return _decode(_FLOAT, data, at)


def encode_sfloat(value: Number) -> bytes:
    """Return `value` as SFLOAT with the Decimal's own exponent where it fits; ValueError where no exact form exists."""
    return _encode(_SFLOAT, value)


def encode_float(value: Number) -> bytes:
    """Return `value` as FLOAT with the Decimal's own exponent where it fits; ValueError where no exact form exists."""
    return _encode(_FLOAT, value)


def _decode(layout: _Layout, data: bytes, at: int) -> Number:
    if len(data) < at + layout.size:
        raise ValueError(f"byte {len(data)}: the {layout.name} from byte {at} needs {layout.size} bytes")
    word = int.from_bytes(data[at : at + layout.size], "little")
    special = layout.special.get(word)
    if special is not None:
        return special
    exponent = _signed(word >> layout.mantissa, layout.exponent)
    return Decimal(_signed(word & ((1 << layout.mantissa) - 1), layout.mantissa)).scaleb(exponent)


def _encode(layout: _Layout, value: Number) -> bytes:
    if isinstance(value, str):
        word = next(word for word, special in layout.special.items() if special == value)
        return word.to_bytes(layout.size, "little")
    if not value.is_finite():
        raise ValueError(f"{layout.name}: {value} is not a number; name the special value")
    own = int(value.as_tuple().exponent)
    limit = 1 << layout.exponent - 1
    # The device's own exponent first: 12.0 must not come back as 12.
    for exponent in sorted(range(-limit, limit), key=lambda e: abs(e - own)):
        scaled = value.scaleb(-exponent)
        if scaled != scaled.to_integral_value():
            continue
        word = _word(layout, int(scaled), exponent)
        if word is not None:
            return word.to_bytes(layout.size, "little")
    raise ValueError(f"{layout.name}: {value} has no exact form")


def _word(layout: _Layout, mantissa: int, exponent: int) -> int | None:
    if not -(1 << layout.mantissa - 1) <= mantissa < 1 << layout.mantissa - 1:
        return None
    high = (exponent & ((1 << layout.exponent) - 1)) << layout.mantissa
    word = high | mantissa & ((1 << layout.mantissa) - 1)
    return None if word in layout.special else word


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
