"""Which correction of a gateway's clock holds for a message; the store's SQL does the same and has its tests there."""

from __future__ import annotations

from uuid import UUID

import pytest
from feldsher_ehr_core import wire
from feldsher_ingest.clocks import Clocks, base_us

BOOT = UUID(int=1)


def env(mono_s: int, wall_s: int, clock: wire.ClockQuality = "unsynced") -> wire.Envelope:
    return wire.Envelope(
        id=UUID(int=7), gateway="gw", boot=BOOT, seq=1, mono_ns=mono_s * 10**9, wall_us=wall_s * 10**6, offset_min=0,
        clock=clock,
    )  # fmt: skip


def row(mono_s: int, offset_s: int, base_s: int | None) -> tuple[str, UUID, int, int, int | None]:
    return "gw", BOOT, mono_s * 10**9, offset_s * 10**6, None if base_s is None else base_s * 10**6


@pytest.mark.parametrize(
    ("rows", "shift_s"),
    [
        ([], None),
        ([row(20, 500, None)], 500),
        ([row(5, 500, None)], None),  # a step before the message says nothing of it
        ([row(20, 500, None), row(15, 400, None)], 400),
        ([row(20, 500, 1000)], 1000 - (3 - 10)),  # at 10 s of the boot the wall clock showed 3 s
        ([row(5, 500, 1000)], 1000 - (3 - 10)),
        ([row(5, 0, 900), row(20, 0, 1000), row(30, 0, 1100)], 1000 - (3 - 10)),
        ([row(2, 0, 800), row(5, 0, 900)], 900 - (3 - 10)),
        ([row(11, 5, None), row(20, 0, 1000)], 1000 - (3 - 10)),
    ],
)
def test_the_correction_of_a_message(rows: list[tuple[str, UUID, int, int, int | None]], shift_s: int | None) -> None:
    found = Clocks(rows).shift(env(mono_s=10, wall_s=3))
    assert found == (None if shift_s is None else shift_s * 10**6)


def test_a_synced_clock_and_another_boot_are_not_corrected() -> None:
    known = Clocks([row(20, 500, 1000)])
    assert known.shift(env(10, 3, "synced")) is None
    assert Clocks([("gw", UUID(int=2), 20, 5, 9)]).shift(env(10, 3)) is None
    assert base_us(env(10, 3, "synced")) is None
    assert base_us(env(10, 3, "holdover")) == -7_000_000
