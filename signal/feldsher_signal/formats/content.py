"""What a file says: the recording, and of the person only what an interpretation may know."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from feldsher_ehr_core.ecg import Sex, Subject
from feldsher_ehr_core.ids import order_number, read_order_number

from feldsher_signal.formats.marks import Mark
from feldsher_signal.record import Recording

_SEX: dict[str, Sex] = {"m": "male", "male": "male", "f": "female", "female": "female"}
_MAX_AGE = 130
NOBODY = Subject()
"""A person of whom a file says nothing."""
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Label:
    """What a file says of how it came to be, and nothing of the person: enough to find its order and its time.

    `recorded_at`: the device's time as written, naive where it names no zone. `orders`: what may be our own order
    numbers (feldsher_ehr_core.ids), in the fields that cardiographs have for orders and for the patient's number; what
    has another form is an identifier of somebody else and never gets here; what has it by chance is to be compared with
    the orders that there are, and forgotten.
    """

    recorded_at: datetime | None = None
    maker: str = ""
    model: str = ""
    serial: str = ""
    orders: tuple[str, ...] = ()


UNLABELLED = Label()
"""A file that says nothing of how it came to be."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters that the device had applied, in Hz; None where the file does not say."""

    highpass: float | None = None
    lowpass: float | None = None
    notch: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of any format holds: `format` is its name, `marks` its annotations, `left_out` its other signals.

    `label`: how it came to be.
    """

    recording: Recording
    subject: Subject = NOBODY
    filters: Filters = Filters()
    format: str = ""
    marks: tuple[Mark, ...] = ()
    left_out: tuple[str, ...] = ()
    label: Label = UNLABELLED


def subject(age: object = None, sex: object = None, pacemaker: bool | None = None) -> Subject:
    """Return what a file says of a person; what is no age of 0 to 130 years or neither male nor female is unknown."""
    return Subject(age=_age(age), sex=_SEX.get(str(sex).strip().lower(), "unknown"), pacemaker=pacemaker)


def _age(written: object) -> int | None:
    try:
        years = float(str(written))
    except ValueError:
        return None
    return int(years) if math.isfinite(years) and 0 <= years <= _MAX_AGE else None


def hertz(written: object) -> float | None:
    """Return a filter's frequency, None where what is written is no positive number."""
    try:
        value = float(str(written))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def orders(numbers: Iterable[object], study: str = "") -> tuple[str, ...]:
    """Return the order numbers among what files write as numbers, each once.

    `study`: DICOM's Study Instance UID, which is our order's id where a worklist of ours gave it (2.25 and the id as a
    decimal number: ISO/IEC 9834-8).
    """
    read = [read_order_number(str(number)) for number in numbers if number]
    root, _, rest = study.rpartition(".")
    if root == "2.25" and rest.isascii() and rest.isdigit() and int(rest[:40]) < 1 << 128:
        read.append(order_number(UUID(int=int(rest[:40]))))
    return tuple(dict.fromkeys(number for number in read if number))


def named(written: object) -> str:
    """Return a maker, model or serial number as one line of bounded length."""
    plain = "".join(letter if letter.isprintable() else " " for letter in str(written or "")[:_MAX_NAME])
    return " ".join(plain.split())
