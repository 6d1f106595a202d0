"""The database file: one process at a time, damage moved aside and kept, power cuts at any byte."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from feldsher_edge.clock import Envelopes
from feldsher_edge.outbox import Outbox
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.store import Store, StoreError, check
from feldsher_ehr_core import wire


def open_outbox(path: Path, seed: int = 1) -> Outbox:
    return Outbox(Store(path), Envelopes("gw-1", VirtualClock(), Random(seed).randbytes))  # noqa: S311 - repeatable


def put(outbox: Outbox, detail: str) -> None:
    outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail))


def details(outbox: Outbox) -> list[str | None]:
    bodies = [outbox.body(row.seq) for row in outbox.waiting(100_000)]
    messages = [wire.decode_up(body) for body in bodies if body is not None]
    return [m.detail for m in messages if isinstance(m, wire.DeviceStatus)]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    first = Store(tmp_path / "o")
    with pytest.raises(StoreError, match="another feldsher-edge"):
        Store(tmp_path / "o")
    first.close()
    Store(tmp_path / "o").close()


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "o")
    assert (tmp_path / "o").stat().st_mode & 0o077 == 0
    store.close()


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "o")

    def fail() -> None:
        with store.transaction():
            store.run("INSERT INTO fact VALUES ('a', 'b')")
            with store.transaction():
                store.run("INSERT INTO fact VALUES ('c', 'd')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.rows("SELECT * FROM fact") == []
    store.close()


def write(store: Store, name: str) -> None:
    with store.transaction():
        store.run("INSERT INTO fact VALUES (?, zeroblob(200000))", (name,))


def test_a_disk_that_fails_to_write_is_an_error_that_passes(tmp_path: Path, file_limit: Callable[[int], None]) -> None:
    store = Store(tmp_path / "o")
    write(store, "before")
    file_limit((tmp_path / "o-wal").stat().st_size + 100_000)
    with pytest.raises(StoreError, match="SQLITE_IOERR_WRITE") as found:
        write(store, "lost")
    assert found.value.errno == errno.EIO
    file_limit(resource.RLIM_INFINITY)
    write(store, "after")
    assert store.rows("SELECT name FROM fact ORDER BY name") == [("after",), ("before",)]
    store.close()


def test_a_disk_that_becomes_read_only_is_an_error_that_passes(tmp_path: Path) -> None:
    store = Store(tmp_path / "o")
    store.run("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="SQLITE_READONLY") as found:
        write(store, "lost")
    assert found.value.errno == errno.EROFS
    store.run("PRAGMA query_only = 0")
    write(store, "after")
    assert store.rows("SELECT name FROM fact") == [("after",)]
    store.close()


def test_a_file_that_another_holds_is_an_error_that_passes(tmp_path: Path) -> None:
    store = Store(tmp_path / "o")
    store.run("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(tmp_path / "o", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="SQLITE_BUSY") as found:
        write(store, "lost")
    assert found.value.errno == errno.EBUSY
    other.execute("ROLLBACK")
    other.close()
    write(store, "after")
    assert store.rows("SELECT name FROM fact") == [("after",)]
    store.close()


def test_a_mistake_in_a_statement_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "o")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        store.run("INSERT INTO nowhere VALUES (1)")
    store.close()


def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path / "o").close()
    with sqlite3.connect(tmp_path / "o") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer program"):
        Store(tmp_path / "o")
    assert check(tmp_path / "o") is None


def test_a_damaged_file_is_kept_and_what_is_readable_carried_over(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path / "o")
    for i in range(400):
        put(outbox, f"{i} " + "x" * 500)
    last = outbox.waiting(10_000)[-1].seq
    outbox.close()
    content = bytearray((tmp_path / "o").read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    # four pages in a row: whatever tables there are beside the messages, some of these are messages
    content[middle : middle + 16_384] = Random(1).randbytes(16_384)  # noqa: S311 - repeatable on purpose
    (tmp_path / "o").write_bytes(content)
    assert check(tmp_path / "o") is not None

    again = open_outbox(tmp_path / "o", seed=2)
    assert again.store.aside is not None
    assert again.store.aside.read_bytes() == bytes(content)
    carried = details(again)
    assert 300 <= len(carried) < 400
    assert again.store.salvaged == len(carried) + 1  # and the fact which boot it was
    gaps = [r for r in again.waiting(10_000) if r.kind == "gap"]
    assert len(gaps) == 1
    assert min(r.seq for r in gaps) > last  # numbers go on above all that may have been given out
    again.close()
    third = open_outbox(tmp_path / "o", seed=3)  # and the new file is sound
    assert third.store.aside is None
    third.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 300, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_of_rubbish_is_kept_and_work_goes_on(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o").write_bytes(content)
    outbox = open_outbox(tmp_path / "o")
    put(outbox, "new")
    assert "new" in details(outbox)
    if content:
        assert next(tmp_path.glob("o.corrupt-*")).read_bytes() == content
    outbox.close()


WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from feldsher_edge.clock import Envelopes, SystemClock
    from feldsher_edge.outbox import Outbox
    from feldsher_edge.store import Store
    from feldsher_ehr_core import wire
    outbox = Outbox(Store(Path(sys.argv[1])), Envelopes("gw-1", SystemClock()))
    for i in range(10**9):
        detail = f"{i} " + "x" * (i % 3000)
        outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail=detail))
        if i % 7 == 0:
            outbox.receipt([outbox.waiting(1)[0].id], ["stored"])
        print(i, flush=True)
    """
)


