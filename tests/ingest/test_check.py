"""What is let through, and what each rejection says."""

from __future__ import annotations

import msgspec
import pytest
import zstandard
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality
from feldsher_ehr_core.ids import shard
from feldsher_ingest.check import MAX_DECODED, Checked, Rejected, check, device_now_us, topic_gateway
from feldsher_ingest.simulate import SimulatedGateway
from hypothesis import given
from hypothesis import strategies as st

GATEWAY = SimulatedGateway("gw-a", 7)


def topic(message: wire.Up) -> str:
    return wire.up_topic("gw-a", str(message.__struct_config__.tag))


def rejected(message: wire.Up, on: str | None = None) -> Rejected:
    found = check(on or topic(message), wire.encode(message))
    assert isinstance(found, Rejected)
    return found


@pytest.mark.parametrize("message", [GATEWAY.recording(seconds=1), GATEWAY.pressure(2), GATEWAY.birth()])
def test_sound_messages_pass(message: wire.UpMessage) -> None:
    found = check(topic(message), wire.encode(message))
    assert isinstance(found, Checked)
    assert found.message == message


def test_another_shard_is_rejected_and_still_receipted() -> None:
    message = GATEWAY.pressure()
    wrong = (shard("gw-a") + 1) % 16
    found = rejected(message, f"feldsher/1/{wrong}/gw-a/up/vitals")
    assert (found.cause, found.own, found.gateway, found.message_id) == ("topic", True, "gw-a", message.env.id)


def test_another_gateways_message_is_rejected_without_receipt() -> None:
    found = rejected(SimulatedGateway("gw-b", 1).pressure(), wire.up_topic("gw-a", "vitals"))
    assert (found.cause, found.own, found.gateway) == ("topic", False, "gw-a")


def test_another_kind_is_rejected() -> None:
    assert "vitals" in rejected(GATEWAY.birth(), wire.up_topic("gw-a", "vitals")).reason


def test_oversized_is_rejected_with_its_size() -> None:
    found = check(wire.up_topic("gw-a", "vitals"), b"\xc1" * (wire.MAX_BYTES + 1))
    assert isinstance(found, Rejected)
    assert found.cause == "oversized"
    assert str(wire.MAX_BYTES + 1) in found.reason


def test_unreadable_body_with_readable_envelope_is_receipted() -> None:
    plain: dict[str, object] = msgspec.msgpack.decode(wire.encode(GATEWAY.pressure()))
    found = check(wire.up_topic("gw-a", "vitals"), msgspec.msgpack.encode(plain | {"code": "not numbers"}))
    assert isinstance(found, Rejected)
    assert (found.cause, found.own, found.kind) == ("payload", True, "vitals")
    assert "$.code" in found.reason


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected_with_a_reason(payload: bytes) -> None:
    found = check(wire.up_topic("gw-a", "vitals"), payload)
    assert isinstance(found, Rejected)
    assert found.reason.startswith("payload: ")
    assert found.payload == payload


def test_wrong_sha256_is_rejected() -> None:
    found = rejected(msgspec.structs.replace(GATEWAY.recording(seconds=1), sha256=bytes(32)))
    assert (found.cause, found.reason.split(":")[0]) == ("samples", "sha256")


def test_wrong_number_of_samples_is_rejected() -> None:
    message = GATEWAY.recording(seconds=1)
    assert rejected(msgspec.structs.replace(message, n=message.n - 1)).cause == "samples"


@pytest.mark.parametrize("announced", [True, False])
def test_codec_bomb_is_rejected_before_it_unfolds(announced: bool) -> None:
    bomb = zstandard.ZstdCompressor(level=3, write_content_size=announced).compress(bytes(200_000_000))
    assert len(bomb) < 10_000
    found = rejected(msgspec.structs.replace(GATEWAY.recording(seconds=1), samples=bomb))
    assert (found.cause, found.reason.split(":")[0]) == ("samples", "samples")


def test_shapes_beyond_memory_are_rejected() -> None:
    message = GATEWAY.recording(leads=1, seconds=1)
    huge = msgspec.structs.replace(
        message, fs=30_000.0, n=MAX_DECODED // 16, leads=tuple(str(i) for i in range(12)), uv_per_bit=(1.0,) * 12
    )
    assert rejected(huge).reason.startswith("n: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fs", 0.0),
        ("fs", float("nan")),
        ("fs", float("inf")),
        ("n", 0),
        ("n", 10**9),
        ("started_us", -1),
        ("ended_us", 2**62),
        ("$.clock_ratio", float("inf")),
    ],
)
def test_impossible_recordings_name_the_field(field: str, value: object) -> None:
    found = rejected(msgspec.structs.replace(GATEWAY.recording(seconds=1), **{field.removeprefix("$."): value}))
    assert (found.cause, found.reason.split(":")[0]) == ("values", field)


