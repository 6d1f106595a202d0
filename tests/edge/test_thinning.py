"""Thinning against its description: whole readings remain, one a minute and device, as they were sent."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from statistics import median_low
from uuid import UUID

import msgspec
from feldsher_edge.thinning import thin
from feldsher_ehr_core import wire
from hypothesis import given
from hypothesis import strategies as st

MINUTE_US = 60_000_000
START_US = 30_000_000 * MINUTE_US


def ids() -> Callable[[int], UUID]:
    numbers = count(1_000_000)
    return lambda _wall_us: UUID(int=next(numbers))


def batch(second: int, values: list[str | None], device: str = "oxi", step_us: int = 0) -> wire.VitalsBatch:
    """One reading of two values (the second is a pulse of 70) a second from `second` on, made after the last."""
    n = len(values)
    wall_us = START_US + (second + n) * 1_000_000
    env = wire.Envelope(
        id=UUID(int=second + 1), gateway="gw-1", boot=UUID(int=9), seq=second, mono_ns=(wall_us - step_us) * 1000,
        wall_us=wall_us, offset_min=180, clock="synced",
    )  # fmt: skip
    each = [(UUID(int=(second + i + 1) * 1000 + len(device)), START_US + (second + i) * 1_000_000) for i in range(n)]
    return wire.VitalsBatch(
        env=env,
        device=device,
        model="m",
        reading=tuple(r for r, _ in each for _ in range(2)),
        code=(150456, 149530) * n,
        value=tuple(v for value in values for v in (value, "70")),
        absent=tuple(a for value in values for a in ("nan" if value is None else None, None)),
        unit=("%", "/min") * n,
        sent_at=(None,) * 2 * n,
        time_us=tuple(at for _, at in each for _ in range(2)),
        received_us=tuple(at for _, at in each for _ in range(2)),
        user=(None,) * 2 * n,
        status=(0,) * 2 * n,
        raw=tuple(b"raw-%d" % (second + i) for i in range(n)),
    )


def readings(*batches: wire.VitalsBatch) -> dict[UUID, list[tuple[object, ...]]]:
    found: dict[UUID, list[tuple[object, ...]]] = {}
    for b in batches:
        for row in zip(b.reading, b.code, b.value, b.absent, b.unit, b.time_us, b.received_us, b.status, strict=True):
            found.setdefault(row[0], []).append(row)
    return found


def test_an_hour_at_one_a_second_becomes_sixty_readings_in_one_message() -> None:
    batches = [batch(s, [str(90 + s % 7)] * 10) for s in range(0, 3600, 10)]
    (done,) = thin(batches, ids())
    assert done.of == tuple(range(360))
    assert done.removed == 3600 - 60
    assert len(readings(done.message)) == 60
    assert [t // MINUTE_US for t in done.message.received_us[::2]] == list(range(30_000_000, 30_000_060))
    assert wire.decode_up(wire.encode(done.message)) == done.message
    assert len(wire.encode(done.message)) < sum(len(wire.encode(b)) for b in batches) / 30


def test_the_minutes_middle_reading_remains_with_its_bytes() -> None:
    (done,) = thin([batch(0, ["97", None, "99", "61", "98"])], ids())
    assert done.message.value == ("97", "70")  # the lower middle of 61 97 98 99
    assert done.message.raw == (b"raw-0",)
    assert done.removed == 4


def test_a_minute_without_any_number_keeps_its_first_reading() -> None:
    (done,) = thin([batch(0, [None, None])], ids())
    assert (done.message.absent, done.message.raw) == (("nan", None), (b"raw-0",))


def test_a_joined_message_has_an_id_of_its_own() -> None:
    """The cloud may hold one of the joined messages: under its id the others would be taken for a repeat."""
    batches = [batch(0, ["97"] * 10), batch(10, ["97"] * 10)]
    (done,) = thin(batches, ids())
    assert done.message.env.id not in {b.env.id for b in batches}
    assert done.message.env == msgspec.structs.replace(batches[1].env, id=done.message.env.id)


def test_devices_and_clocks_are_kept_apart() -> None:
    year_us = 365 * 86_400_000_000
    batches = [batch(0, ["97"]), batch(1, ["98"], "belt"), batch(2, ["97"]), batch(3, ["97"], step_us=year_us)]
    assert [t.of for t in thin(batches, ids())] == [(0, 2), (1,), (3,)]


@given(
    st.lists(
        st.tuples(st.sampled_from(("a", "bb")), st.lists(st.one_of(st.none(), st.integers(0, 300)), max_size=40)),
        max_size=12,
    )
)
def test_what_remains_is_one_whole_reading_a_minute_and_device(parts: list[tuple[str, list[int | None]]]) -> None:
    second, batches = 0, list[wire.VitalsBatch]()
    for device, values in parts:
        batches.append(batch(second, [None if v is None else str(v) for v in values], device))
        second += len(values)
    done = thin(batches, ids())
    assert sorted(i for t in done for i in t.of) == list(range(len(batches)))
    before, after = readings(*batches), readings(*(t.message for t in done))
    assert after.items() <= before.items()
    assert sum(t.removed for t in done) == len(before) - len(after)
    for device in ("a", "bb"):
        mine = [b for b in batches if b.device == device]
        minutes: dict[int, list[int | None]] = {}
        for b in mine:
            for at, value in zip(b.received_us[::2], b.value[::2], strict=True):
                minutes.setdefault(at // MINUTE_US, []).append(None if value is None else int(value))
        kept = [t.message for t in done if t.message.device == device]
        found = {at // MINUTE_US: v for m in kept for at, v in zip(m.received_us[::2], m.value[::2], strict=True)}
        assert found.keys() == minutes.keys()
        for minute, values in minutes.items():
            numbers = [v for v in values if v is not None]
            assert found[minute] == (str(median_low(numbers)) if numbers else None)
