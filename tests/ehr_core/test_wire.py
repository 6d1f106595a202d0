import importlib.util
import os
from pathlib import Path

import msgspec
import pytest
from feldsher_ehr_core import wire
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
_spec = importlib.util.spec_from_file_location("wire_samples", HERE / "wire_samples.py")
assert _spec is not None
assert _spec.loader is not None
_samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_samples)
MESSAGES: dict[str, wire.Up | wire.Down] = _samples.MESSAGES


def decode(name: str, payload: bytes) -> wire.Up | wire.Down:
    return wire.decode_down(payload) if name.startswith("down-") else wire.decode_up(payload)


def changed(name: str, **fields: object) -> bytes:
    plain: dict[str, object] = msgspec.msgpack.decode(wire.encode(MESSAGES[name]))
    return msgspec.msgpack.encode({**plain, **fields})


def test_there_is_a_sample_of_every_kind() -> None:
    assert {n for n in MESSAGES if not n.startswith("down-")} == set(wire.UP_KINDS)
    assert {n.removeprefix("down-") for n in MESSAGES if n.startswith("down-")} == set(wire.DOWN_KINDS)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_golden_file_of_version_1_is_still_what_we_write_and_read(name: str) -> None:
    golden = GOLDEN / f"v{wire.VERSION}-{name}.msgpack"
    if os.environ.get("FELDSHER_WRITE_GOLDEN") and not golden.exists():
        golden.write_bytes(wire.encode(MESSAGES[name]))
    assert decode(name, golden.read_bytes()) == MESSAGES[name]
    assert wire.encode(MESSAGES[name]) == golden.read_bytes()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_field_that_a_later_version_adds_is_passed_over(name: str) -> None:
    assert decode(name, changed(name, added_later={"a": 1})) == MESSAGES[name]


@pytest.mark.parametrize(
    ("name", "fields", "where"),
    [
        ("vitals", {"value": ["132"]}, r"\$\.value"),
        ("vitals", {"absent": [None, None]}, r"\$\.value\[1\]"),
        ("vitals", {"absent": ["nan", "nan"]}, r"\$\.value\[0\]"),
        ("vitals", {"absent": [None, "later"]}, r"\$\.absent\[1\]"),
        ("ecg", {"uv_per_bit": [0.5]}, r"\$\.uv_per_bit"),
        ("ecg", {"fs": "fast"}, r"\$\.fs"),
        ("ecg", {"v": 2}, r"\$\.v"),
        ("birth", {"kind": "stillborn"}, r"\$\.kind"),
        ("birth", {"env": None}, r"\$\.env"),
        ("down-receipt", {"states": ["stored"]}, r"\$\.states"),
        ("down-receipt", {"states": ["stored", "lost"]}, r"\$\.states\[1\]"),
    ],
)
def test_a_wrong_field_is_named(name: str, fields: dict[str, object], where: str) -> None:
    with pytest.raises(wire.WireError, match=where):
        decode(name, changed(name, **fields))


def test_a_gateway_name_that_could_be_a_wildcard_is_refused() -> None:
    plain = msgspec.msgpack.decode(wire.encode(MESSAGES["birth"]))
    plain["env"]["gateway"] = "gw/+"
    with pytest.raises(wire.WireError, match=r"\$\.env\.gateway"):
        wire.decode_up(msgspec.msgpack.encode(plain))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\xff" * 40, b"\x92" * 100_000, b"\xd9\x02\xff\xff", b"{}"])
def test_bytes_that_are_no_message_are_refused(payload: bytes) -> None:
    with pytest.raises(wire.WireError, match="payload"):
        wire.decode_up(payload)


@given(st.binary(max_size=400))
def test_no_bytes_make_decoding_fail_otherwise(payload: bytes) -> None:
    for decoder in (wire.decode_up, wire.decode_down):
        try:
            decoder(payload)
        except wire.WireError as error:
            assert "payload" in str(error)  # noqa: PT017 - most draws are refused, and any other error fails the test


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_truncated_message_is_refused(name: str) -> None:
    payload = wire.encode(MESSAGES[name])
    for end in range(0, len(payload), max(1, len(payload) // 64)):
        with pytest.raises(wire.WireError):
            decode(name, payload[:end])


def test_an_oversized_message_is_neither_sent_nor_read() -> None:
    large = msgspec.structs.replace(MESSAGES["ecg"], samples=bytes(wire.MAX_BYTES))
    with pytest.raises(wire.WireError, match="bytes, more than"):
        wire.encode(large)
    with pytest.raises(wire.WireError, match="bytes, more than"):
        wire.decode_up(bytes(wire.MAX_BYTES + 1))


def test_topics() -> None:
    birth = wire.decode_up(wire.encode(MESSAGES["birth"]))
    assert wire.up_topic("gw-0001", "birth") == "feldsher/1/1/gw-0001/up/birth"
    assert wire.down_topic("gw-0001", "+") == "feldsher/1/gw-0001/down/+"
    assert wire.up_filter(15) == "feldsher/1/15/+/up/+"
    wire.check_topic("feldsher/1/1/gw-0001/up/birth", birth)
    with pytest.raises(ValueError, match="shard"):
        wire.up_filter(16)


@pytest.mark.parametrize(
    "topic", ["feldsher/1/1/gw-0002/up/birth", "feldsher/1/2/gw-0001/up/birth", "feldsher/1/1/gw-0001/up/ecg", ""]
)
def test_a_message_on_anothers_topic_is_refused(topic: str) -> None:
    birth = wire.decode_up(wire.encode(MESSAGES["birth"]))
    with pytest.raises(wire.WireError, match="topic"):
        wire.check_topic(topic, birth)


def test_fields_that_came_later_travel_and_are_not_sent_where_they_say_nothing() -> None:
    plain, vitals = MESSAGES["gap"], MESSAGES["vitals"]
    assert isinstance(plain, wire.Gap)
    assert isinstance(vitals, wire.VitalsBatch)
    env = plain.env
    gap = wire.Gap(env=env, what="vitals", why="full", count=2, first_us=1, last_us=2, device="AA:BB", readings=20)
    clock = wire.ClockOffset(env=env, offset_us=5, source="step, now synced", base_us=7, trusted=False)
    for message in (gap, clock, msgspec.structs.replace(vitals, historical=True)):
        assert wire.decode_up(wire.encode(message)) == message
    assert b"historical" not in wire.encode(vitals)
    assert b"readings" not in wire.encode(plain)
