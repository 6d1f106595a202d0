"""The ledger of messages: who is new. Nothing of a message that is in it is stored again."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from feldsher_ehr_core import wire
from psycopg.rows import TupleRow

from feldsher_ingest import copied, rows, sql
from feldsher_ingest.clocks import base_us
from feldsher_ingest.copied import Copier
from feldsher_ingest.rows import Key, Spans

_QUERIES = sql.load("store.sql")
Connection = psycopg.Connection[TupleRow]


class Ledger:
    """Enters the messages of one connection's batches."""

    def __init__(self) -> None:
        self._copier = Copier()

    def enter(
        self, connection: Connection, messages: Sequence[wire.UpMessage], spans: Spans, ready: bytes | None
    ) -> dict[Key, wire.UpMessage]:
        """Enter messages; return the new ones in their order. `ready`: what `entries` made of the same."""
        every: dict[Key, wire.UpMessage] = {}
        for message in messages:
            every.setdefault((message.env.gateway, message.env.id), message)
        if ready is not None and self._copier.copied(connection, _QUERIES["copy_ledger"], ready):
            return every
        if not every:
            return every
        new = set(connection.execute(_QUERIES["ledger"], rows.ledger(messages, spans)).fetchall())
        return {key: message for key, message in every.items() if key in new}


def entries(messages: Sequence[wire.UpMessage], spans: Spans) -> bytes | None:
    """Return messages ready to be copied; None where an insert is better: few, or one twice."""
    envelopes = [m.env for m in messages]
    if len(messages) < copied.WORTH or len({(e.id, e.gateway) for e in envelopes}) < len(messages):
        return None
    keys = rows.ledger_spans(messages, spans)
    return copied.body(
        copied.text([e.gateway for e in envelopes]),
        copied.uuid([e.id for e in envelopes]),
        copied.times([rows.made_ms(e.id) * 1000 for e in envelopes]),
        copied.text([str(m.__struct_config__.tag) for m in messages]),
        copied.uuid([e.boot for e in envelopes]),
        copied.int8([e.seq for e in envelopes]),
        copied.int8([e.mono_ns for e in envelopes]),
        copied.text([e.clock for e in envelopes]),
        copied.text([getattr(m, "device", None) for m in messages]),
        copied.int8([base_us(e) for e in envelopes]),
        copied.times([k and k[0] for k in keys]),
        copied.times([k and k[1] for k in keys]),
    )
