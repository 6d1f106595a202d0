"""What a device driver gives the gateway, and what the gateway gives a driver.

A driver knows bytes, wires and radio; it knows no outbox, no MQTT, no order and no patient. One file per driver. Every
driver takes its clock as an argument (`DeviceClock`) and delivers into a `Sink`, whose calls return only after the data
is committed to disk: a Bluetooth driver calls it inside the notification callback, before the device may forget.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol
from uuid import UUID

import numpy as np
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.vitals import Absent
from feldsher_ehr_core.wire import Origin
from numpy.typing import NDArray


class DeviceError(Exception):
    """A device that cannot do what was asked now; the text says why, for the technician."""


class DeviceClock(Protocol):
    """The two clocks a driver stamps with."""

    def wall_us(self) -> int:
        """Return the gateway's wall time, microseconds since 1970 UTC."""
        ...

    def mono_ns(self) -> int:
        """Return the kernel's monotonic time, nanoseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself."""

    model: str
    serial: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True)
class Integrity:
    """How whole a recording is: samples expected, received and lost, damaged frames, device's clock over ours."""

    expected: int
    received: int
    lost: int
    errors: int
    clock_ratio: float | None


@dataclass(frozen=True, slots=True)
class EcgResult:
    """One recording as a cardiograph delivered it.

    `samples`: int32 (leads, n), `feldsher_signal.record.MISSING` where a frame was lost; `uv_per_bit`: microvolts per
    unit, one per lead; `started_us`/`ended_us`: wall time of the first and after the last sample; `lost`: samples
    missing by the device's own counting; `clock_ratio`: device's clock over the gateway's; `partial`: why the recording
    is shorter than asked, None where it is whole; `origin` and `subject`: what a foreign cardiograph's file says.
    `stream`: it is piece `part` of a continuous recording.
    """

    device: str
    leads: tuple[str, ...]
    fs: float
    samples: NDArray[np.int32]
    uv_per_bit: tuple[float, ...]
    started_us: int
    ended_us: int
    lost: int = 0
    crc_errors: int = 0
    clock_ratio: float | None = None
    lead_off: tuple[str, ...] = ()
    partial: str | None = None
    origin: Origin | None = None
    subject: Subject | None = None
    stream: UUID | None = None
    part: int = 0

    @property
    def integrity(self) -> Integrity:
        """How whole it is."""
        expected = int(self.samples.shape[1])
        return Integrity(expected, expected - self.lost, self.lost, self.crc_errors, self.clock_ratio)


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """A piece of a running recording for the eye: int32 (leads, n) from sample `first` on, MISSING where lost."""

    device: str
    fs: float
    leads: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    first: int
    samples: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a reading: MDC code, the decimal as sent or why there is none, and its UCUM unit."""

    code: int
    value: Decimal | Absent
    unit: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a device measured at one moment.

    `sent_at`: the device's local time as sent, naive, None where it has no clock; `received_us`: the gateway's wall
    time; `user`: the device's user number; `status`: its status bits as sent; `sequence`: its record number where it
    counts; `raw`: the bytes as received.
    """

    values: tuple[Value, ...]
    received_us: int
    sent_at: datetime | None = None
    user: int | None = None
    status: int | None = None
    sequence: int | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class ReadingSet:
    """Readings of one session with one device.

    `device`: its address or system id; `device_now` (naive, as read) and `gateway_now_us` are the two clocks read at
    the same moment, None where the device shows no clock. `continuous`: running monitoring, about one reading a second;
    where room is short, it is thinned to one a minute; for the time series alone. `unowned`: they may have been
    measured before the device was paired with this gateway (`belonging.py`).
    """

    device: str
    model: str | None
    readings: tuple[Reading, ...]
    device_now: datetime | None = None
    gateway_now_us: int | None = None
    continuous: bool = False
    unowned: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """A device was seen, lost, or reported something of itself."""

    device: str
    state: Literal["present", "absent", "busy", "fault"]
    detail: str | None = None
    battery: int | None = None
    identity: Identity | None = None


class Sink(Protocol):
    """Where drivers deliver. Every call is synchronous, thread-safe, and returns after the commit to disk (≈2 ms).

    What it cannot commit (disk full) it raises as OSError: a driver then must not confirm to the device.
    """

    def readings(self, readings: ReadingSet) -> None:
        """Commit readings; repeats of the same reading are harmless."""
        ...

    def unreadable(self, device: str, raw: bytes, why: str) -> None:
        """Commit bytes that no parser could read, with the reason: they are quarantined and reported, never dropped."""
        ...

    def recorded(self, result: EcgResult) -> None:
        """Commit a recording that the device started by itself: it is published as unassigned."""
        ...

    def status(self, status: Status) -> None:
        """Note a sign of life or a fault; repeats of the same state are not published."""
        ...

    def live(self, chunk: LiveChunk) -> None:
        """Show a piece of a running recording: nothing is stored, nothing waits, and nothing is raised."""
        ...


class Cardiograph(Protocol):
    """An electrocardiograph that can be told to record."""

    @property
    def device(self) -> str:
        """The id by which orders name it."""
        ...

    async def run(self, sink: Sink) -> None:
        """Keep the connection until cancelled: open, identify, report status, reopen after a loss.

        Recordings that the device starts by itself go to `sink.recorded`.
        """
        ...

    async def identify(self) -> Identity:
        """Return what the device says of itself; DeviceError where it does not answer."""
        ...

    async def record(self, seconds: float) -> EcgResult:
        """Take a recording; DeviceError where none can start.

        A recording that breaks off in the middle is returned with `partial`. Cancelling stops the device.
        """
        ...


class Cuff(Protocol):
    """A device that brings readings by itself: blood pressure, thermometer, scale."""

    @property
    def device(self) -> str:
        """The name the technician configured it under; readings carry the device's own address."""
        ...

    async def run(self, sink: Sink) -> None:
        """Wait for the device, receive, commit in the notification callback, disconnect; until cancelled."""
        ...


class Cart(Protocol):
    """What takes recordings of cardiographs that are asked for nothing: a watched folder, a port."""

    @property
    def device(self) -> str:
        """Its name in the log."""
        ...

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids by which orders name the cardiographs behind it."""
        ...

    async def run(self, sink: Sink) -> None:
        """Take what they bring until cancelled; to `sink` go only their states."""
        ...
