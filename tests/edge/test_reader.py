"""The reading child as a process: it answers or dies without taking anything along, and its memory is bounded."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest
from feldsher_edge.original import Keep, Left, Look, Seen
from feldsher_edge.original_read import MOST_MEMORY
from feldsher_edge.reader import Reader, ReaderError
from feldsher_edge.simulate import cart

FILE = cart.written("edf", cart.recording(), cart.Patient(), datetime(2027, 1, 15))  # noqa: DTZ001 (local time)


async def test_files_are_read_one_after_another_by_one_child(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(FILE)
    async with Reader() as reader:
        first, seen = [await reader.look(Look(bytes(path), 1 << 20)) for _ in range(2)]
        assert isinstance(seen, Seen)
        assert seen == first
        assert seen.recording is not None
        assert seen.recording.n == 5000
        assert await reader.look(Look(bytes(tmp_path / "none"), 1 << 20)) == Left("gone")
        assert await reader.look(Look(bytes(path), 1000)) == Left("too large")
        unread = await reader.look(Look(bytes(path), 1 << 20, parse=False))
        assert isinstance(unread, Seen)
        assert (unread.sha256, unread.recording) == (seen.sha256, None)


async def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FILE)
    async with Reader() as reader:
        await reader.look(Look(bytes(tmp_path / "a"), 1 << 20))
        fault = await reader.keep(Keep(bytes(tmp_path / "done"), "no certificate"))
        assert fault is not None
        assert fault.startswith("the certificate for originals cannot be used")


async def test_a_dead_child_is_told_and_the_next_request_has_another(tmp_path: Path) -> None:
    marker = tmp_path / "died"
    script = (
        f"import pathlib, os\nmarker = pathlib.Path({str(marker)!r})\n"
        "if not marker.exists():\n    marker.touch(); os._exit(3)\n"
        "from feldsher_edge.reader_child import main\nmain()"
    )
    (tmp_path / "a").write_bytes(FILE)
    async with Reader(command=(sys.executable, "-c", script)) as reader:
        with pytest.raises(ReaderError, match="crashed"):
            await reader.look(Look(bytes(tmp_path / "a"), 1 << 20))
        assert isinstance(await reader.look(Look(bytes(tmp_path / "a"), 1 << 20)), Seen)


async def test_a_file_that_needs_too_much_memory_is_a_fault_of_the_file(tmp_path: Path) -> None:
    script = (
        "import feldsher_edge.original_read as it, feldsher_edge.reader_child as child\n"
        "it._load = lambda raw: bytearray(2 << 30)\nchild.main()"
    )
    (tmp_path / "a").write_bytes(FILE)
    async with Reader(command=(sys.executable, "-c", script)) as reader:
        seen = await reader.look(Look(bytes(tmp_path / "a"), 1 << 20))
    assert isinstance(seen, Seen)
    assert seen.fault == f"file: needs more memory than {MOST_MEMORY >> 20} MB"


_FOUR_MB = 4 << 20
_ROOM_MB = 160
"""What the reader has loaded and the largest file that is taken, several times over; never the 2 GB of the claims."""


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "b">]><AnnotatedECG xmlns="urn:hl7-org:v3">&b;'
            b"</AnnotatedECG>",
            "entit",
        ),
        (b'<AnnotatedECG xmlns="urn:hl7-org:v3">' + b"<a>" * (_FOUR_MB // 3), "levels"),
        (b"I (mV),II (mV)\n" + b"1,2\n" * (_FOUR_MB // 4), "sampling rate"),
        (
            bytes(128)
            + b"DICM"
            + b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
            + b"\x00\x54\x00\x01OB\x00\x00\xff\xff\xff\x7f",
            "",
        ),
        (b"0       " + b" " * 228 + b"99999999" + b"1       " + b"9999", "byte"),
        (b"\xff" * _FOUR_MB, "no format"),
    ],
)
async def test_hostile_files_end_in_a_reason_and_little_memory(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(raw)
    async with Reader() as reader:
        seen = await reader.look(Look(bytes(path), 8 << 20))
        assert isinstance(seen, Seen)
        assert seen.recording is None
        assert said in (seen.fault or "")
        assert reader.pid is not None
        assert _peak_mb(reader.pid) < _ROOM_MB


def _peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10
