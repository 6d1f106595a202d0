from decimal import Decimal

import pytest
from feldsher_edge.ble.packet import Packet, scaled, signed, unsigned


def test_fields_follow_each_other():
    packet = Packet(bytes.fromhex("ff 0201 fe 7800 6e0100ff 0500 99".replace(" ", "")))
    assert (packet.unsigned(1, "a"), packet.unsigned(2, "b"), packet.signed(1, "c")) == (255, 0x0102, -2)
    assert (packet.sfloat("d"), packet.float("e")) == (Decimal(120), Decimal("36.6"))
    assert packet.scaled(Decimal("0.005"), "f") == Decimal("0.025")
    with pytest.raises(ValueError, match="byte 12: 1 more than the flags announce"):
        packet.end("the flags")
    assert packet.rest() == b"\x99"


def test_a_missing_field_names_where_the_bytes_end():
    packet = Packet(b"\x01\x02")
    packet.unsigned(1, "flags")
    with pytest.raises(ValueError, match="byte 2: the weight from byte 1 needs 2"):
        packet.unsigned(2, "weight")


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="user: 256 does not fit 1 bytes"):
        unsigned(256, 1, "user")
    with pytest.raises(ValueError, match="offset: -129 does not fit 1 bytes"):
        signed(-129, 1, "offset")
    with pytest.raises(ValueError, match=r"weight: 70\.001 is no step of 0\.005"):
        scaled(Decimal("70.001"), Decimal("0.005"), "weight")
    # The word for "measurement unsuccessful" is no number.
    with pytest.raises(ValueError, match="is no step"):
        scaled(Decimal("327.675"), Decimal("0.005"), "weight")
    assert scaled("nan", Decimal(1), "weight") == b"\xff\xff"
