"""What the cloud may know of the store: cardiograms, readings, ranges and last values. Nothing here writes.

This is the only module of ingest that cloud_api imports; the tables behind it may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
import numpy as np
import psycopg
from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_ehr_core.vitals import Absent
from feldsher_ehr_core.wire import Origin
from feldsher_signal import codec
from feldsher_signal.record import MISSING, Recording
from psycopg.rows import class_row, dict_row

from feldsher_ingest import archive, axis, rows, sql
from feldsher_ingest.axis import Axis as StreamAxis
from feldsher_ingest.axis import moment

_QUERIES = sql.load("read.sql")
_WIDTHS = (0, 60, 3600, 86_400)
"""Seconds of a bucket; 0: every reading by itself."""
_RAW_EVERY_S = 1.0
"""Devices that send without being asked send once a second."""
_ZONES = timedelta(hours=15)
"""How far a key time can be from the time of its reading: clocks on Earth show UTC-12 to UTC+14."""
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
WINDOW_MOST_S = 900.0
"""Longest part of a continuous ECG that is read at once: it stays in memory."""
_interpretation = msgspec.msgpack.Decoder(Interpretation)
_subject = msgspec.json.Decoder(Subject)
_origin = msgspec.json.Decoder(Origin)


class DamagedError(Exception):
    """Stored samples whose SHA-256 is no longer the one that was stored with them."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A cardiogram as stored: the samples, and everything that was said about them.

    `started_at`, `ended_at`: the gateway's wall time as sent; `taken_at`: the best known true time of the first sample;
    `clock`: quality of the gateway's clock; `sha256`: of the samples, what a signature covers. Other fields as in
    feldsher_ehr_core.wire.EcgRecording.
    """

    id: UUID
    device: str
    gateway: str
    order: UUID | None
    recording: Recording
    sha256: bytes
    started_at: datetime
    ended_at: datetime
    taken_at: datetime
    clock: str
    lost: int
    crc_errors: int
    clock_ratio: float | None
    partial: str | None
    lead_off: tuple[str, ...]
    subject: Subject | None
    interpretation: Interpretation | None
    not_interpreted: str | None
    received_at: datetime
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class StoredVital:
    """One value of one reading.

    `code`: MDC; `time`: key time, as sent; `taken_at`: the best known true time; `received_at`: the gateway's receiving
    time; `value`: with the decimals that were sent, None where `absent` says why; `unit`: UCUM; `sent_at`: the device's
    local time exactly as sent.
    """

    reading_id: UUID
    code: int
    time: datetime
    taken_at: datetime
    received_at: datetime
    device: str
    user_no: int | None
    value: Decimal | None
    absent: Absent | None
    unit: str
    status: int | None
    sent_at: str | None
    message_id: UUID
    gateway: str


@dataclass(frozen=True, slots=True)
class LatestVital:
    """The newest value of one code and user of a device. Fields as in StoredVital."""

    reading_id: UUID
    code: int
    time: datetime
    taken_at: datetime
    device: str
    user_no: int | None
    value: Decimal | None
    absent: Absent | None
    unit: str


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A continuous ECG as stored, piece by piece.

    `fs`: nominal; `started_at`, `last_at`: the first and last start of a piece by the gateway's clock, as sent;
    `taken_from`, `taken_until`: from the first to after the last sample by the best known time; `parts`: pieces where
    none is missing; `opened_at`, `received_at`: when the first and the newest piece were stored.
    """

    id: UUID
    device: str
    gateway: str
    fs: float
    leads: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    started_at: datetime
    last_at: datetime
    taken_from: datetime
    taken_until: datetime
    parts: int
    opened_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class StreamWindow:
    """A part of a continuous ECG from `start` on (best known time), as sampled; what is not there is MISSING."""

    start: datetime
    recording: Recording


@dataclass(frozen=True, slots=True)
class Bucket:
    """Values from `start` on, by the best known time: how many, the least, the greatest, the mean."""

    start: datetime
    n: int
    low: Decimal
    high: Decimal
    mean: Decimal


