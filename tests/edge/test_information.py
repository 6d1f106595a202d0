import pytest
from feldsher_edge.ble.information import (
    LONGEST,
    SystemId,
    parse_battery,
    parse_pnp_id,
    parse_system_id,
    parse_text,
)


def test_names_lose_their_padding_and_keep_their_letters():
    assert parse_text(b"UA-651BLE\0\0\0 ") == "UA-651BLE"
    assert parse_text("Тонометр".encode()) == "Тонометр"
    assert parse_text(b"\xffA\x1b[31m") == "\ufffdA[31m"
    assert len(parse_text(b"x" * 512)) == LONGEST


def test_a_system_id_is_written_maker_first():
    it = parse_system_id(bytes.fromhex("0504030201ccbbaa"))
    assert it == SystemId(0x0102030405, 0xAABBCC)
    assert str(it) == "AA-BB-CC-01-02-03-04-05"


def test_a_product_of_a_vendor():
    it = parse_pnp_id(bytes.fromhex("016b0001000201"))
    assert (it.source, it.vendor, it.product, it.version) == (1, 0x6B, 1, 0x0102)


def test_a_battery_is_percent():
    assert parse_battery(b"\x57") == 87
    for raw in (b"", b"\x65", b"\x57\x00"):
        with pytest.raises(ValueError, match="byte"):
            parse_battery(raw)
