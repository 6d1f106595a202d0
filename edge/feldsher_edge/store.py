"""The gateway's SQLite file: opened by one process, checked at opening, never recreated over what it held.

WAL with synchronous FULL: what a call has committed survives a power cut (measured ≈2 ms per commit). A file that fails
its check is moved aside and kept; what can still be read of it is carried over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import structlog

from feldsher_edge.reserve import Reserve

_log = structlog.get_logger("store")
_VERSION = 2
_LOG_PAGES = 256
"""The log goes into the file after so many pages (1 MB); so much it may grow on a full disk, and the file as well."""
RESERVE_BYTES = 2_000_000
_MOST_PAGES = 1_073_741_823
_T = TypeVar("_T")
_TABLES = ("message", "ledger", "dead", "orders", "fact", "original")
_CLASSES_OF_1 = """
UPDATE message SET class = CASE WHEN kind IN ('ecg', 'order') THEN 1 WHEN class = 0 THEN 0 ELSE class + 1 END;
UPDATE message SET rank = rank / 10 * 10 + class;
UPDATE dead SET class = CASE WHEN kind IN ('ecg', 'order') THEN 1 WHEN class = 0 THEN 0 ELSE class + 1 END;
DELETE FROM tally;
INSERT INTO tally SELECT class, state, COUNT(*), SUM(size) FROM message GROUP BY class, state;
"""
"""Version 1 had the classes A (0: ECGs, orders), B (1: vital signs) and C (2: telemetry)."""
_UPGRADE_1 = (
    """
