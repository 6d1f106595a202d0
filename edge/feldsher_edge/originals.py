"""What foreign cardiographs bring becomes recordings, each original once: by the SHA-256 of its bytes, on record.

An original finds its order by the order's number, which somebody typed into the cardiograph or its worklist brought.
What has none, or says another person than the order, goes to the cloud unassigned: there people decide.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
import structlog
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_number

from feldsher_edge.devices import EcgResult
from feldsher_edge.orders import Order, Orders
from feldsher_edge.original import PART_S, Samples, Seen
from feldsher_edge.outbox import Held, Outbox
from feldsher_edge.room import Priority

_log = structlog.get_logger("originals")
_AHEAD = timedelta(minutes=5)
_KNOWN = 200_000
"""Most originals that are remembered; the oldest are forgotten first."""
_YEARS_APART = 1
"""An age in years may differ by one on both sides of a birthday."""

Verdict = Literal["taken", "quarantined", "repeat", "conflict"]
"""`repeat`: known already, by its bytes or its UID; `conflict`: its UID is known with other samples."""
Via = Literal["folder", "dicom"]


class Taking(Protocol):
    """Where recordings go: feldsher_edge.recordings."""

    def hold(self, result: EcgResult, order: Order | None) -> list[Held]:
        """Commit a recording as held."""
        ...

    def follow(self, held: Held) -> None:
        """Interpret and release it."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a cardiograph's clock is believed: its local time in `zone`, no older than `days`."""

    zone: tzinfo
    days: float = 30.0


class Originals:
    """The originals of this gateway, in the outbox's database."""

    def __init__(self, outbox: Outbox, orders: Orders, recordings: Taking) -> None:
        self._outbox = outbox
        self._store = outbox.store
        self._orders = orders
        self._recordings = recordings

    async def take(self, device: str, via: Via, seen: Seen, trust: Trust) -> Verdict:
        """Commit what an original says, or that it cannot be read; returns after the commit. StoreError."""
        verdict, held = await self._outbox.call(self._commit, device, via, seen, trust)
        for each in held:
            self._recordings.follow(each)
        _log.info("original", device=device, sha256=seen.sha256.hex(), verdict=verdict, fault=seen.fault)
        return verdict

    def _commit(self, device: str, via: Via, seen: Seen, trust: Trust) -> tuple[Verdict, list[Held]]:
        with self._store.transaction():
            known = self._known(seen)
            verdict = self._verdict(seen, known)
            results = self._results(device, via, seen, trust) if verdict == "taken" else []
            held = [each for result, order in results for each in self._recordings.hold(result, order)]
            if verdict in ("quarantined", "conflict") and verdict != known:
                detail = f"cannot be taken: {_fault(seen, verdict)} (SHA-256 {seen.sha256.hex()})"
                self._outbox.put(
                    lambda env: wire.DeviceStatus(env=env, device=device, state="fault", detail=detail), Priority.VITALS
                )
            self._remember(device, seen, (known or "taken") if verdict == "repeat" else verdict)
        return verdict, held

    def _known(self, seen: Seen) -> str | None:
        row = self._store.one("SELECT state FROM original WHERE sha256 = ?", (seen.sha256,))
        return None if row is None else str(row[0])

    def _verdict(self, seen: Seen, known: str | None) -> Verdict:
        if known == "taken" or (known == "quarantined" and seen.recording is None):
            return "repeat"  # but what an older program could not read, a newer one may
        if seen.recording is None:
            return "quarantined"
        if seen.uid:
            sql = "SELECT samples FROM original WHERE uid = ? AND state = 'taken'"
            others = [bytes(other[0]) for other in self._store.rows(sql, (seen.uid,))]
            if others:
                return "repeat" if _digest(seen.recording) in others else "conflict"
        return "taken"

    def _remember(self, device: str, seen: Seen, state: str) -> None:
        samples = _digest(seen.recording) if seen.recording else b""
        row = (seen.sha256, seen.uid, samples, device, state, seen.size, self._outbox.up_s())
        self._store.run("INSERT OR REPLACE INTO original VALUES (?, ?, ?, ?, ?, ?, 1, ?)", row)
        self._store.run(
            "DELETE FROM original WHERE kept = 0 AND sha256 NOT IN"
            " (SELECT sha256 FROM original ORDER BY up_s DESC LIMIT ?)",
            (_KNOWN,),
        )

    def _results(self, device: str, via: Via, seen: Seen, trust: Trust) -> list[tuple[EcgResult, Order | None]]:
        it = seen.recording
        if it is None:
            return []
        order, against = self._order_of(device, seen)
        arrived_us = self._outbox.envelopes.clock.wall_us()
        synced = self._outbox.envelopes.clock.quality() == "synced"
        started_us, doubt = started(seen.recorded_at, arrived_us, it.n / it.fs, trust, synced=synced)
        origin = wire.Origin(
            via=via,
            format=seen.format,
            sha256=seen.sha256,
            size=seen.size,
            arrived_us=arrived_us,
            recorded_at=seen.recorded_at,
            maker=seen.maker or None,
            model=seen.model or None,
            serial=seen.serial or None,
            doubts=tuple(text for text in (against, doubt) if text),
        )
        return [(part, order) for part in parts(device, it, started_us, origin, seen.subject)]

    def _order_of(self, device: str, seen: Seen) -> tuple[Order | None, str | None]:
        """Return the order whose number the original carries; None, and why not, where it must not be believed."""
        orders = [order for number in seen.orders for order in self._orders.numbered(number)]
        if len(orders) != 1:
            return None, "it names several orders" if orders else None
        (order,) = orders
        number = order_number(order.id)
        if order.device != device:
            return None, f"it names order {number}, which is for another cardiograph"
        said = disagreement(seen.subject or Subject(), order.subject)
        return (None, f"it names order {number}, but {said}") if said else (order, None)

    def due(self, device: str, days: float, most_bytes: int) -> list[bytes]:
        """Return the SHA-256 of sealed originals whose time is over or for which there is no more room, oldest first.

        Room is made by what was taken; what was quarantined stays its time.
        """
        sql = "SELECT sha256, state, size, up_s FROM original WHERE kept = 1 AND device = ? ORDER BY up_s DESC"
        over, total = self._outbox.up_s() - int(days * 86_400), 0
        gone: list[bytes] = []
        for sha256, state, size, up_s in self._store.rows(sql, (device,)):
            total += size
            if up_s < over or (total > most_bytes and state == "taken"):
                gone.append(bytes(sha256))
        return gone[::-1]

    def quarantined(self, device: str) -> int:
        """Return how many originals of a device are kept because they could not be read."""
        sql = "SELECT COUNT(*) FROM original WHERE kept = 1 AND state <> 'taken' AND device = ?"
        row = self._store.one(sql, (device,))
        return int(row[0]) if row else 0

    def removed(self, sha256: bytes) -> None:
        """Note that a sealed original is no longer on the disk; that it was taken is still known."""
        self._store.run("UPDATE original SET kept = 0 WHERE sha256 = ?", (sha256,))

    def remove_due(self, device: str, days: float, most_bytes: int, *folders: Path) -> int:
        """Delete sealed originals that are due from their folders, and return how many."""
        gone = self.due(device, days, most_bytes)
        for sha256 in gone:
            for folder in folders:
                (folder / f"{sha256.hex()}.p7m").unlink(missing_ok=True)
                (folder / f"{sha256.hex()}.txt").unlink(missing_ok=True)
            self.removed(sha256)
        return len(gone)