@pytest.mark.parametrize("scale", [0.0, -0.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")])
def test_impossible_scales_name_the_lead(scale: float) -> None:
    message = GATEWAY.recording(leads=3, seconds=1)
    found = rejected(msgspec.structs.replace(message, uv_per_bit=(4.88, scale, 4.88)))
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.uv_per_bit[1]")


def test_a_scale_below_zero_passes() -> None:
    message = msgspec.structs.replace(GATEWAY.recording(leads=1, seconds=1), uv_per_bit=(-4.88,))
    assert isinstance(check(topic(message), wire.encode(message)), Checked)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("field", ["fs", "measurements.qt", "scores['AFIB']"])
def test_numbers_of_an_interpretation_are_finite(field: str, number: float) -> None:
    sound = interpretation()
    bad = {
        "fs": msgspec.structs.replace(sound, fs=number),
        "measurements.qt": msgspec.structs.replace(sound, measurements=Measurements(rate=60.0, qt=number)),
        "scores['AFIB']": msgspec.structs.replace(sound, scores={"NORM": 1.0, "AFIB": number}),
    }[field]
    found = rejected(msgspec.structs.replace(GATEWAY.recording(seconds=1), interpretation=bad))
    assert (found.cause, found.reason.split(":")[0]) == ("values", f"$.interpretation.{field}")
    whole = msgspec.structs.replace(GATEWAY.recording(seconds=1), interpretation=sound)
    assert isinstance(check(topic(whole), wire.encode(whole)), Checked)


def interpretation() -> Interpretation:
    return Interpretation("test", 500.0, (), 500, Quality(True, {}), (), (), (), Measurements(), (), {"NORM": 1.0}, "")


def test_ages_of_sources_are_finite() -> None:
    found = rejected(msgspec.structs.replace(GATEWAY.heartbeat(), sources={"kit": float("nan")}))
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.sources['kit']")


@pytest.mark.parametrize("offset", [-721, 841, 2**63 - 1, -(2**63)])
def test_an_offset_that_no_zone_has_is_rejected(offset: int) -> None:
    message = GATEWAY.pressure()
    found = rejected(msgspec.structs.replace(message, env=msgspec.structs.replace(message.env, offset_min=offset)))
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.env.offset_min")


@pytest.mark.parametrize("offset", [-720, 0, 840])
def test_an_offset_that_a_zone_has_passes(offset: int) -> None:
    message = GATEWAY.pressure()
    message = msgspec.structs.replace(message, env=msgspec.structs.replace(message.env, offset_min=offset))
    assert isinstance(check(topic(message), wire.encode(message)), Checked)


@pytest.mark.parametrize("lag", [2**62, -(2**62)])
def test_a_clock_cannot_be_wrong_by_more_than_its_range(lag: int) -> None:
    found = rejected(wire.ClockOffset(env=GATEWAY.envelope(), offset_us=lag, source="ntp"))
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.offset_us")


def test_a_minute_of_twelve_leads_passes() -> None:
    message = GATEWAY.recording(seconds=60)
    assert isinstance(check(topic(message), wire.encode(message)), Checked)


@pytest.mark.parametrize("value", ["", "NaN", "Infinity", "12a", "1e999", "0x10", "1_0", "１２０", "12,5"])
def test_values_that_are_no_decimals_are_rejected(value: str) -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), value=("120", value, "90", "70"))
    assert rejected(message).reason.startswith("value[1]: ")


@pytest.mark.parametrize("value", ["0", "-1.50", "+36.6", ".5", "5.", "1.2e-3"])
def test_decimals_pass(value: str) -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), value=("120", value, "90", "70"))
    assert isinstance(check(topic(message), wire.encode(message)), Checked)


def test_times_beyond_2106_are_rejected() -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), time_us=(0, 1, 2, 2**53))
    assert rejected(message).reason.startswith("time_us: ")


def test_raw_bytes_must_belong_to_something() -> None:
    assert rejected(msgspec.structs.replace(GATEWAY.pressure(), raw=(b"", b""))).reason.startswith("raw: 2 entries")


def test_device_clock_is_read_in_the_gateways_offset() -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), device_now="1970-01-01T05:00:01.5", gateway_now_us=1)
    assert device_now_us(message) == 1_500_000
    assert device_now_us(GATEWAY.pressure()) is None


NO_LOCAL_TIMES = [
    "yesterday", "", "2026-11-23", "2026-11-23T08:00:00+05:00", "2026-11-23T08:00:00Z", "2026-02-30T08:00:00",
    "20261123T080000", "2026-W47-1T08:00:00", "２026-11-23T08:00:00",
]  # fmt: skip


@pytest.mark.parametrize("now", [*NO_LOCAL_TIMES, "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"])
def test_device_clock_that_is_no_local_time_is_rejected(now: str) -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), device_now=now, gateway_now_us=1)
    found = rejected(message)
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.device_now")


@pytest.mark.parametrize("sent", NO_LOCAL_TIMES)
def test_sent_time_that_is_no_local_time_is_rejected(sent: str) -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), sent_at=("2026-11-23T08:00:00", None, sent, None))
    found = rejected(message)
    assert (found.cause, found.reason.split(":")[0]) == ("values", "$.sent_at[2]")


@pytest.mark.parametrize("sent", ["2026-11-23T08:00", "2026-11-23T08:00:59", "2026-11-23T08:00:59.5"])
def test_sent_times_pass(sent: str) -> None:
    message = msgspec.structs.replace(GATEWAY.pressure(), sent_at=(sent,) * 4)
    assert isinstance(check(topic(message), wire.encode(message)), Checked)


def test_what_nobody_foresaw_is_a_dead_letter_with_the_errors_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("feldsher_ingest.check.codec.decode", stumble)
    message = GATEWAY.recording(seconds=1)
    found = rejected(message)
    assert (found.cause, found.reason, found.own) == ("unexpected", "ZeroDivisionError: division by zero", True)
    assert found.message_id == message.env.id


def test_gateway_of_a_topic() -> None:
    assert topic_gateway("feldsher/1/3/gw-a/up/ecg") == "gw-a"
    assert topic_gateway("feldsher/1/gw-a/down/order") is None
