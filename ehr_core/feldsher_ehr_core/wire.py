"""The messages between gateway and cloud: msgspec structures in MessagePack on MQTT 5 topics.

Topics: `feldsher/1/<shard>/<gateway>/up/<kind>` and `feldsher/1/<gateway>/down/<kind>`. Every message up carries an
envelope; the message id is made at the edge, so any repeat is harmless. Fields are only ever added, with a default; the
golden file of a message version is never edited. No message carries a patient's name or identifier.
"""

from __future__ import annotations

from typing import Literal, TypeVar, get_args
from uuid import UUID

import msgspec

from feldsher_ehr_core.ecg import Interpretation, Subject
from feldsher_ehr_core.ids import SHARDS, gateway_id, shard
from feldsher_ehr_core.vitals import Absent

VERSION = 1
MAX_BYTES = 1_000_000
"""Largest message either side accepts: 60 s of 12 leads at 500 Hz fit even uncompressed (720 kB)."""

ClockQuality = Literal["synced", "holdover", "unsynced"]


class WireError(ValueError):
    """A payload or topic that is not one of ours; the text names the field or byte."""


class Envelope(msgspec.Struct, frozen=True):
    """Who sent a message, in what order, and when by which clock.

    `id`: UUIDv7 made at the edge. `boot`: random per start of the gateway's kernel. `seq`: counts up per gateway for
    ever. `mono_ns`: the kernel's monotonic clock; with `boot` it lets the cloud correct `wall_us` (microseconds since
    1970 UTC) later. `offset_min`: the wall clock's offset from UTC in minutes.
    """

    id: UUID
    gateway: str
    boot: UUID
    seq: int
    mono_ns: int
    wall_us: int
    offset_min: int
    clock: ClockQuality


class Up(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True, omit_defaults=True):
    """What every message from a gateway has.

    `historical`: it waited in the gateway for long (no link), so that nobody is to be called for it as if it were now.
    """

    v: int = VERSION
    env: Envelope
    historical: bool = False


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a recording came from that a foreign cardiograph made: what its file or DICOM object says, but of nobody.

    `via`: how it reached the gateway; `format`, `sha256`, `size`: of the original, which is kept sealed under that
    hash. `recorded_at`: the cardiograph's local time as it wrote it, ISO 8601, None where it wrote none; `arrived_us`:
    gateway wall time at which the original was taken. `part`: which of how many that a long recording was cut into.
    `doubts`: what speaks against its order or its time, in words.
    """

    via: Literal["folder", "dicom"]
    format: str
    sha256: bytes
    size: int
    arrived_us: int
    recorded_at: str | None = None
    maker: str | None = None
    model: str | None = None
    serial: str | None = None
    part: tuple[int, int] = (1, 1)
    doubts: tuple[str, ...] = ()


class EcgRecording(Up, frozen=True, tag="ecg"):
    """One cardiogram of at most 60 s, as sampled, with its interpretation.

    `samples`: lead after lead, coded as `codec` says (feldsher_signal.codec); `sha256`: of the decoded little-endian
    int32 samples, lead-major. `uv_per_bit`: microvolts per unit, per lead. `started_us`/`ended_us`: gateway wall time
    of the first and after the last sample. `lost`: samples missing by the device's own counting; `crc_errors`: frames
    discarded; `partial`: why the recording is shorter than ordered. `order`: None = unassigned. `origin`: where another
    cardiograph than our own made it; then `subject` may be what that said. `stream`: this is piece `part` (from 0 on)
    of a continuous recording, nothing to report on by itself; time missing between two pieces was not recorded.
    """

    device: str
    order: UUID | None
    fs: float
    leads: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    n: int
    codec: str
    samples: bytes
    sha256: bytes
    started_us: int
    ended_us: int
    lost: int = 0
    crc_errors: int = 0
    clock_ratio: float | None = None
    partial: str | None = None
    lead_off: tuple[str, ...] = ()
    subject: Subject | None = None
    interpretation: Interpretation | None = None
    not_interpreted: str | None = None
    origin: Origin | None = None
    stream: UUID | None = None
    part: int = 0


class VitalsBatch(Up, frozen=True, tag="vitals"):
    """Vital signs as columns: index i of every column is one value; values of one reading share `reading`.

    `reading`: reading id (feldsher_ehr_core.ids.reading_id). `code`: MDC. `value`: decimal text as the device sent it,
    None where `absent` says why. `unit`: UCUM. `sent_at`: the device's local time as sent, ISO 8601 without offset,
    None where it has no clock. `time_us`: the key time: the device's time as sent read in the gateway's offset, else
    the gateway's receiving time; never changes. `device_now`/`gateway_now_us`: coincident clocks of the session.
    `continuous`: values of running monitoring, about one a second, for the time series alone; the gateway sends one a
    minute of them in a batch of its own, for the record. `unowned`: they may have been measured before the device was
    paired with this gateway, so no assignment tells whose they are.
    """

    device: str
    model: str | None
    reading: tuple[UUID, ...]
    code: tuple[int, ...]
    value: tuple[str | None, ...]
    absent: tuple[Absent | None, ...]
    unit: tuple[str, ...]
    sent_at: tuple[str | None, ...]
    time_us: tuple[int, ...]
    received_us: tuple[int, ...]
    user: tuple[int | None, ...]
    status: tuple[int | None, ...]
    device_now: str | None = None
    gateway_now_us: int | None = None
    raw: tuple[bytes, ...] = ()
    continuous: bool = False
    unowned: bool = False


class Birth(Up, frozen=True, tag="birth"):
    """A gateway has started: its software and what is attached. `starts` counts the daemon's starts."""

    software: str
    starts: int
    devices: tuple[str, ...] = ()


