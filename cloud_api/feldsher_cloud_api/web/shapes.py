"""What the pages show: plain frozen values, free of tables and of FHIR."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from feldsher_ehr_core.ids import order_number

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """What of a list a page shows: its newest rows, and how many there are in all."""

    rows: tuple[Row, ...]
    total: int

    @property
    def cut(self) -> bool:
        """Whether there are more than are shown."""
        return self.total > len(self.rows)


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as the head of a page names them."""

    id: UUID
    name: str
    birth_date: date | None
    sex: str

    def age(self, on: date) -> int | None:
        """Return the full years of age on a day, None where the birth date is not known."""
        if self.birth_date is None:
            return None
        before = (on.month, on.day) < (self.birth_date.month, self.birth_date.day)
        return on.year - self.birth_date.year - before


@dataclass(frozen=True, slots=True)
class Reading:
    """One blood pressure reading: mmHg and pulse per minute; None where the device sent no number (`note` says why).

    `at` is the best known time; `sent_at` is the device's where its clock was corrected. `as_sent`: numbers and unit as
    the device sent them where they are not mmHg.
    """

    id: UUID
    patient: Person | None
    at: datetime
    systolic: Decimal | None
    diastolic: Decimal | None
    pulse: Decimal | None
    note: str = ""
    sent_at: datetime | None = None
    as_sent: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One ECG report as lists show it; `finding` is already in the reader's language.

    `judged`: `judged`, `limited` (something could not be judged) or `unread` (there is no interpretation).
    `page`: which kind of page shows it, `ecg` or `stream` (a continuous ECG; one that still runs is `registered`).
    """

    id: UUID
    patient: Person | None
    taken: datetime
    status: str
    finding: str
    critical: bool
    judged: str
    page: str = "ecg"

    @property
    def signed(self) -> bool:
        """Whether a physician stands behind it."""
        return self.status in SIGNED


SIGNED = ("final", "amended", "corrected", "appended")


@dataclass(frozen=True, slots=True)
class Order:
    """One ordered ECG and what became of it so far."""

    id: UUID
    patient: Person
    indication: str
    device: str
    state: str
    since: datetime
    detail: str

    @property
    def number(self) -> str:
        """The number to compare, or to type, at a cardiograph that does not take orders by itself."""
        number = order_number(self.id)
        return f"{number[:4]}-{number[4:]}"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the worklist: among the critical or the rest, after `key`; `before` reports stand before it."""

    critical: bool
    key: tuple[str, ...]
    before: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """One open alarm; `kind`, `what` and `doubts` are already in the reader's language.

    `alerts`: how many were gathered on it, measured from `first` to `latest`; `what`, `doubts`: of the newest. `late`:
    none of them was news when it came. `report`: the cardiogram to sign, which answers it. `version`: of its Task,
    which is what a reader answers.
    """

    id: UUID
    version: int
    patient: Person | None
    priority: str
    kind: str
    what: tuple[str, ...]
    first: datetime
    latest: datetime
    alerts: int
    late: bool
    doubts: tuple[str, ...]
    report: UUID | None


@dataclass(frozen=True, slots=True)
class Work:
    """One page of the doctor's worklist; `waiting` and `critical` count all ECGs that wait, `more` those after it."""

    ecgs: tuple[Report, ...]
    waiting: int
    critical: int
    more: int
    following: Place | None
    orders: Part[Order]
    readings: tuple[Reading, ...]
    alarms: Part[Alarm]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a patient: where it is read, what it is, and of when."""

    address: str
    title: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """One access to a patient's record."""

    at: datetime
    who: str
    role: str
    action: str
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A one-time claim, shown once."""

    gateway: str
    text: str
    until: datetime
