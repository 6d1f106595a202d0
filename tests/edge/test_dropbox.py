"""The watched folder: files are taken whole and once, whatever is killed when; what cannot be taken is set aside."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from feldsher_cloud_api import originals as cloud
from feldsher_cloud_api.config import Settings
from feldsher_edge import reader_child
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import Folder
from feldsher_edge.config import Originals as Bounds
from feldsher_edge.dropbox import Dropbox, Entry, Settling
from feldsher_edge.orders import Orders
from feldsher_edge.original import Keep, Kept, Left, Look, Seen
from feldsher_edge.originals import Originals, Trust
from feldsher_edge.outbox import Outbox
from feldsher_edge.reader import Reader
from feldsher_edge.recordings import Recordings
from feldsher_edge.simulate import cart
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.sink import Kept as Memory
from feldsher_edge.store import Store, StoreError
from feldsher_ehr_core import wire
from structlog.testing import capture_logs

AT = datetime(2027, 1, 15, 7, 30)  # noqa: DTZ001 (a device's local time)
KEY = cloud.new_key()
CERTIFICATE = KEY[KEY.index(b"-----BEGIN CERTIFICATE") :].decode()
FILE = cart.written("dicom", cart.recording(), cart.Patient(), AT)
OTHER = cart.written("edf", cart.recording(2), cart.Patient(), AT)
NAMED = b"SECRETOVA_Maria_1964.dcm"


class Near(Reader):
    """A reader without a process of its own, for tests that are not about the process."""

    def __init__(self) -> None:
        super().__init__()
        self._child = reader_child.Reader()

    async def look(self, ask: Look) -> Seen | Left:
        answer = self._child.answer(ask)
        assert isinstance(answer, Seen | Left)
        return answer

    async def keep(self, ask: Keep) -> str | None:
        answer = self._child.answer(ask)
        assert isinstance(answer, Kept)
        return answer.fault


class Bench:
    """A dropbox with everything around it, and time that passes when told."""

    def __init__(self, root: Path, **fields: object) -> None:
        self.folder = root / "in"
        self.folder.mkdir(exist_ok=True)
        self.clock = VirtualClock()
        rng = Random(1)  # noqa: S311 - repeatable on purpose
        self.outbox = Outbox(Store(root / "o"), Envelopes("gw-1", self.clock, rng.randbytes))
        orders = Orders(self.outbox, [], 600, ["cart-1"])
        self.originals = Originals(self.outbox, orders, Recordings(self.outbox, orders, None))
        self.certificate = CERTIFICATE
        it = Folder(device="cart-1", path=self.folder, **fields)  # type: ignore[arg-type]
        self.sink = Memory()
        self.reader: Callable[[], Reader] = Near
        trust = Trust(UTC)
        self.box = Dropbox(it, Bounds(), self.originals, trust, self.clock, lambda: self.certificate, self._new_reader)

    def _new_reader(self) -> Reader:
        return self.reader()

    def put(self, name: bytes | str, raw: bytes = FILE) -> Path:
        path = self.folder / os.fsdecode(name)
        path.write_bytes(raw)
        return path

    async def passes(self, seconds: float = 6.0) -> int:
        """Look, let time pass, look again; return how many files went away."""
        first = await self.box.pass_once(self.sink)
        self.clock.advance(seconds)
        return first + await self.box.pass_once(self.sink)

    def here(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name not in ("done", "quarantine"))

    def inside(self, folder: str) -> list[str]:
        return sorted(path.name for path in (self.folder / folder).iterdir())

    async def sent(self) -> list[wire.EcgRecording]:
        for _ in range(500):  # released by tasks of their own
            if not self.outbox.held():
                break
            await asyncio.sleep(0.01)
        bodies = [self.outbox.body(row.seq) for row in self.outbox.waiting(100)]
        messages = [wire.decode_up(body) for body in bodies if body is not None]
        return [m for m in messages if isinstance(m, wire.EcgRecording)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


async def test_a_file_becomes_a_recording_and_a_sealed_original(bench: Bench, tmp_path: Path) -> None:
    bench.put(NAMED)
    bench.reader = Reader
    with capture_logs() as logs:
        assert await bench.passes() == 1
    (message,) = await bench.sent()
    assert message.origin is not None
    assert bench.here() == []
    (sealed,) = bench.inside("done")
    assert sealed == f"{message.origin.sha256.hex()}.p7m"
    settings = Settings("", state=tmp_path / "cloud")
    settings.secrets.mkdir(parents=True)
    (settings.secrets / "originals.pem").write_bytes(KEY)
    assert cloud.opened(settings, (bench.folder / "done" / sealed).read_bytes()) == FILE
    bench.outbox.store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"SECRETOVA" not in (json.dumps(logs, default=str).encode() + _all_files(tmp_path)).upper()


def _all_files(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


async def test_the_same_file_again_is_removed_and_nothing_else(bench: Bench) -> None:
    for name in ("first.dcm", "again.dcm"):
        bench.put(name)
        assert await bench.passes() == 1
    assert len(await bench.sent()) == 1
    assert len(bench.inside("done")) == 1


async def test_a_file_is_left_while_it_grows(bench: Bench) -> None:
    path = bench.folder / "slow.dcm"
    for k in range(1, 5):
        path.write_bytes(FILE[: len(FILE) * k // 4])
        assert await bench.passes(4.0) == 0
    assert await bench.passes() == 1
    (message,) = await bench.sent()
    assert message.n == 5000


async def test_a_file_that_somebody_has_open_for_writing_is_left_however_still_it_is(bench: Bench) -> None:
    with (bench.folder / "half.dcm").open("wb") as file:
        file.write(FILE[:1000])
        file.flush()
        assert await bench.passes(100) == 0
        assert bench.sink.states[-1].detail == "stays in the folder: 1 (being written)"
        file.write(FILE[1000:])
    assert await bench.passes(100) == 1
    assert bench.sink.states[-1].state == "present"


async def test_unfinished_names_and_hidden_files_are_left_until_they_are_renamed(bench: Bench) -> None:
    path = bench.put("exam.dcm.tmp")
    bench.put(".hidden")
    assert await bench.passes(100) == 0
    path.rename(bench.folder / "exam.dcm")
    assert await bench.passes() == 1
    assert bench.here() == [".hidden"]


async def test_what_cannot_be_read_goes_sealed_into_quarantine_with_the_reason(bench: Bench) -> None:
    bench.put(NAMED, FILE[:5000])
    assert await bench.passes() == 1
    assert bench.here() == []
    sealed, reason = bench.inside("quarantine")
    assert sealed.endswith(".p7m")
    text = (bench.folder / "quarantine" / reason).read_text()
    assert text.startswith("byte ")
    assert "bytes are announced where the file ends" in text
    assert await bench.sent() == []
    (body,) = (bench.outbox.body(row.seq) for row in bench.outbox.waiting(10))
    assert body is not None
    status = wire.decode_up(body)
    assert isinstance(status, wire.DeviceStatus)
    assert status.detail == f"cannot be taken: {text.strip()} (SHA-256 {sealed[:-4]})"


async def test_links_folders_pipes_and_what_is_too_large_or_empty_stay_and_are_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_mb=1)
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(FILE)
    (bench.folder / "link.dcm").symlink_to(outside)
    (bench.folder / "folder.dcm").mkdir()
    os.mkfifo(bench.folder / "pipe.dcm")
    bench.put("empty.dcm", b"")
    with bench.put("huge.dcm", b"").open("r+b") as file:
        file.truncate(5 << 30)
    assert await bench.passes() == 0
    assert bench.sink.states[-1].detail == (
        "stays in the folder: 1 (empty), 1 (too large), 3 (folders, links or other things that are no files)"
    )
    assert len(bench.here()) == 5
    assert outside.read_bytes() == FILE
    bench.outbox.close()


async def test_a_name_that_is_no_text_is_as_good_as_any(bench: Bench) -> None:
    for number, name in enumerate((b"\xff\xfe \xd0.dcm", b"line\nbreak; rm -rf .dcm", b"x" * 255)):
        (bench.folder / os.fsdecode(name)).write_bytes(cart.written("edf", cart.recording(number), cart.Patient(), AT))
    assert await bench.passes() == 3
    assert len(await bench.sent()) == 3


async def test_clock_jumps_change_nothing(bench: Bench) -> None:
    path = bench.put("a.dcm")
    assert await bench.passes(1) == 0
    for years in (-1, 1, 30):
        bench.clock.set_wall(bench.clock.wall_us() + years * 365 * 86_400_000_000)
        assert await bench.box.pass_once(bench.sink) == 0
    os.utime(path, (4e9, 4e9))  # the cart's own clock is of another century
    assert await bench.passes(1) == 0
    assert await bench.passes(5) == 1


async def test_a_folder_that_is_not_there_is_told_and_found_when_it_is(bench: Bench) -> None:
    bench.folder.rename(bench.folder.with_name("gone"))
    assert await bench.passes() == 0
    detail = bench.sink.states[-1].detail
    assert detail == f"the folder {bench.folder} cannot be used: No such file or directory"
    bench.folder.with_name("gone").rename(bench.folder)
    bench.put("a.dcm")
    assert await bench.passes() == 1


async def test_without_a_certificate_nothing_is_taken_and_that_is_told(bench: Bench) -> None:
    bench.put("a.dcm")
    bench.certificate = ""
    assert await bench.passes() == 0
    assert "claim the gateway anew" in (bench.sink.states[-1].detail or "")
    assert bench.here() == ["a.dcm"]


async def test_an_original_that_cannot_be_kept_stays_and_is_delivered_once(bench: Bench) -> None:
    bench.put("a.dcm")
    bench.certificate = "no certificate"
    assert await bench.passes() == 0
    assert "certificate" in (bench.sink.states[-1].detail or "")
    bench.certificate = CERTIFICATE
    assert await bench.passes(100) == 1
    assert len(await bench.sent()) == 1


async def test_a_full_disk_leaves_the_file_until_there_is_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.put("a.dcm")

    def full(*_: object) -> None:
        raise StoreError(28, "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.outbox, "hold", full)
        with pytest.raises(StoreError):
            await bench.passes()
    assert bench.here() == ["a.dcm"]
    assert bench.inside("done") == []
    assert await bench.passes() == 1
    assert len(await bench.sent()) == 1


async def test_a_full_quarantine_takes_no_more_but_good_files_pass(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feldsher_edge.dropbox._MOST_QUARANTINED", 1)
    bench.put("1-bad", b"first")
    bench.put("2-bad", b"second")
    bench.put("3-good")
    assert await bench.passes() == 2
    assert bench.here() == ["2-bad"]
    assert bench.sink.states[-1].detail == "stays in the folder: 1 (the quarantine is full)"


async def test_a_file_that_is_replaced_while_it_is_read_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.put("ecg.dcm")
    take = bench.originals.take

    async def replaced(*arguments: object) -> object:
        await asyncio.to_thread(_replace, path, OTHER)
        return await take(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(bench.originals, "take", replaced)
        await bench.passes()
    (aside,) = bench.here()
    assert aside.startswith("taken-")
    assert await bench.passes() == 1
    assert sorted(m.origin.format for m in await bench.sent() if m.origin) == ["DICOM", "EDF+C"]


def _replace(path: Path, raw: bytes) -> None:
    new = path.with_name("new.tmp")
    new.write_bytes(raw)
    new.rename(path)


class Impatient(Reader):
    """Soon tired of reading, but not of looking at the bytes alone: a child takes its time to start."""

    async def look(self, ask: Look) -> Seen | Left:
        self._timeout_s = 2.0 if ask.parse else 60.0
        return await super().look(ask)


async def test_a_reader_that_hangs_or_dies_sets_the_file_aside(bench: Bench) -> None:
    script = (
        "import sys\nimport feldsher_edge.reader_child as child\n"
        "def hang(raw):\n    import os, time\n    os._exit(1) if raw.startswith(b'die') else time.sleep(60)\n"
        "child.read = hang\nchild.main()"
    )
    command = (sys.executable, "-c", script)
    bench.reader = lambda: Reader(60.0, command)
    bench.put("1", b"die")
    assert await bench.passes() == 1
    bench.reader = lambda: Impatient(2.0, command)
    bench.put("2", b"hang")
    assert await bench.passes() == 1
    reasons = sorted((bench.folder / "quarantine" / n).read_text() for n in bench.inside("quarantine") if ".txt" in n)
    assert reasons == ["file: reading took longer than 2 s\n", "file: the reader crashed (IncompleteReadError)\n"]


async def test_sealed_originals_go_when_their_time_is_over(bench: Bench) -> None:
    bench.put("a.dcm")
    await bench.passes()
    assert len(bench.inside("done")) == 1
    bench.clock.advance(31 * 86_400)
    await bench.box.pass_once(bench.sink)
    assert bench.inside("done") == []
    bench.put("a.dcm")
    await bench.passes()
    assert len(await bench.sent()) == 1


def test_files_that_stand_still_are_ready_and_what_changes_waits_anew() -> None:
    settling = Settling(5.0)
    one, grown = Entry(b"a", (1, 1, 100, 0), True), Entry(b"a", (1, 1, 200, 0), True)
    other = Entry(b"b", (1, 2, 1, 0), True)
    second = 1_000_000_000
    assert settling.ready([one], 0) == []
    assert settling.ready([grown, other], 4 * second) == []
    assert settling.ready([grown, other], 9 * second) == [grown, other]
    settling.leave(grown, "empty", 20 * second)
    assert settling.ready([grown, other], 10 * second) == [other]
    assert settling.left() == {"empty": 1}
    assert settling.ready([grown, other], 21 * second) == [grown, other]
    assert settling.left() == {}


VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_dropbox as t
from feldsher_edge import dropbox
root, step = Path({root!r}), {step}

def deadly(owner, name, when):
    real = getattr(owner, name)
    async def run(*a, **k):
        out = await real(*a, **k)
        die(when)
        return out
    setattr(owner, name, run)

def die(when):
    if step == when:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    bench = t.Bench(root)
    deadly(t.Near, "look", 0)
    deadly(bench.originals, "take", 1)
    deadly(t.Near, "keep", 2)
    real = os.rename
    def rename(a, b):
        real(a, b)
        die(3)
    dropbox.os.rename = rename
    for held in bench.outbox.held():
        bench.originals._recordings.follow(held)
    await bench.passes()
    recordings = await bench.sent()
    print(len(recordings), bench.here(), len(bench.inside("done")))

asyncio.run(main())
"""


async def test_killed_after_each_step_a_file_is_delivered_exactly_once(tmp_path: Path) -> None:
    """Each life is killed one step later than the one before; the last one lives."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(FILE)
    tests = str(Path(__file__).parent)
    for step in (0, 1, 2, 3):
        script = VICTIM.format(tests=tests, root=str(tmp_path), step=step)
        done = await asyncio.to_thread(_run, script)
        assert done.returncode == -9, done.stderr
    done = await asyncio.to_thread(_run, VICTIM.format(tests=tests, root=str(tmp_path), step=9))
    assert done.stdout.splitlines()[-1] == "1 [] 1", done.stderr


def _run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