class Heartbeat(Up, frozen=True, tag="heartbeat"):
    """A gateway is alive: what waits in its outbox, and the age of every source's last sign of life in seconds.

    `unseen`: configured devices that have given no sign of life since the gateway's start.
    """

    outbox_rows: int
    outbox_bytes: int
    oldest_us: int | None
    sources: dict[str, float]
    unseen: tuple[str, ...] = ()


class Death(Up, frozen=True, tag="death"):
    """A gateway's connection ended: `cause` is `will` (the broker speaks for it) or `stopping`."""

    cause: Literal["will", "stopping"]


class DeviceStatus(Up, frozen=True, tag="device"):
    """A device was seen, lost, or reported something of itself."""

    device: str
    state: Literal["present", "absent", "busy", "fault"]
    detail: str | None = None
    battery: int | None = None
    model: str | None = None
    firmware: str | None = None


OrderStateName = Literal["armed", "recording", "taken", "lapsed", "replaced", "refused", "failed"]


class OrderState(Up, frozen=True, tag="order"):
    """What became of an order; `armed` also acknowledges its arrival."""

    order: UUID
    state: OrderStateName
    detail: str | None = None


class ClockOffset(Up, frozen=True, tag="clock"):
    """The gateway's clock was set, or its error became known.

    `base_us`: true time minus monotonic time of this boot; with it every message of the boot that was made by a clock
    not synchronised is corrected, whatever happened to the wall clock in between. Where it is None, wall time before
    this message was `offset_us` behind the true time if `trusted`; else the clock was set to something nobody vouches
    for, and this is only a record.
    """

    offset_us: int
    source: str
    base_us: int | None = None
    trusted: bool = True


class Gap(Up, frozen=True, tag="gap"):
    """What was dropped and why: nothing is lost without a record of it.

    `what`: a kind of message, `reading` where only readings were thinned out of messages, or `outbox`. `count` of them
    made from `first_us` to `last_us` (gateway's wall time), with `readings` measured readings in them; `device`: whose.
    """

    what: str
    why: str
    count: int
    first_us: int
    last_us: int
    device: str | None = None
    readings: int = 0