BEGIN IMMEDIATE;
DROP INDEX message_waiting;
DROP INDEX message_class;
DROP INDEX message_made;
DROP TRIGGER message_moved;
ALTER TABLE message ADD COLUMN device TEXT;
ALTER TABLE message ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN thin INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN device TEXT;
ALTER TABLE dead ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger RENAME TO ledger_1;
"""
    + _CLASSES_OF_1
)
_AFTER_UPGRADE_1 = """
INSERT INTO ledger (what, why, count, first_us, last_us) SELECT what, why, count, first_us, last_us FROM ledger_1;
DROP TABLE ledger_1;
"""
_UNDONE = "nothing was stored, what was stored before is intact"
_PASSING = {
    sqlite3.SQLITE_FULL: (errno.ENOSPC, "disk full"),
    sqlite3.SQLITE_IOERR: (errno.EIO, "the disk failed to read or write"),
    sqlite3.SQLITE_READONLY: (errno.EROFS, "the disk is read-only"),
    sqlite3.SQLITE_CANTOPEN: (errno.EIO, "a file beside the database cannot be opened"),
    sqlite3.SQLITE_BUSY: (errno.EBUSY, "another program holds the file"),
    sqlite3.SQLITE_LOCKED: (errno.EBUSY, "another program holds the file"),
}
"""Faults that may pass without a new start (https://sqlite.org/rescode.html, primary result codes)."""


class StoreError(OSError):
    """The file cannot take or give data now; what it holds is intact, and the same call may succeed later.

    `errno` tells why: ENOSPC disk full, EIO, EROFS, EBUSY in use, EPROTO newer than this program.
    """


class Store:
    """One open database file, usable from any thread.

    `salvaged`: rows carried over from a file that failed its check, None where it passed; `aside`: where that file is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.salvaged: int | None = None
        self.aside: Path | None = None
        self._lock = threading.RLock()
        self._depth = 0
        self._bounded = False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file_lock = _lock_file(path.with_name(path.name + ".lock"))
        self._reserve = Reserve(path.with_name(path.name + ".reserve"), RESERVE_BYTES)
        self._reserve.release()  # a start on a full disk needs room for its work as well
        try:
            self._connection = self._open_checked()
            self._reserve.fill()
        except BaseException:
            os.close(self._file_lock)
            raise

    def _open_checked(self) -> sqlite3.Connection:
        fault = check(self.path)
        if fault is None:
            return _open(self.path)
        self.aside = _move_aside(self.path)
        _log.error("database failed its check and was moved aside", fault=fault, kept=str(self.aside))
        connection = _open(self.path)
        self.salvaged = _carry_over(self.aside, connection)
        _log.warning("rows carried over from the damaged database", rows=self.salvaged)
        return connection

    def close(self) -> None:
        """Close the file and let another process open it."""
        with self._lock:
            self._connection.close()
            os.close(self._file_lock)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit all statements inside together, or none where one raises; nests. StoreError as `run`."""
        with self._lock:
            if self._depth:
                yield
                return
            self._roll_back()  # where the disk failed so badly that even undoing failed
            self.run("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                try:
                    self._roll_back()
                except StoreError as error:
                    _log.error("transaction not undone yet", error=str(error))
                raise
            finally:
                self._depth = 0

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self.run("ROLLBACK")

    def spare(self, work: Callable[[], _T]) -> _T:
        """Do what frees room, and where the disk is full do it with the space that was put by for that.

        StoreError where even that is not enough, or the fault is another.
        """
        try:
            return work()
        except StoreError as error:
            if error.errno != errno.ENOSPC:
                raise
        with self._lock:
            self._reserve.release()
            try:
                self.rows("PRAGMA wal_checkpoint(RESTART)")  # the log begins anew in the space that it has
                return work()
            finally:
                self._bound_growth(whole=self._reserve.fill() == RESERVE_BYTES)

    def _bound_growth(self, *, whole: bool) -> None:
        """Let the file not grow while the reserve is not whole: it would eat the reserve bit by bit."""
        if whole and self._bounded:
            self.rows(f"PRAGMA max_page_count = {_MOST_PAGES}")
        elif not whole:
            pages = self.one("PRAGMA page_count")
            self.rows(f"PRAGMA max_page_count = {pages[0] if pages else _MOST_PAGES}")
        self._bounded = not whole

    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        """Execute one statement and return how many rows it changed; StoreError where the disk cannot take it now."""
        return self._execute(sql, parameters, _row_count)

    def trace(self, listener: Callable[[str], object] | None) -> None:
        """Call `listener` with the text of every statement, its parameters filled in; None ends it."""
        with self._lock:
            self._connection.set_trace_callback(listener)

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._execute(sql, parameters, sqlite3.Cursor.fetchall)

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None."""
        return self._execute(sql, parameters, sqlite3.Cursor.fetchone)

    def _execute(self, sql: str, parameters: tuple[Any, ...], take: Callable[[sqlite3.Cursor], _T]) -> _T:
        with self._lock:
            try:
                return take(self._connection.execute(sql, parameters))
            except sqlite3.OperationalError as error:
                passing = _PASSING.get(error.sqlite_errorcode & 0xFF)  # the rest is detail, such as which call failed
                if passing is None:
                    raise
                number, why = passing
                raise StoreError(number, f"{why} ({error.sqlite_errorname}); {_UNDONE}", self.path) from error


def _row_count(cursor: sqlite3.Cursor) -> int:
    return cursor.rowcount


def _lock_file(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StoreError(errno.EBUSY, "another feldsher-edge uses this state directory", path) from error
    return handle


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > _VERSION:
        connection.close()
        raise StoreError(errno.EPROTO, f"written by a newer program (version {version})", path)
    _bring_up_to_date(connection, version)
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Create what is not there, and bring a file of an older version forward, all of it or nothing."""
    tables = files("feldsher_edge").joinpath("outbox.sql").read_text(encoding="utf-8")
    before, after = (_UPGRADE_1, _AFTER_UPGRADE_1) if version == 1 else ("BEGIN IMMEDIATE;", "")
    try:
        connection.executescript(f"{before}{tables}{after}PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        connection.close()  # undoes what was begun
        raise


def check(path: Path) -> str | None:
    """Return what is wrong with a database file, or None where it is sound or absent."""
    if not path.exists():
        return None
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None if verdict == "ok" else verdict


def _move_aside(path: Path) -> Path:
    """Rename the file with its log to the first free `….corrupt-N`, so that both can still be opened together."""
    n = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{n}")).exists():
        n += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _carry_over(aside: Path, target: sqlite3.Connection) -> int:
    """Copy every row that can still be read, newest first after a fault, and return how many were."""
    source = sqlite3.connect(f"file:{aside}?mode=ro", uri=True)
    carried = 0
    try:
        target.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            carried += _carry_table(source, target, table)
        if _version(source) == 1:
            for statement in _CLASSES_OF_1.split(";"):
                target.execute(statement)
        target.execute("COMMIT")
    finally:
        source.close()
    return carried


def _version(connection: sqlite3.Connection) -> int | None:
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return None


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    except sqlite3.DatabaseError as error:
        _log.warning("a table of the damaged database cannot be read", table=table, fault=str(error))
        return []


def _carry_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    columns = [name for name in _columns(target, table) if name in _columns(source, table)]
    if not columns:
        return 0
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    keys = "rowid" if table in ("message", "dead") else columns[0]
    carried = 0
    for direction in ("ASC", "DESC"):  # from both ends, because a damaged page ends a scan
        try:
            for row in source.execute(f"SELECT {names} FROM {table} ORDER BY {keys} {direction}"):  # noqa: S608 - ours
                sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
                carried += target.execute(sql, row).rowcount
            break
        except sqlite3.DatabaseError as error:
            _log.warning("a part of the damaged database cannot be read", table=table, fault=str(error))
    return carried
