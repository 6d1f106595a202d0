"""What time alone makes an alert: once each, by the clock that is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.monitoring import BUILT_IN_NO_LIMITS, Missed
from feldsher_ehr_core.vitals import SYSTOLIC
from feldsher_ingest.overdue import WatchMissed, WatchReview
from watching import HIGH, OTHER, SUBJECT, T0, Kit, Ward

Rows = Callable[[str], list[tuple[Any, ...]]]
DAILY = Missed(codes=(SYSTOLIC.mdc,), times=2, start="06:00", end="12:00", grace_h=1)
DAY = timedelta(days=1)
ALERTS = "select kind, subject, about, late, cause, doubt from watch_alert order by about"


@pytest.fixture
def ward(store_url: str) -> Iterator[Ward]:
    with Ward(store_url) as ward:
        yield ward


def look(ward: Ward) -> None:
    """Look as another worker would that has just become the one that does the chores."""
    for chore in (WatchMissed(lambda: ward.now, at_once=1), WatchReview(lambda: ward.now)):
        while chore(ward.record):
            pass


def test_measurements_that_did_not_come_are_told_once_after_their_grace(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0 - DAY)
    limit = ward.limit(DAILY, since=T0 - DAY)
    ward.take(Kit("gw-a", "cuff").pressure(0, "120"))
    ward.now = T0 + timedelta(hours=4, minutes=59)
    look(ward)
    assert rows(ALERTS) == []
    ward.now = T0 + timedelta(hours=5, minutes=6)
    for _ in range(2):
        look(ward)
        ward.now += timedelta(minutes=6)
    assert rows(ALERTS) == [("missed", SUBJECT, "missed:2026-11-02", False, "time", [])]
    assert rows("select limit_id, measured_at from watch_alert") == [(limit, T0 + timedelta(hours=4))]
    assert rows("select gateway, message_id = (body ->> 'alert')::uuid from event where kind = 'alert'") == [("", True)]


def test_what_came_in_time_or_late_is_not_missed(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0 - DAY)
    ward.limit(DAILY, since=T0 - DAY)
    kit = Kit("gw-a", "cuff")
    ward.take(kit.pressure(0, "120"))
    ward.take(kit.pressure(60, "121"))
    ward.now = T0 + timedelta(hours=6)
    look(ward)
    assert rows(ALERTS) == []


def test_a_gateway_that_is_off_makes_it_a_doubt(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0 - DAY)
    ward.limit(DAILY, since=T0 - DAY)
    kit = Kit("gw-a", "cuff")
    ward.take(kit.pressure(0, "120"), wire.Death(env=kit.envelope(T0), cause="will"))
    ward.now = T0 + timedelta(hours=8)
    look(ward)
    assert rows("select doubt, late from watch_alert") == [(["no_link"], True)]


def test_nothing_is_missed_of_who_had_no_device_or_no_limit_then(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0)  # after the period began
    ward.limit(DAILY, since=T0 - DAY, until=T0 + 2 * DAY)
    ward.now = T0 + 4 * DAY
    look(ward)
    assert [about for (about,) in rows("select about from watch_alert where kind = 'missed'")] == ["missed:2026-11-03"]


def test_a_limit_is_due_for_review_once_and_holds_on(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0 - DAY)
    limit = ward.limit(HIGH, review=T0)
    look(ward)
    ward.now += DAY
    look(ward)
    assert rows(ALERTS) == [("review", SUBJECT, "review:1", False, "time", [])]
    ward.limit(HIGH, limit=limit, since=T0, review=T0 + 9 * DAY)
    look(ward)
    ward.now += 9 * DAY
    look(ward)
    assert [about for (about,) in rows("select about from watch_alert order by 1")] == ["review:1", "review:2"]


def test_who_has_no_limits_is_told_of_once_a_day_until_that_is_mended(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff", since=T0 - timedelta(minutes=59))
    ward.assign("gw-b/cuff", OTHER, since=T0 - DAY, until=T0)  # no longer under monitoring
    look(ward)
    assert rows(ALERTS) == []  # whoever gave the device sets the limits next
    for _ in range(3):
        ward.now += timedelta(hours=9)
        look(ward)
    days = [f"{SUBJECT}:2026-11-0{day}" for day in (2, 3)]
    assert rows(ALERTS) == [("absent", SUBJECT, about, False, "time", []) for about in days]
    assert rows("select distinct limit_id from watch_alert") == [(BUILT_IN_NO_LIMITS,)]
    ward.limit(HIGH)
    ward.now += 2 * DAY
    look(ward)
    assert len(rows(ALERTS)) == 2


def test_a_rule_that_this_version_cannot_evaluate_is_told_of(ward: Ward, rows: Rows) -> None:
    ward.limit('{"rule": "hunch"}')
    look(ward)
    look(ward)
    assert rows(ALERTS) == [("unreadable", SUBJECT, "unreadable:1", False, "time", [])]