ReportedState = Literal["none", "working", "applied", "refused", "rolled-back", "failed"]


class Reported(Up, frozen=True, tag="reported"):
    """How a gateway stands to what the cloud wants of it: its configuration, its software, its certificate.

    `config`/`update` are the version and the sequence in force (0: none from the cloud); `*_wanted` those that
    `*_state` and `*_detail` speak of. `config_sha256`: of the text in force. `slot`: which of A and B runs.
    `certificate_until_us`: end of the certificate's life. `task`: the command (Down.id) that this answers, with
    `task_state` and `task_detail`. `machine`, `python`: what an update must be made for (`aarch64`, `3.11`).
    """

    software: str
    config: int = 0
    config_wanted: int = 0
    config_state: ReportedState = "none"
    config_detail: str | None = None
    update: int = 0
    update_wanted: int = 0
    update_state: ReportedState = "none"
    update_detail: str | None = None
    slot: str | None = None
    certificate_until_us: int | None = None
    task: UUID | None = None
    task_state: ReportedState = "none"
    task_detail: str | None = None
    config_sha256: str | None = None
    machine: str | None = None
    python: str | None = None


class LiveStrip(Up, frozen=True, tag="live"):
    """A piece of a running recording for the eye only: QoS 0, no outbox. Samples as in EcgRecording."""

    device: str
    order: UUID | None
    fs: float
    leads: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    first: int
    n: int
    codec: str
    samples: bytes


UpMessage = (
    EcgRecording
    | VitalsBatch
    | Birth
    | Heartbeat
    | Death
    | DeviceStatus
    | OrderState
    | ClockOffset
    | Gap
    | LiveStrip
    | Reported
)


class Down(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True, omit_defaults=True):
    """What every message to a gateway has: its own id and the cloud's time."""

    v: int = VERSION
    id: UUID
    sent_us: int


class OrderCommand(Down, frozen=True, tag="order"):
    """Take an ECG: arms the cardiograph. Repeats of one `order` are harmless. `lapses_us`: then it is given up."""

    order: UUID
    device: str
    seconds: float
    lapses_us: int
    subject: Subject
    action: Literal["take", "cancel"] = "take"


class Configuration(Down, frozen=True, tag="config"):
    """The wanted configuration: a TOML text with its version; `signature` covers both."""

    version: int
    toml: str
    signature: bytes = b""


ReceiptState = Literal["stored", "duplicate", "quarantined"]


class Receipt(Down, frozen=True, tag="receipt"):
    """What the cloud has committed: message ids and each one's state, as columns. Releases outbox rows."""

    ids: tuple[UUID, ...]
    states: tuple[ReceiptState, ...]


class ResendRequest(Down, frozen=True, tag="resend"):
    """Send again what was already receipted, from `since_us` on by the gateway's wall time of making."""

    since_us: int
    until_us: int | None = None


class Update(Down, frozen=True, tag="update"):
    """Install an update: its manifest (JSON bytes, feldsher_ehr_core.signed) and the release key's signature over it.

    `device`: the kit that a firmware is for, empty for the gateway itself. The artefact is fetched from the cloud.
    """

    manifest: bytes
    signature: bytes
    device: str = ""


class Diagnose(Down, frozen=True, tag="diagnose"):
    """Send a diagnostics bundle, without personal data, to the cloud."""


class Wipe(Down, frozen=True, tag="wipe"):
    """Forget everything: identity, outbox, bonds. `signature` names this gateway and this command's id.

    `force`: also what the cloud has not receipted yet; otherwise the gateway waits until its outbox is empty.
    """

    signature: bytes
    force: bool = False


DownMessage = OrderCommand | Configuration | Receipt | ResendRequest | Update | Diagnose | Wipe

