"""What a message must be before it is stored: on its own topic, readable, its samples whole, its values numbers.

Pure functions: bytes in, a checked message or a reasoned rejection out. Nothing here is dropped: a rejection carries
the bytes on to the dead letters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from uuid import UUID

import msgspec
from feldsher_ehr_core import wire
from feldsher_ehr_core.ecg import Interpretation
from feldsher_signal import codec

Cause = Literal["topic", "payload", "oversized", "samples", "values", "database", "unexpected"]
"""Why a message is a dead letter. `unexpected`: it made this program itself stumble; the reason names the error."""

MAX_SECONDS = 60.0
"""Longest recording that is one message; longer ones are streams (docs/architecture.md)."""
MAX_FS = 32_000.0
MAX_LEADS = 32
MAX_PARTS = 10_000_000
"""Pieces of one continuous ECG: three years of ten seconds each."""
MAX_DECODED = 16_000_000
"""Bytes of decoded samples: 60 s of 12 leads at 5 kHz; what a codec bomb may at most occupy."""
_EARLIEST_US = 0
_LATEST_US = 4_294_967_295_000_000
"""Key times from 1970 to 2106: a clock beyond them scatters chunks over centuries and is nobody's measurement."""
_MIN_OFFSET, _MAX_OFFSET = -12 * 60, 14 * 60
"""Offsets from UTC in use on Earth, minutes (IANA time zone database: Etc/GMT+12 to Pacific/Kiritimati)."""
_MIN_SCALE, _MAX_SCALE = 1e-6, 1e6
"""Microvolts per unit: beyond them int32 samples are either no cardiogram or no finite voltage."""
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_DECIMALS: set[str | None] = {None}
"""Texts that are known to be decimal numbers: vital signs repeat, and a look here is a tenth of the other."""
_KNOWN = 65_536
_HEAD_BYTES = 8_000_000
_TIMES = 16_384
"""Local times remembered, about 2 MB: each is asked for when a batch is checked, and again when it is made ready."""


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (a device's local time has no zone)
_MICROSECOND = timedelta(microseconds=1)


class _Head(msgspec.Struct):
    """As much of a message as tells whose it is."""

    env: wire.Envelope
    kind: str = ""


_head = msgspec.msgpack.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Checked:
    """A message that may be stored, with what it came as."""

    topic: str
    payload: bytes
    message: wire.UpMessage


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that may not, and why. `gateway`: as the topic claims; `message_id`, `kind`: where readable.

    `own`: the envelope names the topic's gateway, so a receipt `quarantined` may release its outbox.
    """

    topic: str
    payload: bytes
    cause: Cause
    reason: str
    gateway: str | None
    message_id: UUID | None
    kind: str | None
    own: bool


def topic_gateway(topic: str) -> str | None:
    """Return the gateway that a topic claims, None where the topic is not of a gateway's form."""
    parts = topic.split("/")
    return parts[3] if len(parts) == 6 and parts[4] == "up" else None


def check(topic: str, payload: bytes) -> Checked | Rejected:
    """Return the message of a payload where everything in it may be stored, else the reason why not; never raises."""
    try:
        return _check(topic, payload)
    except Exception as error:  # a message that we did not foresee is a dead letter, not the end of the service
        return reject(topic, payload, "unexpected", describe(error))


def describe(error: Exception) -> str:
    """Return an unforeseen error as the reason of a dead letter: its type and its first line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _check(topic: str, payload: bytes) -> Checked | Rejected:
    if len(payload) > wire.MAX_BYTES:
        return reject(topic, payload, "oversized", f"payload: {len(payload)} bytes, more than {wire.MAX_BYTES}")
    try:
        message = wire.decode_up(payload)
    except wire.WireError as error:
        return reject(topic, payload, "payload", str(error))
    try:
        wire.check_topic(topic, message)
    except wire.WireError as error:
        return reject(topic, payload, "topic", str(error))
    try:
        _check_content(message)
    except codec.CodecError as error:
        return reject(topic, payload, "samples", str(error))
    except ValueError as error:
        return reject(topic, payload, "values", str(error))
    return Checked(topic, payload, message)


def reject(topic: str, payload: bytes, cause: Cause, reason: str) -> Rejected:
    """Return the rejection of a payload, with as much of its envelope as can be read."""
    gateway = topic_gateway(topic)
    try:
        head = _head.decode(payload) if len(payload) <= _HEAD_BYTES else None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        head = None
    if head is None:
        return Rejected(topic, payload, cause, reason, gateway, None, None, own=False)
    own = head.env.gateway == gateway
    return Rejected(topic, payload, cause, reason, gateway, head.env.id, head.kind or None, own)


def device_now_us(batch: wire.VitalsBatch) -> int | None:
    """Return the device's clock at the session as microseconds since 1970, read in the gateway's offset.

    ValueError where `device_now` is not ISO 8601 without offset, or not between 1970 and 2106.
    """
    if batch.device_now is None or batch.gateway_now_us is None:
        return None
    us = local_us("$.device_now", batch.device_now) - batch.env.offset_min * 60_000_000
    _check_time("$.device_now", us)
    return us


def local_us(field: str, text: str) -> int:
    """Return a device's local time as microseconds since 1970, read as if it were UTC.

    ValueError names the field where the text is not ISO 8601 without offset.
    """
    us = _local_us(text)
    if us is None:
        raise ValueError(f"{field}: {text[:40]!r} is not ISO 8601 local time without offset")
    return us


@lru_cache(_TIMES)
def _local_us(text: str) -> int | None:
    try:
        if _LOCAL.fullmatch(text):
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except ValueError:  # the 30th of February
        pass
    return None


def _check_time(field: str, us: int) -> None:
    if not _EARLIEST_US <= us <= _LATEST_US:
        raise ValueError(f"{field}: {us} microseconds is not between 1970 and 2106")


def _check_finite(field: str, number: float | None) -> None:
    if number is not None and not math.isfinite(number):
        raise ValueError(f"{field}: {number} is not a finite number")


def _check_content(message: wire.UpMessage) -> None:
    offset = message.env.offset_min
    if not _MIN_OFFSET <= offset <= _MAX_OFFSET:
        raise ValueError(f"$.env.offset_min: {offset} minutes is not between {_MIN_OFFSET} and {_MAX_OFFSET}")
    _check_time("$.env.wall_us", message.env.wall_us)
    if isinstance(message, wire.EcgRecording):
        _check_recording(message)
    elif isinstance(message, wire.LiveStrip):
        _check_samples(message)
        codec.decode(message.samples, len(message.leads), message.n, message.codec)
    elif isinstance(message, wire.VitalsBatch):
        _check_vitals(message)
    elif isinstance(message, wire.Heartbeat):
        for source, age in message.sources.items():
            _check_finite(f"$.sources[{source[:40]!r}]", age)
    elif isinstance(message, wire.ClockOffset) and abs(message.offset_us) > _LATEST_US:
        raise ValueError(f"$.offset_us: {message.offset_us} microseconds is more than a clock can be wrong")


def _check_samples(recording: wire.EcgRecording | wire.LiveStrip) -> None:
    leads, n, fs = len(recording.leads), recording.n, recording.fs
    if not 1 <= leads <= MAX_LEADS or len(set(recording.leads)) != leads:
        raise ValueError(f"leads: 1 to {MAX_LEADS} different names are needed, not {leads}")
    if not 0 < fs <= MAX_FS:
        raise ValueError(f"fs: {fs} is not above 0 and at most {MAX_FS:g} per second")
    if not 1 <= n <= fs * (MAX_SECONDS + 1):
        raise ValueError(f"n: {n} samples at {fs:g} per second are not 1 sample to {MAX_SECONDS:g} s")
    if leads * n * 4 > MAX_DECODED:
        raise ValueError(f"n: {leads} leads of {n} samples are more than {MAX_DECODED} bytes")
    for i, scale in enumerate(recording.uv_per_bit):
        if not _MIN_SCALE <= abs(scale) <= _MAX_SCALE:  # below 0: the device counts downwards
            raise ValueError(f"$.uv_per_bit[{i}]: {scale} is not {_MIN_SCALE:g} to {_MAX_SCALE:g} µV of either sign")


def _check_recording(recording: wire.EcgRecording) -> None:
    _check_samples(recording)
    _check_finite("$.clock_ratio", recording.clock_ratio)
    _check_time("started_us", recording.started_us)
    _check_time("ended_us", recording.ended_us)
    if recording.stream is not None:
        _check_piece(recording)
    if recording.interpretation is not None:
        _check_interpretation(recording.interpretation)
    samples = codec.decode(recording.samples, len(recording.leads), recording.n, recording.codec)
    if codec.sha256(samples) != recording.sha256:
        raise codec.CodecError("sha256: the decoded samples have another one")


def _check_piece(piece: wire.EcgRecording) -> None:
    """Check what only a piece of a continuous ECG must be: it is stored without what belongs to a whole one."""
    if not 0 <= piece.part < MAX_PARTS:
        raise ValueError(f"$.part: {piece.part} is not 0 to {MAX_PARTS - 1}")
    if piece.ended_us < piece.started_us:
        raise ValueError("$.ended_us: the piece ends before it begins")
    for field in ("order", "subject", "interpretation", "origin"):
        if getattr(piece, field) is not None:
            raise ValueError(f"$.{field}: a piece of a continuous ECG has none")


def _check_interpretation(found: Interpretation) -> None:
    _check_finite("$.interpretation.fs", found.fs)
    for name in found.measurements.__struct_fields__:
        _check_finite(f"$.interpretation.measurements.{name}", getattr(found.measurements, name))
    for code, score in found.scores.items():
        _check_finite(f"$.interpretation.scores[{code[:40]!r}]", score)


def _check_vitals(batch: wire.VitalsBatch) -> None:
    if not _DECIMALS.issuperset(batch.value):
        _check_decimals(batch.value)
    _check_sent(batch)
    for field in ("time_us", "received_us"):
        times: tuple[int, ...] = getattr(batch, field)
        if times:
            _check_time(field, min(times))
            _check_time(field, max(times))
    if batch.gateway_now_us is not None:
        _check_time("$.gateway_now_us", batch.gateway_now_us)
    if batch.raw and len(batch.raw) not in (len(batch.reading), len(set(batch.reading))):
        raise ValueError(f"raw: {len(batch.raw)} entries for {len(batch.reading)} values")
    device_now_us(batch)


def _check_decimals(values: Sequence[str | None]) -> None:
    for i, value in enumerate(values):
        if value in _DECIMALS or value is None:
            continue
        if not _DECIMAL.fullmatch(value):
            raise ValueError(f"value[{i}]: {value[:40]!r} is not a decimal number")
        if len(_DECIMALS) >= _KNOWN:
            _DECIMALS.clear()
            _DECIMALS.add(None)
        _DECIMALS.add(value)


def _check_sent(batch: wire.VitalsBatch) -> None:
    for sent in set(batch.sent_at):
        if sent is not None:
            us = _local_us(sent)
            if us is None or not _EARLIEST_US <= us <= _LATEST_US:  # named only now: a name costs as much as the look
                field = f"$.sent_at[{batch.sent_at.index(sent)}]"
                _check_time(field, local_us(field, sent))
