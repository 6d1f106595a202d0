"""Messages as the parameters of the store's queries: columns for what comes in numbers, rows for what does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from feldsher_ehr_core import ids, wire
from feldsher_ehr_core.ecg import Interpretation

from feldsher_ingest import arrays
from feldsher_ingest.check import Rejected
from feldsher_ingest.clocks import base_us
from feldsher_ingest.readings import Columns

Params = dict[str, object]
Key = tuple[str, UUID]
Spans = Mapping[Key, tuple[int, int]]
"""First and last key time of messages with readings, microseconds."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """What only the database knows of some columns: numbers of their sources and shapes, and the best known times."""

    sources: Sequence[int]
    shapes: Sequence[int]
    corrected_us: Sequence[int | None]


_MADE_FROM_MS = 1_577_836_800_000  # 2020-01-01
_MADE_TO_MS = 4_102_444_800_000  # 2100-01-01


def made_ms(message_id: UUID) -> int:
    """Return the time inside a UUIDv7 in ms since 1970, brought into 2020 to 2100: the ledger's partition key."""
    return min(max(ids.made_ms(message_id), _MADE_FROM_MS), _MADE_TO_MS)


def ledger(messages: Sequence[wire.UpMessage], spans: Spans) -> Params:
    """Return the columns of `ledger`."""
    envelopes = [m.env for m in messages]
    keys = ledger_spans(messages, spans)
    return {
        "gateway": arrays.text([e.gateway for e in envelopes]),
        "id": arrays.uuid([e.id for e in envelopes]),
        "made_ms": arrays.int8([made_ms(e.id) for e in envelopes]),
        "kind": arrays.text([str(m.__struct_config__.tag) for m in messages]),
        "boot": arrays.uuid([e.boot for e in envelopes]),
        "seq": arrays.int8([e.seq for e in envelopes]),
        "mono_ns": arrays.int8([e.mono_ns for e in envelopes]),
        "clock": arrays.text([e.clock for e in envelopes]),
        "device": arrays.text([getattr(m, "device", None) for m in messages]),
        "base_us": arrays.int8([base_us(e) for e in envelopes]),
        "key_from": arrays.int8([k and k[0] for k in keys]),
        "key_to": arrays.int8([k and k[1] for k in keys]),
    }


def ledger_spans(messages: Sequence[wire.UpMessage], spans: Spans) -> list[tuple[int, int] | None]:
    """Return the spans to be entered: where a clock may be corrected later, a message's readings are looked for."""
    return [None if m.env.clock == "synced" else spans.get((m.env.gateway, m.env.id)) for m in messages]


def vitals(columns: Columns, numbered: Numbered) -> Params:
    """Return the columns of `vitals`."""
    return {
        "reading_id": arrays.uuid(columns.reading_id),
        "message_id": arrays.uuid([columns.envelopes[m].id for m in columns.message]),
        "key_us": arrays.int8(columns.key_us),
        "time_us": arrays.int8(columns.time_us),
        "received_us": arrays.int8(columns.received_us),
        "corrected_us": arrays.int8(numbered.corrected_us),
        "behind_us": arrays.int8(columns.behind_us),
        "source": arrays.int4([numbered.sources[s] for s in columns.source]),
        "shape": arrays.int4([numbered.shapes[s] for s in columns.shape]),
        "status": arrays.int4(columns.status),
        "clocked": arrays.boolean(columns.clocked),
        "value": arrays.text([_array(v) for v in columns.value]),
        "absent": arrays.text([_array_or_none(a) for a in columns.absent]),
        "statuses": arrays.text([_array_or_none(s) for s in columns.statuses]),
        "sent_at": arrays.text(columns.sent_at),
        "raw": arrays.bytea(columns.raw),
    }


