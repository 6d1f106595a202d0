import uuid

import pytest
from feldsher_ehr_core import ids
from hypothesis import given
from hypothesis import strategies as st

CUFF = "F0:F1:F2:F3:F4:01"
VALUES = ((150021, "132"), (150022, "84"))


def test_uuid7_is_the_example_of_rfc_9562_appendix_a_6() -> None:
    random = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert str(ids.uuid7(0x017F22E279B0, random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_sorts_by_time_and_says_its_version(a: int, b: int, random: bytes) -> None:
    first, second = ids.uuid7(a, random), ids.uuid7(b, random)
    assert (first < second) == (a < b)
    assert first.version == 7
    assert first.variant == "specified in RFC 4122"


@pytest.mark.parametrize(
    ("ms", "random", "field"), [(-1, bytes(10), "unix_ms"), (1 << 48, bytes(10), "unix_ms"), (0, b"", "random")]
)
def test_uuid7_names_what_is_out_of_range(ms: int, random: bytes, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        ids.uuid7(ms, random)


@pytest.mark.parametrize("name", ["gw-0001", "a", "9", "a" * 63])
def test_gateway_ids_have_the_form_of_a_dns_label(name: str) -> None:
    assert ids.gateway_id(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "a+b", "#", "пётр", "a" * 64, "a\n", "a b"])
def test_a_gateway_id_cannot_hold_a_wildcard_a_level_or_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="gateway id"):
        ids.gateway_id(name)


@pytest.mark.parametrize("name", [*ids.INGEST_USERS, ids.INGEST_TOOL, ids.CLOUD_WORKER])
def test_no_gateway_can_have_a_services_name(name: str) -> None:
    with pytest.raises(ValueError, match="gateway id"):
        ids.gateway_id(name)


def test_a_gateways_shard_is_fixed_for_ever() -> None:
    assert [ids.shard(g) for g in ("gw-0001", "gw-0002", "perm-home-17")] == [1, 11, 14]


def test_every_shard_has_its_canary() -> None:
    assert [ids.shard(name) for name in ids.CANARIES] == list(range(ids.SHARDS))
    assert all(ids.is_canary(ids.gateway_id(name)) for name in ids.CANARIES)
    assert not ids.is_canary("feldsher-clinic")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("f0:e1:d2:c3:b4:a5", "F0:E1:D2:C3:B4:A5"),
        ("0022092000abcdef", "0022092000ABCDEF"),
        ("cuff-1", "gw-a/cuff-1"),
        ("f0:e1:d2:c3:b4", "gw-a/f0:e1:d2:c3:b4"),
    ],
)
def test_a_devices_key_is_its_address_where_that_is_unique_in_the_world(name: str, key: str) -> None:
    assert ids.device_key("gw-a", name) == key


def test_a_reading_heard_twice_or_by_two_gateways_has_one_id() -> None:
    first = ids.reading_id(device=CUFF, user=1, sent_at="2026-11-23T08:43:00", values=VALUES, sequence=None)
    again = ids.reading_id(device=CUFF, user=1, sent_at="2026-11-23T08:43:00", values=VALUES[::-1], sequence=None)
    assert first == again
    assert first.version == 8


@pytest.mark.parametrize(
    "change",
    [
        {"device": "F0:F1:F2:F3:F4:02"},
        {"user": 2},
        {"user": None},
        {"sent_at": "2026-11-23T08:43:01"},
        {"sent_at": None},
        {"values": ((150021, "132"), (150022, "85"))},
        {"values": ((150021, "132.0"), (150022, "84"))},
        {"sequence": 7},
    ],
)
def test_readings_that_differ_in_anything_have_different_ids(change: dict[str, object]) -> None:
    base: dict[str, object] = {
        "device": CUFF, "user": 1, "sent_at": "2026-11-23T08:43:00", "values": VALUES, "sequence": None,
    }  # fmt: skip
    assert ids.reading_id(**base) != ids.reading_id(**{**base, **change})  # pyright: ignore[reportArgumentType]


@given(st.uuids())
def test_an_order_number_is_the_end_of_its_id_however_it_is_written(order: uuid.UUID) -> None:
    number = ids.order_number(order)
    assert len(number) == 8
    assert ids.order_tail(number) == order.bytes[-5:]
    for written in (number, number.lower(), f" {number[:4]}-{number[4:]} ", number.replace("1", "l").replace("0", "o")):
        assert ids.read_order_number(written) == number


@pytest.mark.parametrize("written", ["", "K7QX3M9", "K7QX3M9PA", "K7QX3M9U", "ПЕТРОВА1", "K7QX3M9\x00", "0" * 50])
def test_what_has_another_form_is_no_order_number(written: str) -> None:
    assert ids.read_order_number(written) is None
