"""The watch in a real database: what comes is judged as it comes, once, in whatever order it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation, Measurements, Quality, Statement
from feldsher_ehr_core.monitoring import BUILT_IN_ECG, Both, Ecg, Range, Rise
from feldsher_ehr_core.vitals import PULSE, SYSTOLIC, WEIGHT
from feldsher_ingest import readings as store_readings
from feldsher_ingest import rejudge, watch
from feldsher_ingest.clocks import Clocks
from feldsher_ingest.limits import Person
from feldsher_ingest.simulate import SimulatedGateway
from watching import HIGH, OTHER, SUBJECT, T0, Kit, Ward, us, value

Rows = Callable[[str], list[tuple[Any, ...]]]
HOUR = timedelta(hours=1)


@pytest.fixture
def ward(store_url: str) -> Iterator[Ward]:
    with Ward(store_url) as ward:
        yield ward


def test_a_value_beyond_a_limit_is_an_alert_and_an_event_in_one_transaction(ward: Ward, rows: Rows) -> None:
    limit = ward.limit(HIGH, severity="urgent")
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    low, high = kit.pressure(0, "160"), kit.pressure(10, "170")
    ward.now = T0 + timedelta(minutes=11)
    assert ward.take(low, high) == {("urgent", False, False): 1}
    (alert,) = rows("select * from watch_alert")
    told = rows(
        "select limit_id, version, kind, subject, about, severity, reading_id, device, gateway, message_id "
        "from watch_alert"
    )
    assert told == [
        (limit, 1, "range", SUBJECT, str(high.reading[0]), "urgent", high.reading[0], "cuff", "gw-a", high.env.id)
    ]
    assert rows("select late, cause, doubt from watch_alert") == [(False, "arrival", [])]
    assert rows("select measured_at, arrived_at = raised_at from watch_alert") == [(T0 + timedelta(minutes=10), True)]
    (numbers,) = rows(
        "select numbers -> 0 ->> 'value', numbers -> 0 ->> 'bound', numbers -> 0 ->> 'side' from watch_alert"
    )
    assert numbers == ("170", "160", "above")
    assert rows("select kind from event order by id") == [("vitals",), ("vitals",), ("alert",)]
    assert rows("select gateway, message_id, body ->> 'alert', body ->> 'subject' from event where kind = 'alert'") == [
        ("gw-a", high.env.id, str(alert[0]), str(SUBJECT))
    ]
    assert rows("select count(*) from event e, watch_alert a where e.kind = 'alert' and e.xmin <> a.xmin") == [(0,)]


def test_who_is_not_watched_makes_no_alert(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff", OTHER)
    assert not ward.take(Kit("gw-a", "cuff").pressure(0, "170"), Kit("gw-b", "cuff").pressure(0, "180"))
    assert rows("select count(*) from watch_alert") == [(0,)]


def test_a_shared_device_is_told_apart_by_user_number_and_time(ward: Ward) -> None:
    mine, theirs = ward.limit(HIGH), ward.limit(HIGH, OTHER)
    ward.assign("gw-a/cuff", SUBJECT, user=1, until=T0 + HOUR)
    ward.assign("gw-a/cuff", OTHER, user=2)
    kit = Kit("gw-a", "cuff")
    sent = [kit.pressure(m, "170", user=user) for m, user in ((0, 1), (5, 2), (10, None), (70, 1))]
    ward.take(*sent)
    assert ward.alerts() == {(mine, 1, str(sent[0].reading[0]), False), (theirs, 1, str(sent[1].reading[0]), False)}


def test_a_device_with_an_address_is_one_device_through_all_gateways(ward: Ward) -> None:
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=2))
    ward.assign("AA:BB:CC:DD:EE:0F")
    near, far = Kit("gw-a", "aa:bb:cc:dd:ee:0f"), Kit("gw-b", "AA:BB:CC:DD:EE:0F")
    assert not ward.take(near.pressure(0, "170"))
    assert sum(ward.take(far.pressure(10, "171")).values()) == 1
    assert ward.alerts() == ward.naive()


def test_a_repeat_of_any_kind_alerts_once(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.assign("AA:BB:CC:DD:EE:0F")
    near, far = Kit("gw-a", "AA:BB:CC:DD:EE:0F"), Kit("gw-b", "AA:BB:CC:DD:EE:0F")
    sent = near.pressure(0, "170")
    heard = msgspec.structs.replace(sent, env=far.envelope(T0))
    again = msgspec.structs.replace(sent, env=near.envelope(T0))
    assert sum(ward.take(sent, heard).values()) == 1
    assert not ward.take(again) + ward.take(sent, heard, again)
    assert rows("select count(*) from watch_alert") == [(1,)]
    assert rows("select count(*) from event where kind = 'alert'") == [(1,)]


def test_a_database_that_went_back_raises_the_same_alert_again(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    sent = Kit("gw-a", "cuff").pressure(0, "170")
    ward.take(sent)
    before = rows("select id from watch_alert")
    ward.record.execute("truncate message, reading, vital_reading, latest_reading, event, watch_alert")
    ward.take(sent)
    assert rows("select id from watch_alert") == before


def test_a_halved_batch_still_alerts_once(ward: Ward, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    good, odd, last = kit.pressure(0, "170"), Kit("gw-b", "odd").pressure(0, "170"), kit.pressure(5, "171")
    real = store_readings.columns

    def columns(batches: list[Any]) -> store_readings.Columns:
        if any(batch.device == "odd" for batch in batches):
            raise KeyError("odd")
        return real(batches)

    monkeypatch.setattr(store_readings, "columns", columns)
    ward.take(good, odd, last)
    assert sorted(rows("select about from watch_alert")) == sorted([(str(m.reading[0]),) for m in (good, last)])
    assert rows("select count(*) from event where kind = 'alert'") == [(2,)]


def test_what_comes_late_or_after_something_newer_is_raised_and_marked(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    ward.now = T0 + timedelta(minutes=30)
    assert ward.take(kit.pressure(25, "170")) == {("warning", False, False): 1}
    assert ward.take(kit.pressure(20, "170")) == {("warning", True, False): 1}  # something newer is known
    assert ward.take(kit.pressure(-60, "170")) == {("warning", True, False): 1}
    ward.now = T0 + timedelta(hours=9)
    assert ward.take(kit.pressure(31, "170")) == {("warning", True, False): 1}  # long ago
    waited = msgspec.structs.replace(kit.pressure(540, "170"), historical=True)
    assert ward.take(waited) == {("warning", True, False): 1}
    assert rows("select count(*) from event where kind = 'alert' and (body ->> 'late')::boolean") == [(4,)]


def test_a_reading_from_the_future_makes_nothing_late(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    ward.take(kit.pressure(10**6, "120"))
    ward.now = T0 + timedelta(minutes=30)
    assert ward.take(kit.pressure(25, "170")) == {("warning", False, False): 1}


@pytest.mark.parametrize("unsure", ["clock", "owner", "movement"])
def test_a_doubted_alert_takes_the_name_of_no_firm_one(ward: Ward, rows: Rows, unsure: str) -> None:
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), every_min=60))
    kit, lost = Kit("gw-a", "cuff"), Kit("gw-b", "cuff", clock="unsynced")
    for device in ("gw-a/cuff", "gw-b/cuff"):
        ward.assign(device)
    first = (lost if unsure == "clock" else kit).pressure(0, "170", status=int(unsure == "movement"))
    ward.take(msgspec.structs.replace(first, unowned=unsure == "owner"))
    ward.take(kit.pressure(5, "170"))
    ward.take(kit.pressure(10, "170"))
    span = f"span:60:{int(T0.timestamp())}"
    assert rows("select about, doubt from watch_alert order by measured_at") == [
        (f"doubt:{span}", [unsure]),
        (span, []),
    ]
    ward.limit(HIGH)
    ward.look_back()
    assert rows("select count(*) from watch_alert where about like '%span%'") == [(2,)]


def test_what_is_judged_again_keeps_what_its_message_told(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff")
    ward.look_back()
    kit = Kit("gw-a", "cuff")
    plain, waited, unowned = (kit.pressure(minutes, "170") for minutes in (5, 10, 15))
    ward.take(plain, msgspec.structs.replace(waited, historical=True), msgspec.structs.replace(unowned, unowned=True))
    ward.limit(HIGH)
    ward.now = T0 + timedelta(minutes=20)
    ward.record.execute("delete from latest_reading")
    ward.look_back()
    assert rows("select late, doubt, cause from watch_alert where kind = 'range' order by measured_at") == [
        (False, [], "limits"), (True, [], "limits"), (False, ["owner"], "limits"),
    ]  # fmt: skip


def test_artefacts_unknown_units_unsure_clocks_and_owners_are_doubts(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    for gateway in ("gw-a", "gw-b"):
        ward.assign(f"{gateway}/cuff")
    kit, lost = Kit("gw-a", "cuff"), Kit("gw-b", "cuff", clock="unsynced")
    strange = kit.message([(T0 + HOUR, [value(SYSTOLIC.mdc, "12", "furlong")])])
    unowned = msgspec.structs.replace(kit.pressure(80, "170"), unowned=True)
    ward.take(kit.pressure(0, "170", status=1), strange, unowned, lost.pressure(100, "170"), kit.pressure(10**6, "170"))
    assert rows("select doubt from watch_alert order by measured_at") == [
        (["movement"],), (["unit"],), (["owner"],), (["clock"],), (["clock"],)
    ]  # fmt: skip


def test_a_reading_that_comes_between_completes_a_window_of_later_ones(ward: Ward) -> None:
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=3, of=3))
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    sent = {m: kit.pressure(m, "170") for m in (0, 10, 20)}
    assert not ward.take(sent[0])
    assert not ward.take(sent[20])
    assert sum(ward.take(sent[10]).values()) == 1
    ((_, _, about, _),) = ward.alerts()
    assert about == str(sent[20].reading[0])


def test_both_devices_of_one_person_count_together(ward: Ward) -> None:
    pulse = Range(codes=(PULSE.mdc,), above=Decimal(100))
    ward.limit(Both((HIGH, pulse), within_min=30))
    ward.assign("gw-a/cuff")
    ward.assign("AA:BB:CC:DD:EE:01")
    belt = Kit("gw-b", "AA:BB:CC:DD:EE:01")
    assert not ward.take(Kit("gw-a", "cuff").pressure(0, "170"))
    assert not ward.take(belt.message([(T0 + timedelta(minutes=20), [value(PULSE.mdc, "90")])]))
    assert sum(ward.take(belt.message([(T0 + timedelta(minutes=25), [value(PULSE.mdc, "110")])])).values()) == 1
    assert ward.alerts() == ward.naive()


def test_a_version_judges_what_was_measured_in_its_time(ward: Ward) -> None:
    limit = ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    kit = Kit("gw-a", "cuff")
    first = kit.pressure(0, "150", "165")
    ward.take(first)
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(140)), since=T0 + HOUR, limit=limit)
    late, new = kit.pressure(30, "150", "170"), kit.pressure(61, "150")
    ward.take(late, new)
    ward.look_back()
    told = {about: version for _, version, about, _ in ward.alerts()}
    assert told == {str(first.reading[2]): 1, str(late.reading[2]): 1, str(new.reading[0]): 2}


def test_a_new_limit_judges_what_its_period_holds_but_nothing_twice(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/cuff")
    ward.look_back()
    sent = Kit("gw-a", "cuff").pressure(0, "150", "165", "155")
    ward.take(sent)
    limit = ward.limit(HIGH)
    ward.look_back()
    assert {about for _, _, about, _ in ward.alerts()} == {str(sent.reading[2])}
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(152)), limit=limit)
    ward.look_back()
    assert {(version, about) for _, version, about, _ in ward.alerts()} == {
        (1, str(sent.reading[2])),
        (2, str(sent.reading[4])),
    }
    assert rows("select distinct cause from watch_alert") == [("limits",)]
    assert rows("select count(*) from watch_due") == [(0,)]


def test_a_device_given_to_somebody_for_the_past_is_judged_for_it(ward: Ward, rows: Rows) -> None:
    ward.limit(HIGH)
    ward.look_back()
    sent = Kit("gw-a", "cuff").pressure(0, "170")
    ward.take(sent)
    ward.assign("gw-a/cuff", since=T0 - HOUR)
    ward.look_back()
    assert rows("select cause, about from watch_alert") == [("assignment", str(sent.reading[0]))]


def test_a_corrected_clock_moves_readings_into_a_window_and_back(ward: Ward, rows: Rows) -> None:
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=2, within_h=1))
    ward.assign("gw-a/cuff")
    ward.assign("gw-b/cuff")
    ward.look_back()
    lost = Kit("gw-a", "cuff", clock="unsynced", behind=timedelta(days=300))
    one, two = lost.pressure(0, "170"), Kit("gw-b", "cuff").pressure(30, "170")
    assert not ward.take(one, two)
    ward.take(lost.corrected(T0 + 2 * HOUR))
    ward.look_back()
    assert rows("select about, cause from watch_alert") == [(str(two.reading[0]), "clock")]
    assert ward.alerts() == ward.naive()
    three = lost.pressure(200, "170"), lost.pressure(230, "170")  # moved as they come: the correction is known
    ward.take(*three)
    assert ward.alerts() == ward.naive()
    assert len(ward.alerts()) == 2


def test_moves_are_those_of_the_store() -> None:
    clocks = Clocks()
    for clock in ("synced", "unsynced"):
        kit = Kit("gw-a", "cuff", clock=clock, behind=timedelta(hours=5))
        plain = kit.pressure(0, "150")
        sent = kit.message([(T0, [value(SYSTOLIC.mdc, "150")])], clocked=True)
        compared = msgspec.structs.replace(
            sent, device_now=(T0 - HOUR).replace(tzinfo=None).isoformat(), gateway_now_us=us(T0)
        )
        for shift in (clocks.shift, lambda _: 3_000_000):  # pyright: ignore[reportUnknownLambdaType,reportUnknownVariableType]
            for message in (plain, sent, compared):
                columns = store_readings.columns([message])
                (best,) = columns.corrected(shift)  # pyright: ignore[reportUnknownArgumentType]
                clocked, unclocked = watch.moves(message, shift)  # pyright: ignore[reportUnknownArgumentType]
                moved = unclocked if message.sent_at[0] is None else clocked
                assert (best if best is not None else columns.time_us[0]) == columns.time_us[0] + moved


def test_two_who_each_bring_half_of_what_breaks_a_limit_raise_it_together(ward: Ward, store_url: str) -> None:
    ward.limit(Range(codes=(SYSTOLIC.mdc,), above=Decimal(160), times=2, of=2))
    ward.assign("gw-a/cuff")
    ward.assign("gw-b/cuff")
    messages = [Kit(gateway, "cuff").pressure(i, "170") for i, gateway in enumerate(("gw-a", "gw-b"))]
    wards = [Ward(store_url), Ward(store_url)]
    gate = threading.Barrier(2)

    def bring(i: int) -> None:
        gate.wait(20)
        wards[i].take(messages[i])

    threads = [threading.Thread(target=bring, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for one in wards:
        one.__exit__()
    assert {about for _, _, about, _ in ward.alerts()} == {str(messages[1].reading[0])}


def test_a_fault_of_the_watch_keeps_nothing_out_of_the_store(
    ward: Ward, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    ward.look_back()
    sent = Kit("gw-a", "cuff").pressure(0, "170")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(watch, "breaches", fail)
        assert not ward.take(sent)
    assert rows("select count(*) from vital_reading") == [(1,)]
    assert rows("select count(*) from dead_letter") == [(0,)]
    ward.look_back()
    assert rows("select about, cause from watch_alert") == [(str(sent.reading[0]), "arrival")]


def test_a_limit_that_cannot_be_read_does_not_stop_the_others(ward: Ward) -> None:
    ward.limit('{"rule": "hunch"}')
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    assert sum(ward.take(Kit("gw-a", "cuff").pressure(0, "170")).values()) == 1


def test_trends_of_what_measures_without_pause_are_left_to_the_chore(ward: Ward, rows: Rows) -> None:
    limit = ward.limit(Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=1))
    ward.assign("gw-a/scale")
    ward.look_back()
    kit = Kit("gw-a", "scale")
    for day, kilos in ((0, "80"), (1, "83")):
        start = T0 + timedelta(days=day)
        many = [(start + timedelta(seconds=i), [value(WEIGHT.mdc, kilos)]) for i in range(watch.MANY + 1)]
        assert not ward.take(kit.message(many))
    assert rows("select distinct limit_id, cause from watch_due") == [(limit, "arrival")]
    ward.look_back()
    assert {about for _, _, about, _ in ward.alerts()} == {"rise:2026-11-03"}


@pytest.mark.parametrize("rights", ["feldsher_ingest"])
def test_the_least_rights_are_enough(ward: Ward, store_url: str, rights: str) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    ward.take(Kit("gw-a", "cuff").pressure(0, "170"))
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(f"set role {rights}".encode())
        while ward.rejudge(connection):
            pass
    assert len(ward.alerts()) == 1


def critical(kit: Kit, seed: int = 1) -> wire.EcgRecording:
    """Return a cardiogram whose interpretation has a critical statement and another."""
    statements = (
        Statement("VF", "ventricular fibrillation", "definite", (), critical=True),
        Statement("AFIB", "atrial fibrillation", "definite", ()),
    )
    found = Interpretation(
        "made up", 500.0, ("I",), 500, Quality(usable=True, leads={}), (), (), (), Measurements(), statements, {}, ""
    )
    made = SimulatedGateway(kit.gateway, seed).recording(leads=1, seconds=1)
    times = {"started_us": us(T0), "ended_us": us(T0) + 1_000_000}
    return msgspec.structs.replace(made, env=kit.envelope(T0), device=kit.device, interpretation=found, **times)


def test_critical_statements_are_alerts_for_everybody_and_own_ones_for_who_has_them(ward: Ward, rows: Rows) -> None:
    own = ward.limit(Ecg(codes=("AFIB",), critical=False), severity="note")
    ward.assign("gw-a/kit")
    first, second = critical(Kit("gw-a", "kit")), critical(Kit("gw-b", "kit"))
    assert ward.take(first, second) == {("urgent", False, False): 2, ("note", False, False): 1}
    assert not ward.take(first, second)
    told = rows("select limit_id, subject, reading_id, kind from watch_alert")
    assert sorted(told, key=str) == sorted(
        [
            (BUILT_IN_ECG, SUBJECT, first.env.id, "ecg"),
            (BUILT_IN_ECG, None, second.env.id, "ecg"),
            (own, SUBJECT, first.env.id, "ecg"),
        ],
        key=str,
    )
    assert rows("select count(*) from event where kind = 'alert'") == [(3,)]


def test_a_new_limit_on_statements_looks_at_stored_cardiograms(ward: Ward, rows: Rows) -> None:
    ward.assign("gw-a/kit")
    ward.look_back()
    taken = critical(Kit("gw-a", "kit"))
    ward.take(taken)
    own = ward.limit(Ecg(codes=("AFIB",), critical=False))
    ward.look_back()
    assert rows("select limit_id, reading_id, cause from watch_alert where cause <> 'arrival'") == [
        (own, taken.env.id, "limits")
    ]


def test_a_fault_in_judging_readings_costs_no_alert_of_a_cardiogram(
    ward: Ward, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")

    def stumble(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(watch.Watch, "_looking_back", stumble)
    reading, ecg = Kit("gw-a", "cuff").pressure(0, "170"), critical(Kit("gw-b", "cart"))
    ward.take(reading, ecg)
    assert rows("select kind from watch_alert") == [("ecg",)]
    assert rows("select count(*) from vital_reading") == [(1,)]
    assert rows("select count(*) > 0 from watch_due") == [(True,)]


def test_a_number_of_thirty_digits_is_an_alert_like_another(ward: Ward) -> None:
    ward.limit(HIGH)
    ward.assign("gw-a/cuff")
    assert sum(ward.take(Kit("gw-a", "cuff").pressure(0, "123456789012345678901234567890.12345")).values()) == 1


def test_what_cannot_be_judged_again_keeps_nobody_waiting(
    ward: Ward, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.assign("gw-a/cuff")
    ward.assign("gw-b/cuff", OTHER)
    ward.take(Kit("gw-a", "cuff").pressure(0, "170"), Kit("gw-b", "cuff").pressure(5, "171"))
    ward.look_back()
    ward.limit(HIGH)
    ward.limit(HIGH, OTHER)
    looked = rejudge._found  # pyright: ignore[reportPrivateUsage] - where one person's value makes it stumble

    def stumble(connection: Any, person: Person, *more: Any) -> Any:
        if person.subject == SUBJECT:
            raise ArithmeticError
        return looked(connection, person, *more)

    monkeypatch.setattr(rejudge, "_found", stumble)
    for _ in range(8):
        ward.rejudge(ward.record)
    assert rows("select distinct subject from watch_alert where kind = 'range'") == [(OTHER,)]
    assert rows("select distinct subject from watch_due") == [(SUBJECT,)]