def renewed(columns: Columns, numbered: Numbered) -> Params:
    """Return the columns of `renew`: the newest readings, and which days of which sources changed."""
    # one order for everybody: two who renew the same at once do not wait for each other crosswise
    kinds = [(numbered.sources[columns.source[i]], numbered.shapes[columns.shape[i]], i) for i in columns.newest()]
    newest = [i for _, _, i in sorted(kinds)]
    days = [(numbered.sources[source], day) for source, day in columns.days()]
    return {
        "due_source": arrays.int4([source for source, _ in days]),
        "due_day": arrays.int4([day for _, day in days]),
        "source": arrays.int4([numbered.sources[columns.source[i]] for i in newest]),
        "shape": arrays.int4([numbered.shapes[columns.shape[i]] for i in newest]),
        "reading_id": arrays.uuid([columns.reading_id[i] for i in newest]),
        "key_us": arrays.int8([columns.key_us[i] for i in newest]),
        "time_us": arrays.int8([columns.time_us[i] for i in newest]),
        "corrected_us": arrays.int8([numbered.corrected_us[i] for i in newest]),
        "value": arrays.text([_array(columns.value[i]) for i in newest]),
        "absent": arrays.text([_array_or_none(columns.absent[i]) for i in newest]),
    }


def _array_or_none(entries: Sequence[object] | None) -> str | None:
    return None if entries is None else _array(entries)


def _array(entries: Sequence[object]) -> str:
    """Return PostgreSQL's text of an array; the entries are numbers and plain words."""
    return f"{{{','.join(['NULL' if e is None else str(e) for e in entries])}}}"


def sequenced(columns: Columns) -> Params:
    """Return the columns of `sequenced`."""
    return {
        "reading_id": [columns.reading_id[i] for i in columns.sequenced],
        "message_id": [columns.envelopes[columns.message[i]].id for i in columns.sequenced],
        "gateway": [columns.envelopes[columns.message[i]].gateway for i in columns.sequenced],
    }


def recording(message: wire.EcgRecording, shift: int | None) -> Params:
    """Return the parameters of `recording`."""
    found = message.interpretation
    same = ("device", "fs", "n", "codec", "samples", "sha256", "started_us", "ended_us", "lost", "crc_errors")
    rest = ("clock_ratio", "partial", "not_interpreted")
    params: Params = {name: getattr(message, name) for name in same + rest}
    return params | {
        "id": message.env.id,
        "gateway": message.env.gateway,
        "clock": message.env.clock,
        "order_id": message.order,
        "leads": arrays.words(message.leads),
        "uv_per_bit": arrays.floats(message.uv_per_bit),
        "corrected_us": message.started_us + shift if shift else None,
        "lead_off": arrays.words(message.lead_off),
        "subject": None if message.subject is None else json(message.subject),
        "engine": None if found is None else found.engine,
        "statements": None if found is None else [s.code for s in found.statements],
        "interpretation": None if found is None else pack(found),
        "origin": None if message.origin is None else json(message.origin),
    }


def piece(message: wire.EcgRecording, shift: int | None) -> Params:
    """Return the parameters of `stream` and `chunk`: a piece of a continuous ECG."""
    same = ("device", "stream", "part", "fs", "n", "codec", "samples", "sha256", "started_us", "ended_us", "lost")
    params: Params = {name: getattr(message, name) for name in (*same, "crc_errors", "clock_ratio", "partial")}
    return params | {
        "message_id": message.env.id,
        "gateway": message.env.gateway,
        "boot": message.env.boot,
        "clock": message.env.clock,
        "leads": arrays.words(message.leads),
        "uv_per_bit": arrays.floats(message.uv_per_bit),
        "corrected_us": message.started_us + shift if shift else None,
        "lead_off": arrays.words(message.lead_off),
    }


def pack(found: Interpretation) -> bytes:
    """Return an interpretation as it is kept: MessagePack, every number exactly as it came."""
    return msgspec.msgpack.encode(found)


def json(value: object) -> str:
    """Return a structure as JSON text."""
    return msgspec.json.encode(value).decode()


