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
