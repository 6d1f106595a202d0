"""Which of several database servers takes writes, and that none that was replaced is taken for it.

FELDSHER_DATABASE_URL may name several servers (`postgresql://a:5432,b:5432/feldsher`): a primary and its replicas. A
promoted replica counts its *timeline* up, so of two that both take writes (the old primary came back, nobody told it
that it was replaced) the one with the higher timeline is the primary, and the other is left alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

CONNECT_S = 5
GRACE_S = 1.0
"""Once a server that takes writes has answered, the others have so much longer: one of them may be its successor."""
_WRITES = b"select not (pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool)"
_WHO = b"""
    select system_identifier::text, ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
    from pg_control_system()
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A database's past: `system` names the cluster since it was made, `timeline` grows with each promotion."""

    system: str
    timeline: int

    def replaced(self, other: Server) -> bool:
        """Whether this server took the place of the other one."""
        return self.system == other.system and self.timeline > other.timeline


class ReplacedError(psycopg.OperationalError):
    """A server that takes writes and must not be written to: another one has taken its place."""


UNKNOWN = Server("", 0)
"""A hosted service that keeps its timeline to itself: what workers remember of their batches must do."""


def server_of(connection: psycopg.Connection[TupleRow]) -> Server | None:
    """Return the server behind a connection, which is in autocommit mode; None where it takes no writes."""
    if connection.execute(_WRITES).fetchone() != (True,):
        return None
    try:
        row = connection.execute(_WHO).fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction, psycopg.NotSupportedError):
        return UNKNOWN
    return UNKNOWN if row is None else Server(*row)


def address(url: str) -> str:
    """Return where to connect for writing: `url` itself where it names one server, else that of the present primary.

    psycopg.OperationalError names every server and why it is not the one. Takes as long as the slowest answer, at most
    a second longer than the first that takes writes.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    hosts = _hosts(given)
    if len(hosts) < 2:
        return url
    given.pop("hostaddr", None)
    targets = [make_conninfo("", **(given | {"host": host, "port": port})) for host, port in hosts]
    chosen = _Search(targets, [f"{host}:{port}" for host, port in hosts]).run()
    return make_conninfo(chosen, target_session_attrs="read-write")


def _hosts(given: dict[str, str]) -> list[tuple[str, str]]:
    hosts = given.get("host", "").split(",")
    ports = given.get("port", "5432").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise psycopg.OperationalError(f"the address names {len(hosts)} servers and {len(ports)} ports")
    return [(host, port or "5432") for host, port in zip(hosts, ports, strict=True)]


class _Search:
    """Asks all servers at once; what answers after the decision is not waited for."""

    def __init__(self, targets: Sequence[str], names: Sequence[str]) -> None:
        self._targets, self._names = targets, names
        self._changed = threading.Condition()
        self._found: dict[int, Server] = {}
        self._refused: dict[int, str] = {}

    def run(self) -> str:
        for number in range(len(self._targets)):
            threading.Thread(target=self._ask, args=(number,), name="primary", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._found or self._complete(), 2 * CONNECT_S)
            until = time.monotonic() + GRACE_S
            while not self._complete() and time.monotonic() < until:
                self._changed.wait(until - time.monotonic())
            return self._targets[self._best(dict(self._found))]

    def _complete(self) -> bool:
        return len(self._found) + len(self._refused) == len(self._targets)

    def _best(self, found: dict[int, Server]) -> int:
        if len({server.system for server in found.values()}) > 1:
            both = ", ".join(self._names[number] for number in found)
            raise psycopg.OperationalError(f"{both} take writes and are no copies of each other: which one is ours?")
        if not found:
            why = "; ".join(f"{name}: {self._refused.get(i, 'no answer')}" for i, name in enumerate(self._names))
            raise psycopg.OperationalError(f"no server takes writes ({why})")
        return max(found, key=lambda number: found[number].timeline)

    def _ask(self, number: int) -> None:
        server, why = None, "takes no writes"
        try:
            with psycopg.connect(self._targets[number], autocommit=True, connect_timeout=CONNECT_S) as connection:
                connection.execute(f"set statement_timeout = '{CONNECT_S}s'".encode())
                server = server_of(connection)
        except psycopg.Error as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        with self._changed:
            if server is not None:
                self._found[number] = server
            else:
                self._refused[number] = why
            self._changed.notify_all()
