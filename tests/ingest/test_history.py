"""What is read of somebody's past: how far back it is whole, whichever of their devices measures without pause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from feldsher_ehr_core.monitoring import Range, Rise
from feldsher_ehr_core.vitals import SATURATION, SYSTOLIC, WEIGHT
from feldsher_ingest.history import Past, Stretch, read
from feldsher_ingest.limits import Known, Limit
from watching import SUBJECT, T0, Kit, Ward, us, value

TREND = Rise(codes=(SYSTOLIC.mdc,), by=Decimal(10), days=1, before=2)
LAST = Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=3, within_h=72)


@pytest.fixture
def ward(store_url: str) -> Iterator[Ward]:
    with Ward(store_url) as ward:
        yield ward


def limit(ward: Ward, rule: Range | Rise) -> Limit:
    low, high = us(T0 - timedelta(days=30)), us(T0 + timedelta(days=30))
    return Limit(ward.limit(rule), 1, rule, "warning", ZoneInfo("UTC"), low, high)


def past(ward: Ward, most: int) -> Past:
    with ward.record.transaction():
        person = Known().people(ward.record, [SUBJECT])[SUBJECT]
        stretch = Stretch(person, us(T0 - timedelta(days=9)), us(T0 + timedelta(days=9)), frozenset({SYSTOLIC.mdc}))
        return read(ward.record, [stretch], most)[0]


def test_one_device_that_is_whole_does_not_answer_for_another_that_is_cut(ward: Ward) -> None:
    rare, often = Kit("gw-a", "cuff"), Kit("gw-b", "cuff")
    for key in ("gw-a/cuff", "gw-b/cuff"):
        ward.assign(key)
    ward.take(rare.pressure(-8 * 1440, "120"), often.pressure(0, *["121"] * 20))
    now = us(T0 + timedelta(minutes=30))
    for rule in (TREND, LAST):
        whole, cut = past(ward, 50), past(ward, 5)
        assert len(cut.readings) == 6
        assert whole.covers(limit(ward, rule), now)
        assert cut.covers(limit(ward, rule), now) == (rule is LAST)  # whose last three are there all the same


def test_what_is_doubted_is_none_of_the_last_so_many(ward: Ward) -> None:
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    ward.take(kit.pressure(0, *["121"] * 9), kit.pressure(10, *["122"] * 9, status=1))
    own = limit(ward, LAST)
    assert not past(ward, 10).covers(own, us(T0 + timedelta(minutes=30)))
    assert past(ward, 13).covers(own, us(T0 + timedelta(minutes=30)))


def test_other_values_of_the_same_stretch_are_not_asked_for(ward: Ward) -> None:
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    ward.take(kit.message([(T0, [value(WEIGHT.mdc, "80")]), (T0, [value(SATURATION.mdc, "97")])]))
    assert past(ward, 5).readings == []