def recording(
    connection: psycopg.Connection[Any],
    id: UUID,  # noqa: A002
    engine: str | None = None,
) -> StoredRecording | None:
    """Return the cardiogram of an id (that of its message), decoded; None where there is none.

    `engine`: with the interpretation of this later engine (replay.py) in the place of the gateway's. DamagedError where
    the samples are not those that were stored, or there is no such interpretation.
    """
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        row = cursor.execute(_QUERIES["recording"], {"id": id}).fetchone()
    if row is None:
        return None
    leads = tuple(cast("list[str]", row.pop("leads")))
    try:
        coded = archive.coded(row.pop("samples"), row.pop("archived"))
    except archive.ArchiveError as error:
        raise DamagedError(f"ecg_recording {id}: {error}") from error
    samples = codec.decode(coded, len(leads), row.pop("n"), row.pop("codec"))
    if codec.sha256(samples) != row["sha256"]:
        raise DamagedError(f"ecg_recording {id}: the stored samples have another SHA-256")
    if engine is not None:
        row |= {"interpretation": _later(connection, id, engine), "not_interpreted": None}
    subject, found, origin = row.pop("subject"), row.pop("interpretation"), row.pop("origin")
    return StoredRecording(
        recording=Recording(leads, row.pop("fs"), samples, tuple(row.pop("uv_per_bit"))),
        order=row.pop("order_id"),
        lead_off=tuple(row.pop("lead_off")),
        subject=None if subject is None else _subject.decode(subject),
        interpretation=None if found is None else _interpretation.decode(found),
        origin=None if origin is None else _origin.decode(origin),
        **row,
    )


def _later(connection: psycopg.Connection[Any], recording: UUID, engine: str) -> bytes:
    row = connection.execute(_QUERIES["reinterpretation"], {"recording": recording, "engine": engine}).fetchone()
    if row is None:
        raise DamagedError(f"ecg_recording {recording}: its interpretation by {engine} is missing")
    return row[0]


def readings(
    connection: psycopg.Connection[Any], ids: Iterable[UUID], key_us: tuple[int, int] | None = None
) -> list[StoredVital]:
    """Return the values of readings, ordered by reading, code and time.

    `key_us`: their first and last key time in microseconds since 1970, as their event tells it. Without it all of the
    table is looked at, chunk by chunk.
    """
    first, last = (None, None) if key_us is None else (axis.moment(us) for us in key_us)
    return _readings(connection, {"ids": list(ids), "key_from": first, "key_to": last})


def _readings(connection: psycopg.Connection[Any], parameters: Mapping[str, object]) -> list[StoredVital]:
    with connection.cursor(row_factory=class_row(StoredVital), binary=True) as cursor:
        return cursor.execute(_QUERIES["readings"], parameters).fetchall()


def corrected(connection: psycopg.Connection[Any], gateway: str, boot: UUID) -> list[StoredVital]:
    """Return the readings of one boot of a gateway whose time was corrected later, ordered as `readings` does."""
    parameters: dict[str, object] = {"gateway": gateway, "boot": boot}
    found = connection.execute(_QUERIES["unsynced"], parameters).fetchone()
    if found is None:
        return []
    between = {"key_from": found[0], "key_to": found[1]}
    ids = [row[0] for row in connection.execute(_QUERIES["corrected"], parameters | between)]
    return _readings(connection, {"ids": ids} | between) if ids else []


def clock_trusted(connection: psycopg.Connection[Any], gateway: str, message: UUID) -> bool:
    """Return whether the times of a message can be trusted: its gateway's clock was not unsynced, or is corrected."""
    parameters = {"gateway": gateway, "id": message, "made_ms": rows.made_ms(message)}
    row = connection.execute(_QUERIES["clock_trusted"], parameters).fetchone()
    return row is not None and bool(row[0])


