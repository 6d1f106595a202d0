"""The database: migrations under a lock, pools, and transactions that know who is asking."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import aiosql
import msgspec
import psycopg
import structlog
from alembic import command
from alembic.config import Config
from feldsher_ingest import primary
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import ConnectionPool
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

Connection = psycopg.Connection[TupleRow]
Pool = ConnectionPool[Connection]

_SOON: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A server whose machine has vanished is noticed in seconds, not in the two hours of TCP's own."""
API, WORKER, INGEST = "feldsher_api", "feldsher_worker", "feldsher_ingest"
LOCK_S, PATIENCE_S, AGAIN_S = 2.0, 600.0, 1.0
_MIGRATION_LOCK = 0x66656C64  # "feld": any fixed number; it only has to be the same everywhere

_LEAKPROOF: tuple[LiteralString, ...] = (
    "arrayoverlap(anyarray, anyarray)",
    "arraycontains(anyarray, anyarray)",
    "arraycontained(anyarray, anyarray)",
    "range_overlaps(anyrange, anyrange)",
    "range_contains(anyrange, anyrange)",
    "range_contained_by(anyrange, anyrange)",
    "range_contains_elem(anyrange, anyelement)",
    "elem_contained_by_range(anyelement, anyrange)",
    "range_before(anyrange, anyrange)",
    "range_after(anyrange, anyrange)",
    "lower(anyrange)",
    "upper(anyrange)",
    "textlike(text, text)",
)
"""What searches ask of columns of numbers, ranges of time and text (docs/decisions/0016: why this reveals nothing)."""
_log = structlog.get_logger()
# FHIR decimals keep their digits (1.10 is not 1.1), so no JSON of ours ever passes through a float.
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def dumps(value: object) -> bytes:
    """Return `value` as JSON with decimals as numbers, digit for digit."""
    return _encoder.encode(value)


def loads(data: bytes | str) -> Any:
    """Return JSON as Python values with every fraction a Decimal; msgspec.DecodeError where it is not JSON."""
    return _decoder.decode(data)


def migrate(
    url: str, to: str = "head", *, also: Path | None = None, lock_s: float = LOCK_S, patience_s: float = PATIENCE_S
) -> None:
    """Bring the database at `url` to a revision (the newest); two at the same time wait for each other.

    Each revision is a transaction of its own. While one waits for a lock everybody queues behind it, so it waits
    `lock_s` at most, is undone and tried again, up to `patience_s` in all; psycopg.errors.LockNotAvailable then.
    `also`: a folder of further revisions.
    """
    address = primary.address(url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), poolclass=NullPool)
    config, own = Config(), resources.files("feldsher_cloud_api.migrations")
    config.set_main_option("script_location", str(own))
    if also is not None:
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", f"{own / 'versions'}\n{also}")
    with engine.connect() as lock:
        lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        lock.commit()
        until = time.monotonic() + patience_s
        while True:
            try:
                _upgrade(engine, config, to, lock_s)
                if to == "head":
                    _load_rights(address, lock_s)
            except Exception as error:
                contention = _contention(error)
                if contention is None:
                    raise
                if time.monotonic() > until:
                    raise contention from error
                _log.warning("migration_waits", why="somebody holds a lock", again_s=AGAIN_S)
                time.sleep(AGAIN_S)
            else:
                leakproof(address)
                return


def leakproof(address: str) -> None:
    """Let PostgreSQL use its indexes for searches under row-level security (docs/decisions/0016); superusers alone may.

    A dump does not carry this, so every migration says it again.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        try:
            for function in _LEAKPROOF:
                connection.execute(sql.SQL("ALTER FUNCTION pg_catalog.{} LEAKPROOF").format(sql.SQL(function)))
        except psycopg.errors.InsufficientPrivilege:
            _log.warning("searches_will_be_slow", why="only a superuser may mark functions as leakproof", see="0016")


def _upgrade(engine: Engine, config: Config, to: str, lock_s: float) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('lock_timeout', :most, false)"), {"most": f"{lock_s * 1000:.0f}"})
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()


def _load_rights(address: str, lock_s: float) -> None:
    """Bring the database's rights and policies up to this program's file of them."""
    from feldsher_cloud_api import rights  # noqa: PLC0415 - it speaks to the database through this module

    with psycopg.connect(address) as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{lock_s * 1000:.0f}",))
        rights.load(connection)


def _contention(error: Exception) -> psycopg.Error | None:
    """Return the error where a revision was undone for others' sake: it may come again."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause if isinstance(cause, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected) else None


def outdated(error: BaseException) -> bool:
    """Whether a connection's prepared statements are from before a migration: they fail until it is closed."""
    # "cached plan must not change result type", in whatever language the server speaks
    return isinstance(error, psycopg.Error) and error.diag.source_function == "RevalidateCachedQuery"


def prepare(connection: Connection, role: str | None = None) -> None:
    """Set a fresh connection up: our JSON, UTC, and the role it works as."""
    set_json_dumps(dumps, connection)
    set_json_loads(loads, connection)
    connection.execute("SET TIME ZONE 'UTC'")
    if role is not None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    connection.commit()


def connect(url: str, role: str | None = None, *, autocommit: bool = False) -> Connection:
    """Return one prepared connection working as `role` (None: as the user of the address)."""
    connection = psycopg.connect(primary.address(url), **_SOON)
    try:
        prepare(connection, role)
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


def pool(url: str, role: str, *, size: int = 8) -> Pool:
    """Return a closed pool of at most `size` connections working as `role`; open it with `open()`."""

    def configure(connection: Connection) -> None:
        prepare(connection, role)

    return ConnectionPool(
        lambda: primary.address(url),
        kwargs=dict(_SOON),
        min_size=1,
        max_size=size,
        open=False,
        configure=configure,
        check=ConnectionPool.check_connection,
    )


@contextmanager
def asking(
    connections: Pool,
    *,
    user: UUID | None,
    role: str,
    patients: Iterable[UUID] = (),
    chosen: UUID | None = None,
    purpose: str = "",
) -> Generator[Connection]:
    """Open a transaction in which row-level security knows who asks; it commits where the block ends well.

    `chosen`: the only patient whose rows are reached. `purpose`: why somebody asks, where they have said so.
    """
    with connections.connection() as connection:
        try:
            with connection.transaction():
                connection.execute(
                    "SELECT set_config('app.user', %s, true), set_config('app.role', %s, true),"
                    " set_config('app.patients', %s, true), set_config('app.patient', %s, true),"
                    " set_config('app.purpose', %s, true)",
                    (str(user or ""), role, ",".join(map(str, patients)), str(chosen or ""), purpose),
                )
                yield connection
        except psycopg.Error as error:
            if outdated(error):
                connection.close()  # the pool opens another: the next who asks is answered
            raise


def queries(name: str) -> Any:
    """Return the named queries of `sql/<name>.sql` (aiosql)."""
    source = resources.files("feldsher_cloud_api") / "sql" / f"{name}.sql"
    return aiosql.from_str(  # pyright: ignore[reportUnknownMemberType]
        source.read_text(encoding="utf-8"), "psycopg", mandatory_parameters=False
    )


def execute(connection: Connection, statement: LiteralString, parameters: Iterable[object] = ()) -> int:
    """Run one statement and return how many rows it touched."""
    return connection.execute(statement, tuple(parameters)).rowcount
