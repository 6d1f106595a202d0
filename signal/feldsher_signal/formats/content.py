"""What a file says: the recording, and of the person only what an interpretation may know."""

from __future__ import annotations

import math
from dataclasses import dataclass

from feldsher_ehr_core.ecg import Sex, Subject

from feldsher_signal.formats.marks import Mark
from feldsher_signal.record import Recording

_SEX: dict[str, Sex] = {"m": "male", "male": "male", "f": "female", "female": "female"}
_MAX_AGE = 130
NOBODY = Subject()
"""A person of whom a file says nothing."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters that the device had applied, in Hz; None where the file does not say."""

    highpass: float | None = None
    lowpass: float | None = None
    notch: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of any format holds: `format` is its name, `marks` its annotations, `left_out` its other signals."""

    recording: Recording
    subject: Subject = NOBODY
    filters: Filters = Filters()
    format: str = ""
    marks: tuple[Mark, ...] = ()
    left_out: tuple[str, ...] = ()


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