UP_KINDS = tuple(str(t.__struct_config__.tag) for t in get_args(UpMessage))
DOWN_KINDS = tuple(str(t.__struct_config__.tag) for t in get_args(DownMessage))

_encoder = msgspec.msgpack.Encoder()
_up = msgspec.msgpack.Decoder(UpMessage)
_down = msgspec.msgpack.Decoder(DownMessage)
_T = TypeVar("_T")


def encode(message: Up | Down) -> bytes:
    """Return a message as MessagePack; WireError where it is larger than either side accepts."""
    payload = _encoder.encode(message)
    if len(payload) > MAX_BYTES:
        raise WireError(f"payload: {len(payload)} bytes, more than {MAX_BYTES}")
    return payload


def _decode(decoder: msgspec.msgpack.Decoder[_T], payload: bytes) -> _T:
    if len(payload) > MAX_BYTES:
        raise WireError(f"payload: {len(payload)} bytes, more than {MAX_BYTES}")
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise WireError(f"payload: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"payload: not MessagePack: {error}") from error


def decode_up(payload: bytes) -> UpMessage:
    """Return a gateway's message, checked as far as its own bytes allow; WireError names what is wrong."""
    message = _decode(_up, payload)
    try:
        gateway_id(message.env.gateway)
    except ValueError as error:
        raise WireError(f"payload: {error} - at `$.env.gateway`") from error
    if message.v != VERSION:
        raise WireError(f"payload: version {message.v} is not known - at `$.v`")
    if isinstance(message, VitalsBatch):
        _same_length(message)
    if isinstance(message, EcgRecording | LiveStrip) and len(message.uv_per_bit) != len(message.leads):
        raise WireError(f"payload: {len(message.uv_per_bit)} scales for {len(message.leads)} leads - at `$.uv_per_bit`")
    return message


def decode_down(payload: bytes) -> DownMessage:
    """Return the cloud's message; WireError names what is wrong."""
    message = _decode(_down, payload)
    if isinstance(message, Receipt) and len(message.ids) != len(message.states):
        raise WireError(f"payload: {len(message.states)} states for {len(message.ids)} ids - at `$.states`")
    return message


def _same_length(batch: VitalsBatch) -> None:
    n = len(batch.reading)
    for name in ("code", "value", "absent", "unit", "sent_at", "time_us", "received_us", "user", "status"):
        if len(getattr(batch, name)) != n:
            raise WireError(f"payload: {len(getattr(batch, name))} entries where `reading` has {n} - at `$.{name}`")
    if None not in batch.value and batch.absent.count(None) == n:
        return  # the usual case, at a tenth of the loop's cost
    for i, (value, absent) in enumerate(zip(batch.value, batch.absent, strict=True)):
        if (value is None) == (absent is None):
            raise WireError(f"payload: a value or the reason of its absence is needed - at `$.value[{i}]`")


def up_topic(gateway: str, kind: str) -> str:
    """Return the topic of a gateway's messages of one kind."""
    return f"feldsher/{VERSION}/{shard(gateway)}/{gateway}/up/{kind}"


def down_topic(gateway: str, kind: str) -> str:
    """Return the topic of the cloud's messages of one kind to one gateway (or of all kinds: `+`)."""
    return f"feldsher/{VERSION}/{gateway}/down/{kind}"


def check_topic(topic: str, message: UpMessage) -> None:
    """Raise WireError where a message arrived on a topic that is not its gateway's, shard's and kind's own."""
    expected = up_topic(message.env.gateway, str(message.__struct_config__.tag))
    if topic != expected:
        raise WireError(f"topic: {topic!r} where the message says {expected!r}")


def up_filter(one_shard: int) -> str:
    """Return the subscription of one shard, 0 to 15."""
    if not 0 <= one_shard < SHARDS:
        raise ValueError(f"shard: {one_shard} is not 0 to {SHARDS - 1}")
    return f"feldsher/{VERSION}/{one_shard}/+/up/+"
