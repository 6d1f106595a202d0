"""Samples of old recordings move from the database into the archive, a few at a time, sealed by all with one key.

The key is that of the first machine that moved any: the database and the archive both say which it is. A machine
without it, with another, or in front of another folder moves nothing: what it wrote the others could not read. A
recording's bytes leave the database only after what was written has been read back, opened, decoded and found to be the
samples of the recording's own hash.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import structlog
from feldsher_signal import codec
from psycopg.rows import TupleRow

from feldsher_ingest import sql
from feldsher_ingest.archive import Archive, ArchiveError, configured, mark, places, set_mark

AT_ONCE = 50
"""Recordings moved in one turn: some tenths of a second."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0)
_QUERIES = sql.load("retention.sql")
_log = structlog.stdlib.get_logger("feldsher_ingest.tier")
Connection = psycopg.Connection[TupleRow]


class Tier:
    """The chore. `at_once`: recordings moved in one turn; `moved`: how many it has moved so far."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.moved = 0
        self._at_once = at_once
        self._after = _FIRST

    def __call__(self, connection: Connection) -> int:
        """Move some recordings older than their policy; return how many were looked at, 0 where none is left.

        All are looked through once a day. One whose samples are damaged stays as it is and is told in the log.
        """
        due = connection.execute(_QUERIES["tier_due"]).fetchone()
        if due is None:
            return 0
        archive = agreed(connection)
        parameters = {"cut": due[0], "received": self._after[0], "id": self._after[1], "limit": self._at_once}
        found = connection.execute(_QUERIES["old_recordings"], parameters, binary=True).fetchall()
        for _, identity, samples, leads, n, coder, digest in found:
            self.moved += _moved(connection, archive, identity, samples, (leads, n, coder), digest)
        whole = len(found) < self._at_once
        self._after = _FIRST if whole else (found[-1][0], found[-1][1])
        if whole:
            connection.execute(_QUERIES["tier_done"])
        return len(found)


def agreed(connection: Connection) -> Archive:
    """Return the archive that all machines write to, the first of them with a key made now.

    ArchiveError where this machine's key is missing or another, or its folder is not that archive.
    """
    with connection.transaction():
        connection.execute(_QUERIES["seal_alone"])
        row = connection.execute(_QUERIES["seal"], binary=True).fetchone()
        if row is None:
            archive = _first(connection)
            named = {"key_sha256": archive.key_sha256, "made_on": socket.gethostname()}
            connection.execute(_QUERIES["seal_with"], named)
            return archive
    return _same(bytes(row[0]), _named(row))


def sealed_with(connection: Connection) -> str | None:
    """Say which key the archive is sealed with; None where nothing has moved there yet."""
    row = connection.execute(_QUERIES["seal"], binary=True).fetchone()
    return None if row is None else _named(row)


def _named(row: TupleRow) -> str:
    digest, since, machine = row
    return f"the key {digest.hex()[:12]} of {machine}, used since {since:%Y-%m-%d}"


def _first(connection: Connection) -> Archive:
    store, _ = places()
    known = mark(store)
    used = connection.execute(_QUERIES["archived_any"]).fetchone() == (True,)
    archive = configured(make=known is None and not used)  # a new key would open nothing that is there already
    if known is None:
        set_mark(archive)
        return archive
    return _same(known, f"the key {known.hex()[:12]}, as the archive itself says")


def _same(digest: bytes, which: str) -> Archive:
    """Return the configured archive where it is the one sealed with a key; ArchiveError says `which` is wanted."""
    store, key_file = places()
    wanted = f"the archive is sealed with {which}: copy that file here (mode 600)"
    try:
        archive = configured()
    except ArchiveError as error:
        raise ArchiveError(f"{error}; {wanted}") from error
    if archive.key_sha256 != digest:
        raise ArchiveError(f"{key_file} is another key ({archive.key_sha256.hex()[:12]}); {wanted}")
    if mark(store) != digest:
        raise ArchiveError(
            f"{store.path} is not the archive of this database: it is not marked as sealed with {which}. "
            "Is it mounted? FELDSHER_ARCHIVE names the folder that all machines share"
        )
    return archive


def _moved(
    connection: Connection, archive: Archive, identity: UUID, samples: bytes, shape: tuple[int, int, str], digest: bytes
) -> bool:
    name = archive.put(samples)
    leads, n, coder = shape
    try:
        whole = codec.sha256(codec.decode(archive.get(name), leads, n, coder)) == digest
    except codec.CodecError:
        whole = False
    if not whole:
        _log.error("recording is damaged and stays in the database", recording=str(identity))
        return False
    connection.execute(_QUERIES["release"], {"id": identity, "archived": name, "sha256": digest})
    return True
