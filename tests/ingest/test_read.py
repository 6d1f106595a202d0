"""What the cloud reads is what the gateway sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import psycopg
import pytest
from feldsher_ehr_core import ecg, wire
from feldsher_ingest import read
from feldsher_ingest.check import Checked, check
from feldsher_ingest.simulate import START_US, SimulatedGateway
from feldsher_ingest.store import Store
from feldsher_signal import codec

INTERPRETATION = ecg.Interpretation(
    engine="feldsher 0.1.0",
    fs=500.0,
    leads=("L0",),
    samples=500,
    quality=ecg.Quality(usable=True, leads={"L0": ecg.LeadQuality(True)}),
    beats=(ecg.Beat(2, "N"),),
    waves=(ecg.Wave(0, "global", qrs_on=1, r=2, qrs_off=3),),
    rhythm=(ecg.RhythmSpan(0, 4, "SR"),),
    measurements=ecg.Measurements(rate=71.5, qrs=1 / 3),
    statements=(ecg.Statement("SR", "Sinus rhythm", "definite", ("rate 71.5/min",)),),
    scores={"SR": 0.1 + 0.2},
    conclusion="Sinus rhythm.",
)


@pytest.fixture
def connection(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url) as opened:
        yield opened


def save(store_url: str, *messages: wire.EcgRecording | wire.VitalsBatch) -> None:
    with Store(store_url, "filler") as store:
        items = [check(wire.up_topic(m.env.gateway, str(m.__struct_config__.tag)), wire.encode(m)) for m in messages]
        assert set(store.save(items)[0].states) == {"stored"}


def test_a_recording_comes_back_whole(store_url: str, connection: psycopg.Connection[Any]) -> None:
    order = UUID(int=5)
    sent = msgspec.structs.replace(
        SimulatedGateway("gw-a", 1).recording(leads=1, seconds=1),
        order=order,
        subject=ecg.Subject(61, "female"),
        interpretation=INTERPRETATION,
        lead_off=("L0",),
        clock_ratio=1.00001,
    )
    save(store_url, sent)
    found = read.recording(connection, sent.env.id)
    assert found is not None
    assert np.array_equal(found.recording.samples, codec.decode(sent.samples, 1, 500))
    assert (found.recording.leads, found.recording.fs, found.recording.uv_per_bit) == (("L0",), 500.0, (4.88,))
    assert (found.order, found.subject, found.interpretation) == (order, sent.subject, INTERPRETATION)
    assert (found.gateway, found.device, found.lead_off, found.clock_ratio) == ("gw-a", sent.device, ("L0",), 1.00001)
    assert found.started_at == found.taken_at == datetime.fromtimestamp(sent.started_us / 1e6, UTC)
    assert found.sha256 == sent.sha256


def test_a_recording_without_interpretation(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = msgspec.structs.replace(SimulatedGateway("gw-a", 1).recording(seconds=1), not_interpreted="child died")
    save(store_url, sent)
    found = read.recording(connection, sent.env.id)
    assert found is not None
    assert (found.interpretation, found.not_interpreted, found.subject, found.order) == (None, "child died", None, None)


def test_no_recording_is_none(connection: psycopg.Connection[Any]) -> None:
    assert read.recording(connection, UUID(int=1)) is None


def test_damage_on_disk_is_found(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = SimulatedGateway("gw-a", 1).recording(seconds=1)
    save(store_url, sent)
    connection.execute("update ecg_recording set sha256 = %s", [bytes(32)])
    with pytest.raises(read.DamagedError, match=str(sent.env.id)):
        read.recording(connection, sent.env.id)


def test_readings_by_id(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = msgspec.structs.replace(
        SimulatedGateway("gw-a", 1).pressure(), value=("120.10", None, "90", "70"), absent=(None, "nan", None, None)
    )
    save(store_url, sent, SimulatedGateway("gw-b", 1).pressure())
    found = read.readings(connection, [sent.reading[0]])
    by_code = {vital.code: vital for vital in found}
    assert set(by_code) == set(sent.code)
    assert str(by_code[sent.code[0]].value) == "120.10"
    assert (by_code[sent.code[1]].value, by_code[sent.code[1]].absent) == (None, "nan")
    assert (found[0].gateway, found[0].message_id, found[0].user_no) == ("gw-a", sent.env.id, 1)
    assert read.readings(connection, []) == []


def test_the_event_tells_where_in_time_its_readings_are(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = SimulatedGateway("gw-a", 1).pressure(3)
    save(store_url, sent)
    row = connection.execute("select body -> 'readings', body -> 'key_us' from event").fetchone()
    assert row is not None
    ids, (first, last) = [UUID(i) for i in row[0]], row[1]
    assert last - first == 2_000_000
    assert read.readings(connection, ids, (first, last)) == read.readings(connection, ids)
    assert {v.reading_id for v in read.readings(connection, ids, (first + 1, last))} == set(sent.reading[4:])


def test_what_a_clock_set_later_corrected_is_found_by_its_boot(
    store_url: str, connection: psycopg.Connection[Any]
) -> None:
    made, right = SimulatedGateway("gw-a", 1, clock="unsynced"), SimulatedGateway("gw-a", 2)
    wrong = made.pressure(2, clocked=False)
    with Store(store_url, "filler") as store:
        for message in (wrong, right.pressure(device="other")):
            store.save([Checked("", b"", message)])
        assert read.corrected(connection, "gw-a", wrong.env.boot) == []
        store.save([Checked("", b"", wire.ClockOffset(env=made.envelope(), offset_us=90_000_000, source="ntp"))])
    connection.rollback()
    found = read.corrected(connection, "gw-a", wrong.env.boot)
    assert found == read.readings(connection, wrong.reading)
    assert {v.taken_at - v.time for v in found} == {timedelta(seconds=90)}
    assert read.corrected(connection, "gw-a", UUID(int=1)) == []
    connection.execute("update message set key_from = null, key_to = null")  # as earlier versions stored it
    assert read.corrected(connection, "gw-a", wrong.env.boot) == found


def test_a_range_may_be_all_of_time(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = SimulatedGateway("gw-a", 1).pressure()
    save(store_url, sent)
    all_time = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert len(read.vitals_range(connection, [sent.device], *all_time)) == 4
    assert len(read.trend(connection, [sent.device], sent.code[0], *all_time)) == 1


def test_range_is_half_open_and_filters_by_device_and_code(store_url: str, connection: psycopg.Connection[Any]) -> None:
    made = SimulatedGateway("gw-a", 1)
    batches = [made.pressure() for _ in range(3)]
    save(store_url, *batches, SimulatedGateway("gw-b", 1).pressure())
    times = [datetime.fromtimestamp(b.time_us[0] / 1e6, UTC) for b in batches]
    device = batches[0].device
    assert len(read.vitals_range(connection, [device], times[0], times[2])) == 8
    assert len(read.vitals_range(connection, [device], times[0], times[2] + timedelta(seconds=1))) == 12
    only = read.vitals_range(connection, [device, "cuff-gw-b"], times[0], times[2], codes=[150021])
    assert [vital.code for vital in only] == [150021] * len(only)
    assert len(read.vitals_range(connection, [device], times[0], times[2], limit=3)) == 3
    assert read.vitals_range(connection, ["another"], times[0], times[2]) == []


def test_latest(store_url: str, connection: psycopg.Connection[Any]) -> None:
    made = SimulatedGateway("gw-a", 1)
    save(store_url, *[made.pressure() for _ in range(3)], last := made.pressure())
    found = read.latest(connection, last.device)
    assert {vital.code: vital.value for vital in found} == {
        code: Decimal(str(value)) for code, value in zip(last.code, last.value, strict=True)
    }
    assert found[0].time == datetime.fromtimestamp((START_US + 4_000_000) / 1e6, UTC)


def test_the_clouds_worker_may_read_and_not_write(store_url: str, connection: psycopg.Connection[Any]) -> None:
    sent = SimulatedGateway("gw-a", 1).recording(seconds=1)
    save(store_url, sent)
    connection.execute("set role feldsher_worker")
    assert read.recording(connection, sent.env.id) is not None
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from ecg_recording")


def test_where_a_recording_came_from_comes_back(store_url: str, connection: psycopg.Connection[Any]) -> None:
    origin = wire.Origin(
        "dicom", "DICOM", bytes(range(32)), 123_272, START_US, "2026-11-23T12:00:05", "Virtual", "Cart 1", "42", (1, 2),
        ("it names order K7QX3M9P, which is for another cardiograph",),
    )  # fmt: skip
    sent = msgspec.structs.replace(SimulatedGateway("gw-a", 1).recording(seconds=1), origin=origin)
    own = SimulatedGateway("gw-b", 1).recording(seconds=1)
    save(store_url, sent, own)
    found = [read.recording(connection, message.env.id) for message in (sent, own)]
    assert [it.origin for it in found if it] == [origin, None]
