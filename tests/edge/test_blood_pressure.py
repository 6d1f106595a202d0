import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from feldsher_edge.ble.blood_pressure import (
    BloodPressure,
    CuffPressure,
    Status,
    encode,
    encode_cuff_pressure,
    parse,
    parse_cuff_pressure,
)
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import decode_sfloat
from hypothesis import given
from hypothesis import strategies as st

VECTORS = Path(__file__).parents[3] / "shared" / "ble" / "bp_measurement_2A35_vectors.json"
NUMBERS = st.binary(min_size=2, max_size=2).map(decode_sfloat)
TIMES = st.builds(
    DeviceTime,
    year=st.just(0) | st.integers(1582, 9999),
    month=st.integers(0, 12),
    day=st.integers(0, 31),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.integers(0, 59),
)
MEASUREMENTS = st.builds(
    BloodPressure,
    unit=st.sampled_from(["mm[Hg]", "kPa"]),
    systolic=NUMBERS,
    diastolic=NUMBERS,
    mean=NUMBERS,
    time=st.none() | TIMES,
    pulse=st.none() | NUMBERS,
    user=st.none() | st.integers(0, 255),
    status=st.none() | st.integers(0, 0xFFFF),
)


@given(MEASUREMENTS)
def test_round_trip(it: BloodPressure):
    assert parse(encode(it)) == it


@given(st.binary(max_size=24))
def test_any_bytes_are_read_or_refused_by_byte(data: bytes):
    it, refused = None, ""
    try:
        it = parse(data)
    except ValueError as error:
        refused = str(error)
    # Of what is read only the reserved flag bits are not kept.
    assert refused.startswith("byte ") if it is None else encode(it)[1:] == data[1:]


def _vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        pytest.skip(f"recorded vectors are absent: {VECTORS}")
    return json.loads(VECTORS.read_text())["vectors"]


def _text(value: object) -> float | None:
    return float(value) if isinstance(value, Decimal) else None


def test_recorded_vectors():
    checked = 0
    for vector in _vectors():
        data, expect = bytes.fromhex(vector["hex"]), vector["expect"]
        if isinstance(expect, str):
            with pytest.raises(ValueError, match="byte"):
                parse(data)
        else:
            it = parse(data)
            assert it.unit == {"mmHg": "mm[Hg]", "kPa": "kPa"}[expect["unit"]]
            got = [_text(it.systolic), _text(it.diastolic), _text(it.mean), _text(it.pulse)]
            assert got == [expect["systolic"], expect["diastolic"], expect["map"], expect.get("pulse")]
            assert it.user == expect.get("user_id")
            assert it.status == (int(expect["status"], 16) if "status" in expect else None)
            sent = expect.get("timestamp", "").replace("year unknown(0)", "0000")
            assert ("" if it.time is None else str(it.time)) == sent
        checked += 1
    assert checked >= 8


def test_a_failed_reading_has_no_number():
    # derdilla/blood-pressure-monitor-fl #80: an application stored this as 2047 mmHg.
    it = parse(bytes.fromhex("16ff07ff07ff07ea070b17010203ff070000"))
    assert (it.systolic, it.diastolic, it.mean, it.pulse) == ("nan", "nan", "nan", "nan")
    assert it.status == 0


def test_kilopascals_stay_kilopascals():
    it = parse(bytes.fromhex("01bdf00b009ff0"))
    assert (it.unit, it.systolic, it.mean) == ("kPa", Decimal("18.9"), Decimal("15.9"))


def test_status_bits_are_named():
    it = parse(bytes.fromhex("107800500064000500"))
    assert it.status is not None
    assert Status(it.status) == Status.MOVEMENT | Status.IRREGULAR_PULSE


@pytest.mark.parametrize(
    ("raw", "byte"),
    [
        ("", 0),
        ("00780050", 4),
        ("02780050006400ea070d01000000", 9),
        ("04780050006400", 7),
        ("08780050006400", 7),
        ("1078005000640001", 8),
        ("0078005000640099", 7),
    ],
)
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}"):
        parse(bytes.fromhex(raw))


def test_intermediate_pressure():
    it = CuffPressure("mm[Hg]", Decimal(87), user=2)
    assert parse_cuff_pressure(encode_cuff_pressure(it)) == it
    with pytest.raises(ValueError, match="byte 3: 80 where an intermediate pressure has NaN"):
        parse_cuff_pressure(bytes.fromhex("0078005000ff07"))