def gateway(message: wire.Birth | wire.Heartbeat | wire.Death) -> Params:
    """Return the parameters of `gateways`: what the message does not say is None and leaves the row as it is."""
    env = message.env
    birth = message if isinstance(message, wire.Birth) else None
    beat = message if isinstance(message, wire.Heartbeat) else None
    return {
        "gateway": env.gateway,
        "state": "offline" if isinstance(message, wire.Death) else "online",
        "boot": env.boot,
        "seq": env.seq,
        "clock": env.clock,
        "wall_us": env.wall_us,
        "software": birth.software if birth else None,
        "starts": birth.starts if birth else None,
        "devices": list(birth.devices) if birth else None,
        "outbox_rows": beat.outbox_rows if beat else None,
        "outbox_bytes": beat.outbox_bytes if beat else None,
        "oldest_us": beat.oldest_us if beat else None,
        "sources": json(beat.sources) if beat else None,
    }


def plain(message: wire.DeviceStatus | wire.Gap | wire.ClockOffset) -> Params:
    """Return the parameters of `device`, `gap` and `clock`: the message's fields beside its envelope's."""
    env = message.env
    params: Params = {"message_id": env.id, "gateway": env.gateway, "boot": env.boot, "mono_ns": env.mono_ns}
    return params | {"wall_us": env.wall_us} | _fields(message)


def _fields(message: wire.UpMessage) -> Params:
    names = [name for name in message.__struct_fields__ if name not in ("v", "env", "historical")]
    return {name: getattr(message, name) for name in names}


def events(messages: Sequence[wire.UpMessage], told: Sequence[tuple[str, str]]) -> Params:
    """Return the columns of `events`; `told`: kind and body of each."""
    return {
        "kind": arrays.text([kind for kind, _ in told]),
        "gateway": arrays.text([m.env.gateway for m in messages]),
        "message_id": arrays.uuid([m.env.id for m in messages]),
        "body": arrays.text([body for _, body in told]),
    }


def event(message: wire.UpMessage, readings: Mapping[Key, list[UUID]], spans: Spans) -> tuple[str, str]:
    """Return the kind and the body (JSON) of the event that tells the cloud worker of a new message.

    `readings`, `spans`: the new readings of each message, and their first and last key time in microseconds, in which
    the worker finds them without looking through years. `historical` is in it where the message waited long: nobody
    is to be called for it as if it were now.
    """
    kind, body = _event(message, readings, spans)
    return kind, json(body | {"historical": True} if message.historical else body)


def _event(message: wire.UpMessage, readings: Mapping[Key, list[UUID]], spans: Spans) -> tuple[str, dict[str, object]]:
    if isinstance(message, wire.EcgRecording) and message.stream is not None:
        return "ecg_stream", {"stream": message.stream, "device": message.device}
    if isinstance(message, wire.EcgRecording):
        return "ecg", {"recording": message.env.id, "order": message.order, "device": message.device}
    if isinstance(message, wire.VitalsBatch):
        key = message.env.gateway, message.env.id
        body: dict[str, object] = {"readings": readings[key], "device": message.device, "model": message.model}
        body |= {"key_us": spans[key]}
        body |= {"unowned": True} if message.unowned else {}
        return "vitals", body | {"continuous": True} if message.continuous else body
    if isinstance(message, wire.Birth | wire.Heartbeat | wire.Death):
        return "gateway", {"state": str(message.__struct_config__.tag)}
    return str(message.__struct_config__.tag), _fields(message)


def dead_letter(rejected: Rejected) -> Params:
    """Return the parameters of `dead_letter`. PostgreSQL's text holds no NUL: topic and reason show it as U+FFFD."""
    digest = hashlib.sha256(rejected.topic.encode() + b"\0" + rejected.payload).digest()
    return {
        "digest": digest,
        "topic": rejected.topic.replace("\0", "�"),
        "payload": rejected.payload,
        "cause": rejected.cause,
        "reason": rejected.reason.replace("\0", "�")[:2000],
        "gateway": None if rejected.gateway is None else rejected.gateway.replace("\0", "�"),
        "message_id": rejected.message_id,
        "kind": None if rejected.kind is None else rejected.kind.replace("\0", "�")[:40],
    }
