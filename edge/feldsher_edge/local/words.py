"""What is said over the gateway's local socket: one JSON line asks, one answers; a live strip answers with many."""

from __future__ import annotations

import msgspec


class TrialRecording(msgspec.Struct, frozen=True, tag="test"):
    """Take a test recording of `seconds` and judge the signal; it is stored nowhere and sent to nobody."""

    device: str
    seconds: float = 4.0


class Ecgs(msgspec.Struct, frozen=True, tag="ecgs"):
    """List the newest ECGs with a critical statement."""


class Picture(msgspec.Struct, frozen=True, tag="picture"):
    """Draw one of them."""

    seq: int


class Readings(msgspec.Struct, frozen=True, tag="readings"):
    """List the last readings."""


class LiveStrip(msgspec.Struct, frozen=True, tag="live"):
    """Send every piece of every running recording, until the connection is closed."""


Question = TrialRecording | Ecgs | Picture | Readings | LiveStrip


class Fault(msgspec.Struct, frozen=True):
    """Why there is no answer, for the technician."""

    error: str


class LeadSignal(msgspec.Struct, frozen=True):
    """One lead of a test recording: `range_uv` from the lowest to the highest sample; `missing` of its samples, 0–1."""

    lead: str
    range_uv: float
    missing: float
    off: bool


class Judged(msgspec.Struct, frozen=True):
    """How a test recording was: `lost` samples, `errors` damaged frames, `clock_ratio` device's seconds over ours."""

    device: str
    seconds: float
    lost: int
    errors: int
    clock_ratio: float | None
    partial: str | None
    leads: tuple[LeadSignal, ...]


class EcgLine(msgspec.Struct, frozen=True):
    """A critical ECG: what stands in it and under which codes, when it was taken, and whether the cloud has it.

    `taken_us`: µs since 1970.
    """

    seq: int
    device: str
    taken_us: int
    sent: bool
    rate: float | None
    statements: tuple[str, ...]
    codes: tuple[str, ...] = ()


class Drawn(msgspec.Struct, frozen=True):
    """The ECG on paper."""

    svg: str


class ReadingLine(msgspec.Struct, frozen=True):
    """One value of a reading: `name` and MDC `code` of what was measured, value and unit as text, when it came."""

    device: str
    name: str
    value: str
    unit: str
    received_us: int
    sent: bool
    code: int = 0


class Piece(msgspec.Struct, frozen=True):
    """A piece of a running recording in whole µV, one row a lead; None where a sample is missing."""

    device: str
    fs: float
    leads: tuple[str, ...]
    first: int
    uv: tuple[tuple[int | None, ...], ...]
