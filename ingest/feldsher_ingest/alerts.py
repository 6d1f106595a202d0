"""Raising alerts: the row and its event in one statement, once per limit and what it is about, for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from feldsher_ehr_core.artefact import Doubt
from feldsher_ehr_core.deviation import Breach
from feldsher_ehr_core.monitoring import alert_id

from feldsher_ingest import sql
from feldsher_ingest.history import Origin
from feldsher_ingest.limits import Connection, Limit
from feldsher_ingest.rows import made_ms

_QUERIES = sql.load("alerts.sql")
LATE = timedelta(hours=1)
"""What was measured longer ago than this when its alert is raised is no news. Our choice: a home kit sends within
minutes, and whoever is called should know that they are not called for now."""
AHEAD = timedelta(minutes=10)
"""So far may a time of measurement be ahead of its arrival before it is doubted (as in the cloud's assignment.py)."""
Raised = Counter[tuple[str, bool, bool]]
"""How many new alerts, by severity, whether late, whether doubted."""


@dataclass(frozen=True, slots=True)
class Found:
    """A broken limit. `kind`: as in watch_alert; `origin`: None where no measurement caused it.

    `known_at`: when it was to be known, where that is not when it was measured.
    """

    limit: Limit
    subject: UUID | None
    breach: Breach
    kind: str
    origin: Origin | None = None
    historical: bool = False
    more_doubt: tuple[Doubt, ...] = ()
    known_at: datetime | None = None


def raise_alerts(connection: Connection, found: Sequence[Found], cause: str, now: datetime) -> Raised:
    """Write alerts that are not there yet, each with its event; return how many.

    `cause`: as in watch_alert; `now`: by which they are late or not.
    """
    if not found:
        return Raised()
    known = _known(connection, found)
    new = [one for one in found if any((one.limit.id, name) not in known for name in _names(one))]
    origins = _origins(connection, [one for one in new if one.origin is not None], now)
    once: dict[tuple[UUID, str], dict[str, object]] = {}
    for one in new:
        row = _row(one, cause, now, origins)
        key = one.limit.id, str(row["about"])
        if key not in known:
            once.setdefault(key, row)
    raised = Raised()
    if once:
        text = msgspec.json.encode(list(once.values())).decode()
        for severity, late, doubted in connection.execute(_QUERIES["raise"], {"alerts": text}):
            raised[severity, late, doubted] += 1
    return raised


def _names(one: Found) -> set[str]:
    """Return what the alert may be about: which of it, what speaks against it decides."""
    return {one.breach.named(doubted=doubted) for doubted in (False, True)}


def _known(connection: Connection, found: Iterable[Found]) -> set[tuple[UUID, str]]:
    """Return what has an alert already: whoever judges again finds mostly that."""
    asked = sorted({(one.limit.id, name) for one in found for name in _names(one)})
    params = {"limits": [limit for limit, _ in asked], "about": [about for _, about in asked]}
    return {(limit, about) for limit, about in connection.execute(_QUERIES["known"], params)}


@dataclass(frozen=True, slots=True)
class _Told:
    """What the database knows of a measurement: when it came, by what clock, and whether a newer one was there.

    `historical`, `unowned`: as its message told (feldsher_ehr_core.wire), for as long as its event is kept.
    """

    arrived_at: datetime
    clock: str
    newer: bool
    historical: bool
    unowned: bool


def _origins(connection: Connection, found: Sequence[Found], now: datetime) -> dict[tuple[UUID, UUID], _Told]:
    asked = [(one.origin, one.breach) for one in found if one.origin is not None]
    rows = [
        {
            "gateway": origin.gateway,
            "message_id": origin.message_id,
            "made_ms": made_ms(origin.message_id),
            "reading_id": breach.reading,
            "device": origin.device,
            "user_no": origin.user_no,
            "codes": origin.codes,
            "measured_at": breach.at,
        }
        for origin, breach in asked
    ]
    if not rows:
        return {}
    told = connection.execute(_QUERIES["origins"], {"asked": msgspec.json.encode(rows).decode(), "until": now + AHEAD})
    return {(message, reading): _Told(*rest) for message, reading, *rest in told}


def _row(one: Found, cause: str, now: datetime, origins: Mapping[tuple[UUID, UUID], _Told]) -> dict[str, object]:
    breach, origin = one.breach, one.origin
    told = None if origin is None or breach.reading is None else origins.get((origin.message_id, breach.reading))
    doubt: set[Doubt] = {*breach.doubt, *one.more_doubt}
    if told is not None and origin is not None:
        unsure = told.clock == "unsynced" and not origin.corrected
        if unsure or breach.at > told.arrived_at + AHEAD:
            doubt.add("clock")
        if told.unowned:
            doubt.add("owner")
    waited = one.historical or (told is not None and (told.historical or told.newer))
    late = waited or now - (one.known_at or breach.at) > LATE
    about = breach.named(doubted=bool(doubt))
    return {
        "id": alert_id(one.limit.id, about),
        "limit_id": one.limit.id,
        "version": one.limit.version,
        "kind": one.kind,
        "subject": one.subject,
        "about": about,
        "severity": one.limit.severity,
        "reading_id": breach.reading,
        "device": origin.device if origin else None,
        "gateway": origin.gateway if origin else None,
        "message_id": origin.message_id if origin else None,
        "measured_at": breach.at,
        "arrived_at": told.arrived_at if told else None,
        "late": late,
        "cause": cause,
        "doubt": sorted(doubt),
        "numbers": breach.numbers,
    }
