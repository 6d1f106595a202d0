"""What drivers deliver becomes messages, committed before the call returns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.devices import EcgResult, Identity, Reading, ReadingSet, Status, Value
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.sink import GatewaySink, Sources
from feldsher_edge.store import Store
from feldsher_ehr_core import wire
from feldsher_ingest.check import Checked, check

SYSTOLIC = Value(150021, Decimal("1.2E+2"), "mm[Hg]")
AT = datetime(2027, 1, 15, 11, 0)  # noqa: DTZ001 - a device's local time as sent


class Rig:
    """A sink on an outbox, and what came out of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        rng = Random(1)  # noqa: S311 - repeatable on purpose
        self.outbox = Outbox(Store(folder / "o"), Envelopes("gw-1", self.clock, rng.randbytes))
        self.sources = Sources(self.clock.mono_ns)
        self.kept: list[EcgResult] = []
        self.sink = GatewaySink(self.outbox, self.sources, ZoneInfo("Europe/Moscow"), self.kept.append, lambda _: None)

    def messages(self) -> list[wire.UpMessage]:
        bodies = [self.outbox.body(row.seq) for row in self.outbox.waiting(1000)]
        return [wire.decode_up(body) for body in bodies if body is not None]

    def batch(self, *readings: Reading) -> wire.VitalsBatch:
        self.sink.readings(ReadingSet("AA:BB", None, readings))
        return [m for m in self.messages() if isinstance(m, wire.VitalsBatch)][-1]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.outbox.close()


def test_the_key_time_is_the_devices_time_in_the_gateways_zone(rig: Rig) -> None:
    batch = rig.batch(Reading((SYSTOLIC,), received_us=99, sent_at=AT, raw=b"r"))
    assert batch.time_us == (1_800_000_000_000_000,)  # 08:00 UTC is 11:00 in Moscow
    assert batch.received_us == (99,)


def test_without_a_device_clock_the_key_time_is_the_receiving_time(rig: Rig) -> None:
    batch = rig.batch(Reading((SYSTOLIC,), received_us=99))
    assert (batch.time_us, batch.sent_at) == ((99,), (None,))


def test_values_are_decimal_text_without_exponent(rig: Rig) -> None:
    assert rig.batch(Reading((SYSTOLIC,), received_us=1)).value == ("120",)
    assert rig.batch(Reading((Value(1, Decimal("36.60"), "Cel"),), received_us=1)).value == ("36.60",)


def test_a_repeat_has_the_same_reading_id_and_another_reading_another(rig: Rig) -> None:
    first = Reading((SYSTOLIC,), received_us=1, sent_at=AT, user=1)
    again = Reading((SYSTOLIC,), received_us=2, sent_at=AT, user=1)
    ids = {
        name: rig.batch(reading).reading[0]
        for name, reading in {
            "first": first,
            "again": again,
            "later": Reading((SYSTOLIC,), received_us=1, sent_at=AT + timedelta(seconds=1), user=1),
            "other user": Reading((SYSTOLIC,), received_us=1, sent_at=AT, user=2),
            "absent": Reading((Value(150021, "nan", "mm[Hg]"),), received_us=1, sent_at=AT, user=1),
            "no clock": Reading((SYSTOLIC,), received_us=1),
            "no clock, later": Reading((SYSTOLIC,), received_us=2),
            "no clock, counted": Reading((SYSTOLIC,), received_us=3, sequence=7),
        }.items()
    }
    assert ids.pop("first") == ids.pop("again")
    assert len(set(ids.values())) == len(ids)


def test_a_reading_brought_twice_in_one_session_goes_out_once_and_is_stored(rig: Rig) -> None:
    first = Reading((SYSTOLIC, Value(150022, Decimal(80), "mm[Hg]")), received_us=1, sent_at=AT, raw=b"1")
    again = Reading(first.values, received_us=2, sent_at=AT, raw=b"2")
    later = Reading((SYSTOLIC,), received_us=3, sent_at=AT + timedelta(seconds=1), raw=b"3")
    batch = rig.batch(first, again, later)
    assert (len(batch.reading), len(set(batch.reading))) == (3, 2)
    assert (batch.raw, batch.received_us) == ((b"1", b"3"), (1, 1, 3))
    assert isinstance(check(wire.up_topic("gw-1", "vitals"), wire.encode(batch)), Checked)


def test_many_stored_readings_are_divided(rig: Rig) -> None:
    many = tuple(Reading((SYSTOLIC,), received_us=i, sent_at=AT + timedelta(minutes=i)) for i in range(450))
    rig.sink.readings(ReadingSet("AA:BB", "m", many))
    sizes = [len(m.reading) for m in rig.messages() if isinstance(m, wire.VitalsBatch)]
    assert sizes == [200, 200, 50]


def test_what_cannot_be_parsed_is_kept_with_its_bytes(rig: Rig) -> None:
    rig.sink.unreadable("AA:BB", b"\x01\xff", "flags: reserved bit set")
    (message,) = rig.messages()
    assert isinstance(message, wire.DeviceStatus)
    assert (message.device, message.state) == ("AA:BB", "fault")
    assert message.detail == "unreadable 01ff: flags: reserved bit set"


def test_a_state_is_published_once_until_it_changes(rig: Rig) -> None:
    present = Status("kit-1", "present", identity=Identity("kit", firmware="1"), battery=80)
    for status in (present, present, Status("kit-1", "absent", detail="unplugged"), present):
        rig.sink.status(status)
    told = [(m.state, m.battery, m.firmware) for m in rig.messages() if isinstance(m, wire.DeviceStatus)]
    assert told == [("present", 80, "1"), ("absent", None, None), ("present", 80, "1")]


def test_a_recording_of_the_device_itself_is_handed_on(rig: Rig) -> None:
    result = EcgResult("kit-1", ("I",), 500.0, np.zeros((1, 10), np.int32), (1.0,), 0, 20_000)
    rig.sink.recorded(result)
    assert rig.kept == [result]


def test_liveness_is_per_source(rig: Rig) -> None:
    rig.sink.status(Status("kit-1", "present"))
    rig.clock.advance(30)
    rig.batch(Reading((SYSTOLIC,), received_us=1))
    rig.sink.status(Status("kit-2", "absent"))
    rig.clock.advance(5)
    assert rig.sources.ages_s() == {"kit-1": 35.0, "AA:BB": 5.0}
    assert rig.sources.states() == {"kit-1": "present", "AA:BB": "present", "kit-2": "absent"}
