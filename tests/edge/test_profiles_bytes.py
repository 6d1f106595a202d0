"""Every Bluetooth parser against its encoder, and against bytes that nobody meant."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from feldsher_edge.ble import (
    blood_pressure,
    body_composition,
    cgm,
    current_time,
    glucose,
    heart_rate,
    information,
    oximeter,
    polar,
    racp,
    thermometer,
    user_data,
    weight,
)
from feldsher_edge.ble.date_time import DeviceTime
from feldsher_edge.ble.ieee11073 import Number, decode_float, decode_sfloat
from hypothesis import given, settings
from hypothesis import strategies as st

SFLOATS = st.binary(min_size=2, max_size=2).map(decode_sfloat)
FLOATS = st.binary(min_size=4, max_size=4).map(decode_float)
U8, U16, U24 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFF_FFFF)
S8, S16, S24 = st.integers(-128, 127), st.integers(-(2**15), 2**15 - 1), st.integers(-(2**23), 2**23 - 1)
NIBBLES = st.integers(0, 15)
TIMES = st.builds(
    DeviceTime,
    year=st.just(0) | st.integers(1582, 9999),
    month=st.integers(0, 12),
    day=st.integers(0, 31),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    second=st.integers(0, 59),
)


def maybe(it: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | it


def steps(step: str) -> st.SearchStrategy[Number]:
    def scaled(n: int | None) -> Number:
        return "nan" if n is None else n * Decimal(step)

    return st.builds(scaled, st.none() | st.integers(0, 0xFFFE))


def weights(imperial: bool) -> st.SearchStrategy[weight.Weight]:
    mass, length = ("0.01", "0.1") if imperial else ("0.005", "0.001")
    head = {"imperial": st.just(imperial), "weight": steps(mass), "time": maybe(TIMES), "user": maybe(U8)}
    with_bmi = st.builds(weight.Weight, **head, bmi=steps("0.1"), height=steps(length))
    return st.builds(weight.Weight, **head) | with_bmi


def bodies(imperial: bool) -> st.SearchStrategy[body_composition.BodyComposition]:
    mass, length = ("0.01", "0.1") if imperial else ("0.005", "0.001")
    masses = {name: maybe(steps(mass)) for name in ("muscle", "fat_free", "soft_lean", "water", "weight")}
    return st.builds(
        body_composition.BodyComposition,
        imperial=st.just(imperial),
        fat=steps("0.1"),
        time=maybe(TIMES),
        user=maybe(U8),
        metabolism=maybe(steps("1")),
        muscle_share=maybe(steps("0.1")),
        impedance=maybe(steps("0.1")),
        height=maybe(steps(length)),
        more=st.booleans(),
        **masses,
    )


@st.composite
def cgm_records(draw: st.DrawFn) -> tuple[cgm.Record, ...]:
    def one() -> cgm.Record:
        octets = draw(st.integers(0, 7))
        sent = sum(0xFF << 8 * i for i in range(3) if octets & 1 << i)
        status = draw(U24) & sent if octets else None
        number = maybe(SFLOATS)
        return cgm.Record(draw(SFLOATS), draw(U16), status, octets, draw(number), draw(number), draw(st.booleans()))

    return tuple(one() for _ in range(draw(st.integers(1, 3))))


@st.composite
def contexts(draw: st.DrawFn) -> glucose.Context:
    people = draw(maybe(st.tuples(NIBBLES, NIBBLES))) or (None, None)
    return glucose.Context(
        sequence=draw(U16),
        extended=draw(maybe(U8)),
        carbohydrate=draw(maybe(st.builds(glucose.Amount, kind=U8, value=SFLOATS, litres=st.just(False)))),
        meal=draw(maybe(U8)),
        tester=people[0],
        health=people[1],
        exercise=draw(maybe(st.builds(glucose.Exercise, seconds=U16, percent=U8))),
        medication=draw(maybe(st.builds(glucose.Amount, kind=U8, value=SFLOATS, litres=st.booleans()))),
        hba1c=draw(maybe(SFLOATS)),
    )


@st.composite
def requests(draw: st.DrawFn) -> racp.Request:
    operator = draw(st.sampled_from(racp.Operator))
    bounds = {racp.Operator.AT_MOST: 1, racp.Operator.AT_LEAST: 1, racp.Operator.WITHIN: 2}.get(operator, 0)
    op = draw(st.sampled_from([racp.Op.REPORT, racp.Op.DELETE, racp.Op.ABORT, racp.Op.COUNT]))
    return racp.Request(op, operator, tuple(draw(U16) for _ in range(bounds)))  # pyright: ignore[reportArgumentType]


PAIRS = st.builds(oximeter.Pair, saturation=SFLOATS, pulse=SFLOATS)
CONCENTRATIONS = st.builds(
    glucose.Concentration, value=SFLOATS, unit=st.sampled_from(["kg/L", "mol/L"]), fluid=NIBBLES, location=NIBBLES
)
PRESSURES = st.builds(
    blood_pressure.BloodPressure,
    unit=st.sampled_from(["mm[Hg]", "kPa"]),
    systolic=SFLOATS, diastolic=SFLOATS, mean=SFLOATS,
    time=maybe(TIMES), pulse=maybe(SFLOATS), user=maybe(U8), status=maybe(U16),
)  # fmt: skip
HEART_RATES = st.builds(
    heart_rate.HeartRate,
    bpm=U16, contact=maybe(st.booleans()), energy=maybe(U16), rr=st.lists(U16, max_size=9).map(tuple),
)  # fmt: skip
SPOTS = st.builds(
    oximeter.Spot,
    values=PAIRS, time=maybe(TIMES), status=maybe(U16), sensor=maybe(U24), amplitude=maybe(SFLOATS),
    clock_not_set=st.booleans(),
)  # fmt: skip
RUNNING = st.builds(
    oximeter.Continuous,
    values=PAIRS, fast=maybe(PAIRS), slow=maybe(PAIRS), status=maybe(U16), sensor=maybe(U24), amplitude=maybe(SFLOATS),
)  # fmt: skip


def features(bits: int, status: int | None, sensor: int | None) -> oximeter.Features:
    return oximeter.Features(bits & 0xFFFC | (status is not None) | (sensor is not None) << 1, status, sensor)


FEATURES = st.builds(features, U16, maybe(U16), maybe(U24))
TEMPERATURES = st.builds(
    thermometer.Temperature,
    unit=st.sampled_from(["Cel", "[degF]"]), value=FLOATS, time=maybe(TIMES), site=maybe(U8),
)  # fmt: skip
RECORDS = st.builds(
    glucose.Glucose,
    sequence=U16, base=TIMES, offset_min=maybe(S16), concentration=maybe(CONCENTRATIONS), status=maybe(U16),
    context_follows=st.booleans(),
)  # fmt: skip
ANSWERS = st.builds(racp.Count, U16) | st.builds(racp.Response, op=U8, result=U8)
STARTS = st.builds(cgm.SessionStart, time=TIMES, zone=S8, dst=U8, crc=st.booleans())
CLOCKS = st.builds(
    current_time.CurrentTime, time=TIMES, weekday=st.integers(0, 7), fraction=U8, reason=U8
)  # fmt: skip
ZONES = st.builds(
    current_time.LocalTime, zone=st.just(-128) | st.integers(-48, 56), dst=st.sampled_from([0, 2, 4, 8, 255])
)
CONSENTS = st.builds(user_data.Consent, user=U8, code=st.integers(0, 9999)) | st.builds(
    user_data.Response, op=st.just(user_data.Op.REGISTER), result=U8, user=maybe(U8)
)
FRAMES = st.builds(
    polar.EcgFrame, last_ns=st.integers(0, 2**64 - 1), samples=st.lists(S24, max_size=80).map(tuple)
)  # fmt: skip
POLAR_ANSWERS = st.builds(polar.Response, op=U8, kind=U8, status=U8, parameters=st.binary(max_size=20))

Profile = tuple[Callable[[bytes], Any], Callable[[Any], bytes], st.SearchStrategy[Any]]
PROFILES: dict[str, Profile] = {
    "2A35": (blood_pressure.parse, blood_pressure.encode, PRESSURES),
    "2A37": (heart_rate.parse, heart_rate.encode, HEART_RATES),
    "2A1C": (thermometer.parse, thermometer.encode, TEMPERATURES),
    "2A5E": (oximeter.parse_spot, oximeter.encode_spot, SPOTS),
    "2A5F": (oximeter.parse_continuous, oximeter.encode_continuous, RUNNING),
    "2A60": (oximeter.parse_features, oximeter.encode_features, FEATURES),
    "2A18": (glucose.parse, glucose.encode, RECORDS),
    "2A34": (glucose.parse_context, glucose.encode_context, contexts()),
    "2A52": (racp.parse, racp.encode, requests() | ANSWERS),
    "2AA7": (cgm.parse, cgm.encode, cgm_records()),
    "2AAA": (cgm.parse_session_start, cgm.encode_session_start, STARTS),
    "2AAC": (
        partial(cgm.parse_procedure, protected=True),
        partial(cgm.encode_procedure, protected=True),
        st.builds(cgm.Procedure, op=U8, operand=st.binary(max_size=8)),
    ),
    "2A9D": (weight.parse, weight.encode, weights(False) | weights(True)),
    "2A9C": (body_composition.parse, body_composition.encode, bodies(False) | bodies(True)),
    "2A9F": (user_data.parse, user_data.encode, CONSENTS),
    "2A2B": (current_time.parse, current_time.encode, CLOCKS),
    "2A0F": (current_time.parse_local, current_time.encode_local, ZONES),
    "2A19": (information.parse_battery, information.encode_battery, st.integers(0, 100)),
    "2A23": (
        information.parse_system_id,
        information.encode_system_id,
        st.builds(information.SystemId, device=st.integers(0, 2**40 - 1), maker=U24),
    ),
    "2A50": (
        information.parse_pnp_id,
        information.encode_pnp_id,
        st.builds(information.PnpId, source=U8, vendor=U16, product=U16, version=U16),
    ),
    "PMD data": (polar.parse_frame, polar.encode_frame, FRAMES),
    "PMD answer": (polar.parse_response, polar.encode_response, POLAR_ANSWERS),
    "PMD features": (polar.parse_features, polar.encode_features, U8),
}
BY_NAME = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


def read_or_refused(parse: Callable[[bytes], Any], encode: Callable[[Any], bytes], data: bytes) -> None:
    """What is read says all that the bytes said: written and read again it is the same."""
    it, refused = None, ""
    try:
        it = parse(data)
    except ValueError as error:
        refused = str(error)
    assert refused.startswith("byte ") if it is None else parse(encode(it)) == it


@BY_NAME
def test_what_an_encoder_writes_its_parser_reads(profile: Profile):
    parse, encode, values = profile

    @settings(max_examples=40)
    @given(values, st.integers(0, 400))
    def holds(it: object, end: int) -> None:
        data = encode(it)
        assert parse(data) == it
        read_or_refused(parse, encode, data[: end % (len(data) + 1)])

    holds()


@BY_NAME
def test_any_bytes_are_read_or_refused_by_byte(profile: Profile):
    @settings(max_examples=40)
    @given(st.binary(max_size=40))
    def holds(data: bytes) -> None:
        read_or_refused(profile[0], profile[1], data)

    holds()


@given(st.binary(max_size=300))
def test_a_name_is_always_text(data: bytes):
    text = information.parse_text(data)
    assert len(text) <= information.LONGEST
    assert text.isprintable()