def numbers(outbox: Outbox) -> list[int]:
    rows = outbox.store.rows("SELECT body FROM message ORDER BY seq")
    messages = [wire.decode_up(row[0]) for row in rows]
    return [int(str(m.detail).split()[0]) for m in messages if isinstance(m, wire.DeviceStatus)]


def test_copies_taken_in_the_middle_of_writing_hold_everything_committed(tmp_path: Path) -> None:
    """A stopped process and a copy of its files are what a power cut leaves: nothing committed may be missing."""
    rng = Random(5)  # noqa: S311 - repeatable on purpose
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "o")], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        committed = -1
        for cut in range(8):
            for _ in range(rng.randrange(20, 120)):
                committed = int(writer.stdout.readline())
            writer.send_signal(signal.SIGSTOP)
            copy = tmp_path / f"cut-{cut}"
            copy.mkdir()
            for name in ("o", "o-wal"):
                shutil.copy(tmp_path / name, copy / name)
            writer.send_signal(signal.SIGCONT)
            cut_off = open_outbox(copy / "o")
            found = numbers(cut_off)
            assert cut_off.store.aside is None
            assert found == list(range(len(found)))
            assert len(found) > committed
            cut_off.close()
        writer.kill()


def test_a_torn_write_at_any_byte_leaves_a_sound_beginning(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path / "o")
    for i in range(40):
        put(outbox, f"{i} " + "x" * 700)
    for name in ("o", "o-wal"):
        shutil.copy(tmp_path / name, tmp_path / f"copy-{name}")
    outbox.close()
    whole = (tmp_path / "copy-o-wal").read_bytes()
    assert len(whole) > 50_000
    lengths: list[int] = []
    for n in sorted(Random(2).sample(range(len(whole)), 25)):  # noqa: S311 - repeatable on purpose
        folder = tmp_path / f"torn-{n}"
        folder.mkdir()
        shutil.copy(tmp_path / "copy-o", folder / "o")
        (folder / "o-wal").write_bytes(whole[:n] + os.urandom(min(512, len(whole) - n)))
        torn = open_outbox(folder / "o")
        found = numbers(torn)
        assert found == list(range(len(found)))
        lengths.append(len(found))
        torn.close()
    assert lengths == sorted(lengths)
    assert lengths[-1] > 20


OLD_SCHEMA = Path(__file__).with_name("data") / "outbox_1.sql"


def write_version_1(path: Path) -> None:
    """Write a file as the first version left it: an ECG and an order of class A, vital signs of B, telemetry of C."""
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD_SCHEMA.read_text())
        connection.execute("PRAGMA user_version = 1")
        rows = [("ecg", 0, 0, 0), ("order", 0, 0, 0), ("vitals", 1, 11, 0), ("device", 2, 2, 0), ("vitals", 1, 1, 1)]
        for n, (kind, cls, rank, state) in enumerate(rows):
            columns = "id, kind, class, rank, state, made_us, up_s, size, body"
            values = (bytes([n]) * 16, kind, cls, rank, state, n, n, 10, b"x" * 10)
            connection.execute(f"INSERT INTO message ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
        connection.execute("INSERT INTO ledger VALUES ('vitals', 'outbox full', 3, 1, 2)")
        connection.execute("INSERT INTO dead VALUES (99, zeroblob(16), 'ecg', 0, 5, 'Not authorized', x'00')")
    connection.close()


def test_a_file_of_the_first_version_is_brought_forward(tmp_path: Path) -> None:
    write_version_1(tmp_path / "o")
    outbox = open_outbox(tmp_path / "o")
    assert [(r.kind, r.rank) for r in outbox.waiting(9)] == [("ecg", 1), ("order", 1), ("device", 3), ("vitals", 12)]
    assert outbox.counts().waiting == (0, 2, 1, 1)
    assert (outbox.counts().kept, outbox.counts().dead) == (1, 1)
    assert outbox.store.rows("SELECT what, count, device FROM ledger") == [("vitals", 3, "")]
    assert outbox.store.one("SELECT class FROM dead") == (1,)
    outbox.close()
    again = open_outbox(tmp_path / "o")  # once: the second start finds a file of today
    assert again.counts().waiting == (0, 2, 1, 1)
    again.close()


def test_a_damaged_file_of_the_first_version_is_carried_over(tmp_path: Path) -> None:
    write_version_1(tmp_path / "o")
    with sqlite3.connect(tmp_path / "o") as connection:
        for n in range(100, 400):
            columns = "id, kind, class, rank, state, made_us, up_s, size, body"
            values = (n.to_bytes(16, "big"), "vitals", 1, 1, 0, n, n, 700, bytes(700))
            connection.execute(f"INSERT INTO message ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
    connection.close()
    content = bytearray((tmp_path / "o").read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = Random(1).randbytes(8192)  # noqa: S311 - repeatable on purpose
    (tmp_path / "o").write_bytes(content)
    outbox = open_outbox(tmp_path / "o")
    assert outbox.store.aside is not None
    vitals = outbox.counts().waiting[2]
    assert 200 <= vitals < 302
    tally = outbox.store.rows("SELECT class, COUNT(*), SUM(size) FROM message WHERE state = 0 GROUP BY class")
    assert tally == outbox.store.rows("SELECT class, rows, bytes FROM tally WHERE state = 0 AND rows > 0")
    outbox.close()
