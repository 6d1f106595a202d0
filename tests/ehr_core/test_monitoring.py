"""Limits as data: what can be evaluated is read and written unchanged, what cannot is refused by its field."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from feldsher_ehr_core.monitoring import (
    Both,
    Ecg,
    Missed,
    NoLimits,
    Range,
    Rise,
    Rule,
    RuleError,
    alert_id,
    decode,
    minutes,
)
from feldsher_ehr_core.vitals import GLUCOSE_CAPILLARY, PULSE, SYSTOLIC, WEIGHT

HIGH = Range(codes=(SYSTOLIC.mdc,), above=Decimal("160.50"))


@pytest.mark.parametrize(
    "rule",
    [
        HIGH,
        Range(codes=(GLUCOSE_CAPILLARY.mdc,), above=Decimal("13.9"), below=Decimal("3.9"), unit="mmol/L"),
        Range(codes=(PULSE.mdc, 147842, 149530), above=Decimal(120), times=2, of=3, within_h=2, every_min=10),
        Both(ranges=(HIGH, Range(codes=(PULSE.mdc,), above=Decimal(100))), within_min=30),
        Rise(codes=(WEIGHT.mdc,), by=Decimal("4.4"), days=1, before=3, unit="[lb_av]"),
        Missed(codes=(SYSTOLIC.mdc,), times=2, start="06:00", end="11:30", weekdays=(1, 3), grace_h=12),
        Missed(codes=(WEIGHT.mdc,), times=3, per="week"),
        Ecg(codes=("AFIB",)),
        NoLimits(),
    ],
)
def test_a_rule_survives_json(rule: Rule) -> None:
    text = msgspec.json.encode(rule)
    assert decode(text) == rule
    assert decode(json.dumps(json.loads(text))) == rule


def rule(**fields: object) -> str:
    return json.dumps({"rule": "range", "codes": [SYSTOLIC.mdc], "above": "160"} | fields)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"rule": "range"}', "codes"),
        (rule(rule="hunch"), "hunch"),
        (rule(abvoe="160"), "abvoe"),
        (rule(codes=[]), "$.codes"),
        (rule(codes=[1]), "$.codes: 1 is none"),
        (rule(codes=[SYSTOLIC.mdc, WEIGHT.mdc]), "have no bound in common"),
        (rule(unit="kg"), "$.unit: 'kg' cannot be compared"),
        (rule(above=None), "$.above"),
        (rule(above="NaN"), "$.above"),
        (rule(times=3, of=2), "$.times"),
        (rule(within_h=0), "$.within_h"),
        (json.dumps({"rule": "both", "ranges": [json.loads(rule())]}), "$.ranges"),
        (json.dumps({"rule": "both", "ranges": [json.loads(rule())] * 2, "within_min": -1}), "$.within_min"),
        (json.dumps({"rule": "rise", "codes": [WEIGHT.mdc], "by": "0", "days": 1, "before": 3}), "$.by"),
        (json.dumps({"rule": "rise", "codes": [WEIGHT.mdc], "by": "2", "days": 0, "before": 3}), "$.days"),
        (json.dumps({"rule": "missed", "codes": [WEIGHT.mdc], "start": "25:00"}), "$.start"),
        (json.dumps({"rule": "missed", "codes": [WEIGHT.mdc], "start": "10:00", "end": "09:00"}), "$.end"),
        (json.dumps({"rule": "missed", "codes": [WEIGHT.mdc], "per": "week", "weekdays": [1]}), "$.per"),
        (json.dumps({"rule": "missed", "codes": [WEIGHT.mdc], "weekdays": [0]}), "$.weekdays"),
        (json.dumps({"rule": "ecg", "critical": False}), "$.codes"),
        ("{", "truncated"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_its_field(text: str, field: str) -> None:
    with pytest.raises(RuleError) as refused:
        decode(text)
    assert field in str(refused.value)


def test_times_of_day() -> None:
    assert [minutes("x", text) for text in ("00:00", "09:30", "23:59", "24:00")] == [0, 570, 1439, 1440]
    for text in ("24:01", "9:30", "09:60", "٠٩:30", ""):
        with pytest.raises(RuleError, match="x: "):
            minutes("x", text)


def test_an_alerts_id_is_that_of_the_limit_and_what_it_is_about() -> None:
    one, two = UUID(int=1), UUID(int=2)
    made = {alert_id(limit, about) for limit in (one, two) for about in ("a", "b", "a")}
    assert len(made) == 4
    assert alert_id(one, "a") == alert_id(UUID(int=1), "a")