def _fault(seen: Seen, verdict: Verdict) -> str:
    return "SOP Instance UID: known with other samples" if verdict == "conflict" else seen.fault or "no recording"


def _digest(it: Samples) -> bytes:
    return hashlib.sha256(it.samples).digest()


def disagreement(said: Subject, ordered: Subject) -> str | None:
    """Return in words how the person of a file differs from that of an order; None where nothing speaks against it."""
    if "unknown" not in (said.sex, ordered.sex) and said.sex != ordered.sex:
        return f"says {said.sex} where the order says {ordered.sex}"
    if said.age is not None and ordered.age is not None and abs(said.age - ordered.age) > _YEARS_APART:
        return f"says {said.age} years where the order says {ordered.age}"
    return None


def started(
    recorded_at: str | None, arrived_us: int, seconds: float, trust: Trust, *, synced: bool
) -> tuple[int, str | None]:
    """Return the wall time of the first sample in microseconds, and in words why it is not the cardiograph's.

    The cardiograph's clock is believed where the gateway's own is right to check it, it is not ahead of it and not
    older than `trust` allows; else the recording is dated by its arrival. A shift within these bounds is not seen.
    """
    arrival_us = max(0, arrived_us - round(seconds * 1e6))
    if recorded_at is None:
        return arrival_us, "it does not say when it was recorded: dated by its arrival"
    if not synced:
        return arrival_us, f"the gateway's clock was not set: dated by its arrival; the cardiograph says {recorded_at}"
    written = datetime.fromisoformat(recorded_at)
    at = written if written.tzinfo else written.replace(tzinfo=trust.zone)
    arrived = datetime.fromtimestamp(arrived_us / 1e6, UTC)
    if at > arrived + _AHEAD:
        return arrival_us, f"the cardiograph's clock is ahead, it says {recorded_at}: dated by its arrival"
    if at < arrived - timedelta(days=trust.days):
        return (
            arrival_us,
            f"by the cardiograph's clock it is of {recorded_at}, too old to believe: dated by its arrival",
        )
    return min(arrived_us, round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))), None


def parts(device: str, it: Samples, started_us: int, origin: wire.Origin, subject: Subject | None) -> list[EcgResult]:
    """Return a recording as results of at most PART_S, equal but for a sample."""
    samples = np.frombuffer(it.samples, dtype="<i4").reshape(len(it.leads), it.n)
    count = max(1, -int(-it.n // (it.fs * PART_S)))
    edges = [it.n * k // count for k in range(count + 1)]
    whole = EcgResult(device, it.leads, it.fs, samples, it.uv_per_bit, 0, 0, subject=subject)
    return [
        replace(
            whole,
            samples=samples[:, first:last],
            started_us=started_us + round(first / it.fs * 1e6),
            ended_us=started_us + round(last / it.fs * 1e6),
            partial=f"part {k} of {count} of a longer recording" if count > 1 else None,
            origin=msgspec.structs.replace(origin, part=(k, count)),
        )
        for k, (first, last) in enumerate(itertools.pairwise(edges), 1)
    ]
