"""A real file system that fills up: a small tmpfs, where this user may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.outbox import Outbox
from feldsher_edge.room import Priority
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store, StoreError
from feldsher_ehr_core import wire

SIZE = 6_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "feldsher-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode:
        pytest.skip(f"NO FULL FILE SYSTEM TESTED: no tmpfs can be mounted here ({done.stderr if done else 'not root'})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def open_outbox(path: Path) -> Outbox:
    return Outbox(Store(path), Envelopes("gw-1", VirtualClock(), Random(os.getpid()).randbytes))  # noqa: S311


def put(outbox: Outbox, detail: str, priority: Priority = Priority.VITALS) -> UUID:
    return outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail), priority)


def fill(outbox: Outbox, size: int) -> list[UUID]:
    ids: list[UUID] = []
    while len(ids) * size < 2 * SIZE:
        try:
            ids.append(put(outbox, "x" * size))
        except StoreError:
            return ids
    raise AssertionError("the disk never filled")


def test_a_file_system_that_fills_up_costs_nothing_committed(small_disk: Path) -> None:
    outbox = open_outbox(small_disk / "o")
    ids = fill(outbox, 20_000) + fill(outbox, 500) + fill(outbox, 10)
    for _ in range(3):
        with pytest.raises(StoreError):
            put(outbox, "x" * 20_000)
    assert [row.id for row in outbox.waiting(10_000)] == ids
    outbox.close()
    again = open_outbox(small_disk / "o")  # also a start works on the full disk
    assert [row.id for row in again.waiting(10_000)] == ids
    assert again.store.aside is None
    again.close()


def test_receipts_make_room_on_a_full_file_system(small_disk: Path) -> None:
    """What would keep a full gateway full for ever: that the very receipt needs space."""
    outbox = open_outbox(small_disk / "o")
    ids = fill(outbox, 20_000) + fill(outbox, 500) + fill(outbox, 10)
    released = outbox.receipt(ids, ("stored",) * len(ids))
    assert released == len(ids)
    later = [put(outbox, "x" * 20_000) for _ in range(20)]
    assert [row.id for row in outbox.waiting(10_000)] == later
    outbox.close()


def test_an_ecg_finds_room_on_a_disk_full_of_monitoring(small_disk: Path) -> None:
    outbox = open_outbox(small_disk / "o")
    for i in range(2 * SIZE // 5_000):
        put(outbox, f"{i}" + "x" * 5_000, Priority.CONTINUOUS)
    ecgs = [put(outbox, "ecg" + "x" * 40_000, Priority.ECG) for _ in range(10)]
    assert {row.id for row in outbox.waiting(10_000) if row.rank == Priority.ECG} == set(ecgs)
    assert outbox.counts().dropped > 0
    outbox.close()