def clocks_trusted(connection: psycopg.Connection[Any], messages: Iterable[tuple[str, UUID]]) -> set[tuple[str, UUID]]:
    """Return of which messages, by gateway and id, the times can be trusted (clock_trusted)."""
    asked = sorted(messages)
    parameters: dict[str, object] = {
        "gateways": [gateway for gateway, _ in asked],
        "ids": [message for _, message in asked],
        "made_ms": [rows.made_ms(message) for _, message in asked],
    }
    return set(connection.execute(_QUERIES["clocks_trusted"], parameters).fetchall())


def _between(start: datetime, end: datetime) -> dict[str, object]:
    """Return a time as parameters, with the key times that its readings can have."""
    low, high = (at.astimezone(UTC) for at in (start, end))
    first = max(low, _FIRST + _ZONES) - _ZONES
    return {"start": start, "end": end, "key_from": first, "key_to": min(high, _LAST - _ZONES) + _ZONES}


def vitals_range(
    connection: psycopg.Connection[Any],
    devices: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    codes: Sequence[int] | None = None,
    limit: int = 100_000,
) -> list[StoredVital]:
    """Return the values of devices from `start` to before `end` (aware times), by key time, at most `limit`.

    `codes`: only these (MDC). Whose a device was in a period is the caller's to know.
    """
    parameters: dict[str, object] = {"devices": list(devices), "limit": limit} | _between(start, end)
    parameters["codes"] = None if codes is None else list(codes)
    with connection.cursor(row_factory=class_row(StoredVital), binary=True) as cursor:
        return cursor.execute(_QUERIES["vitals_range"], parameters).fetchall()


def latest(connection: psycopg.Connection[Any], device: str) -> list[LatestVital]:
    """Return the newest value per code and user of a device."""
    with connection.cursor(row_factory=class_row(LatestVital), binary=True) as cursor:
        return cursor.execute(_QUERIES["latest"], {"device": device}).fetchall()


def trend(
    connection: psycopg.Connection[Any],
    devices: Sequence[str],
    code: int,
    start: datetime,
    end: datetime,
    *,
    points: int = 1500,
) -> list[Bucket]:
    """Return what devices measured of a code (MDC) from `start` to before `end` (aware times), in order of time.

    Each reading by itself where there are few a day; days with many by minute, hour or day, so that at most about
    `points` come of them.
    """
    span = (end - start).total_seconds()
    seconds = next((width for width in _WIDTHS if span / max(width, _RAW_EVERY_S) <= points), _WIDTHS[-1])
    parameters = {"devices": list(devices), "code": code, "seconds": seconds} | _between(start, end)
    with connection.cursor(row_factory=class_row(Bucket), binary=True) as cursor:
        return cursor.execute(_QUERIES["trend"], parameters).fetchall()


def measured_days(
    connection: psycopg.Connection[Any], devices: Sequence[str], code: int, start: datetime, end: datetime, zone: str
) -> dict[date, int]:
    """Return how many readings with a value of a code there are per day of a time zone (IANA name): adherence.

    Days without any are left out. From `start` to before `end` (aware times) by key time.
    """
    parameters = {"devices": list(devices), "code": code, "zone": zone} | _between(start, end)
    return dict(connection.execute(_QUERIES["measured_days"], parameters).fetchall())


def stream(connection: psycopg.Connection[Any], id: UUID) -> StoredStream | None:  # noqa: A002
    """Return what is known of a continuous ECG; None where there is none."""
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        row = cursor.execute(_QUERIES["stream"], {"id": id}).fetchone()
    return None if row is None else _stream(row)


def streams(
    connection: psycopg.Connection[Any], devices: Sequence[str], start: datetime, end: datetime, *, limit: int = 1000
) -> list[StoredStream]:
    """Return the continuous ECGs of devices that overlap a time (aware), newest first, at most `limit`."""
    parameters = {"devices": list(devices), "start": start, "end": end, "limit": limit}
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        return [_stream(row) for row in cursor.execute(_QUERIES["streams"], parameters)]


def _stream(row: dict[str, Any]) -> StoredStream:
    return StoredStream(leads=tuple(row.pop("leads")), uv_per_bit=tuple(row.pop("uv_per_bit")), **row)


