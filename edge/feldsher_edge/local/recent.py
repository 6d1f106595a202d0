"""What was measured lately, from the outbox's own rows, sent or not: critical ECGs, last readings."""

from __future__ import annotations

from feldsher_ehr_core import vitals, wire
from feldsher_signal import codec
from feldsher_signal.record import Recording

from feldsher_edge.local.words import EcgLine, ReadingLine
from feldsher_edge.outbox import Outbox
from feldsher_edge.room import RECEIPTED, Priority

MOST = 30
_ECGS = "SELECT seq, state, body FROM message WHERE kind = 'ecg' AND class = ? AND state < 2 ORDER BY seq DESC LIMIT ?"
_VITALS = "SELECT state, body FROM message WHERE kind = 'vitals' AND class = ? ORDER BY seq DESC LIMIT ?"


def critical(outbox: Outbox) -> list[EcgLine]:
    """Return the newest ECGs with a critical statement, the newest first."""
    rows = outbox.store.rows(_ECGS, (int(Priority.ALARM), MOST))
    return [_ecg_line(int(seq), state == RECEIPTED, bytes(body)) for seq, state, body in rows]


def _ecg_line(seq: int, sent: bool, body: bytes) -> EcgLine:
    message = wire.decode_up(body)
    if not isinstance(message, wire.EcgRecording) or message.interpretation is None:
        raise TypeError(f"row {seq} is no interpreted ECG")
    found = message.interpretation
    alarms = [it for it in found.statements if it.critical]
    said, codes = tuple(it.text for it in alarms), tuple(it.code for it in alarms)
    return EcgLine(seq, message.device, message.started_us, sent, found.measurements.rate, said, codes)


def ecg(outbox: Outbox, seq: int) -> wire.EcgRecording | None:
    """Return one critical ECG, None where there is none of this number: other rows are not given out."""
    sql = "SELECT body FROM message WHERE seq = ? AND kind = 'ecg' AND class = ? AND state < 2"
    row = outbox.store.one(sql, (seq, int(Priority.ALARM)))
    message = None if row is None else wire.decode_up(bytes(row[0]))
    return message if isinstance(message, wire.EcgRecording) else None


def recording(message: wire.EcgRecording) -> Recording:
    """Return the samples of a message."""
    samples = codec.decode(message.samples, len(message.leads), message.n, message.codec)
    return Recording(message.leads, message.fs, samples, message.uv_per_bit)


def readings(outbox: Outbox) -> list[ReadingLine]:
    """Return the values of the last single readings, the newest first; running monitoring is not among them."""
    lines: list[ReadingLine] = []
    for state, body in outbox.store.rows(_VITALS, (int(Priority.VITALS), MOST)):
        message = wire.decode_up(bytes(body))
        if isinstance(message, wire.VitalsBatch):
            lines += _values(message, sent=state == RECEIPTED)
    return lines[: 2 * MOST]


def _values(message: wire.VitalsBatch, *, sent: bool) -> list[ReadingLine]:
    lines: list[ReadingLine] = []
    for code, value, absent, unit, at in zip(
        message.code, message.value, message.absent, message.unit, message.received_us, strict=True
    ):
        known = vitals.VITALS.get(code)
        name = known.display if known is not None else f"MDC {code}"
        lines.append(ReadingLine(message.device, name, value or str(absent), unit, at, sent, code))
    return lines