def stream_axis(
    connection: psycopg.Connection[Any], of: StoredStream, start: datetime | None = None, end: datetime | None = None
) -> StreamAxis:
    """Return where the pieces of a continuous ECG lie: all of them, or those that touch a time."""
    parameters: dict[str, object] = {"stream": of.id, "first": of.started_at, "last": of.last_at}
    parameters |= {"from": start, "until": end}
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(_QUERIES["pieces"], parameters).fetchone()
    packed = np.frombuffer((row and row[0]) or b"", ">i8").reshape(-1, 5).astype(np.int64)
    return axis.laid(packed, of.fs)


def stream_samples(
    connection: psycopg.Connection[Any], of: StoredStream, along: StreamAxis, start: int, stop: int
) -> Recording:
    """Return the samples `start` to before `stop` of an axis, MISSING where there are none; `fs` is the true rate.

    ValueError where that is more than WINDOW_MOST_S; DamagedError where samples are not those that were stored.
    """
    if not 0 < stop - start <= WINDOW_MOST_S * along.rate + 1:
        raise ValueError(f"window: {stop - start} samples are not 1 sample to {WINDOW_MOST_S:g} s")
    out = np.full((len(of.leads), stop - start), MISSING, np.int32)
    chosen = along.within(start, stop)
    first = dict(zip(along.part[chosen].tolist(), along.first[chosen].tolist(), strict=True))
    if first:
        parameters = {"stream": of.id, "first": of.started_at, "last": of.last_at}
        parameters |= {"low": min(first), "high": max(first)}
        with connection.cursor(binary=True) as cursor:
            for part, n, coder, data, digest in cursor.execute(_QUERIES["chunks"], parameters):
                if part not in first:
                    continue  # it came while we were reading
                samples = codec.decode(data, len(of.leads), n, coder)
                if codec.sha256(samples) != digest:
                    raise DamagedError(f"ecg_chunk {of.id} part {part}: the stored samples have another SHA-256")
                at = first[part] - start
                low, high = max(at, 0), min(at + n, stop - start)
                out[:, low:high] = samples[:, low - at : high - at]
    return Recording(of.leads, along.rate, out, of.uv_per_bit)


def stream_window(
    connection: psycopg.Connection[Any], of: StoredStream, start: datetime, end: datetime
) -> StreamWindow | None:
    """Return a continuous ECG from `start` to before `end` (aware, best known times); None where nothing was recorded.

    The window is cut to the first and the last sample of all. ValueError where it is longer than WINDOW_MOST_S;
    DamagedError as above.
    """
    if not 0 < (end - start).total_seconds() <= WINDOW_MOST_S:
        raise ValueError(f"window: {end - start} is not above 0 and at most {WINDOW_MOST_S:g} s")
    along = stream_axis(connection, of, start, end)
    if not along.total:
        return None
    ends = (max(start, of.taken_from), min(end, of.taken_until))
    low, high = (along.sample(axis.micros(at)) for at in ends)
    there = along.within(low, high)
    if there.start == there.stop:
        return None
    return StreamWindow(moment(along.time_us(low)), stream_samples(connection, of, along, low, high))


def stream_trusted(connection: psycopg.Connection[Any], of: StoredStream) -> bool:
    """Return whether the times of a continuous ECG can be trusted: no clock was unsynced, or it is corrected."""
    return bool(_of_pieces(connection, "stream_trusted", of))


def stream_digest(connection: psycopg.Connection[Any], of: StoredStream) -> bytes:
    """Return the SHA-256 over the SHA-256 of all pieces' samples in their order: what a signature covers."""
    return bytes(_of_pieces(connection, "stream_digest", of))


def _of_pieces(connection: psycopg.Connection[Any], name: str, of: StoredStream) -> Any:
    parameters = {"stream": of.id, "first": of.started_at, "last": of.last_at}
    row = connection.execute(_QUERIES[name], parameters).fetchone()
    if row is None:
        raise RuntimeError(f"{name}: an aggregate without a row")
    return row[0]
