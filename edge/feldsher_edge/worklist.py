"""The worklist of a cart: orders as DICOM modality worklist items (PS3.4 annex K), and which of them a query asks for.

No item names a patient: the order's number stands where carts show a name and a number, beside age and sex. Whoever
takes the ECG compares the number with the one on the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import cast

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from feldsher_edge.worklist_item import Item

_SEX = {"male": "M", "female": "F", "unknown": ""}
_PREGNANT = 3
"""Pregnancy Status (0010,21C0): 0003 definitely pregnant (PS3.3 C.2.2.1)."""
_SINGLE = ("AccessionNumber", "RequestedProcedureID", "StudyInstanceUID")
_NAMES = ("PatientID", "PatientName")


def entry(item: Item, station: str) -> Dataset:
    """Return the worklist item of an order for the cart with the AE title `station`."""
    it, step = Dataset(), Dataset()
    at = datetime.fromisoformat(item.ordered_at)
    step.Modality = "ECG"
    step.ScheduledStationAETitle = station
    step.ScheduledStationName = item.device[:16]
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription = "12-lead ECG"
    step.ScheduledProcedureStepID = item.number
    it.ScheduledProcedureStepSequence = Sequence([step])
    it.PatientName, it.PatientID = f"{item.number}^Order", item.number
    it.PatientBirthDate, it.PatientSex = "", _SEX[item.subject.sex]
    it.PatientAge = "" if item.subject.age is None else f"{item.subject.age:03d}Y"
    it.MedicalAlerts = "Pacemaker" if item.subject.pacemaker else ""
    it.PregnancyStatus = _PREGNANT if item.subject.pregnant else None
    it.AccessionNumber = it.RequestedProcedureID = item.number
    it.StudyInstanceUID = item.study
    it.RequestedProcedureDescription, it.RequestedProcedurePriority = "12-lead ECG", ""
    it.ReferringPhysicianName = it.RequestingPhysician = ""
    it.ReferencedStudySequence = Sequence()
    return it


def answers(query: Dataset, items: Iterable[Item], station: str) -> Iterator[Dataset]:
    """Return what a query (C-FIND identifier) finds, each with the attributes that it asks for."""
    for item in items:
        found = entry(item, station)
        if matches(query, found):
            yield _asked(query, found)


def matches(query: Dataset, found: Dataset) -> bool:
    """Return whether an item has all that a query demands; what is empty or not supported demands nothing."""
    if not all(_equal(_text(query, name), _text(found, name)) for name in _SINGLE):
        return False
    if not all(_like(_text(query, name), _text(found, name)) for name in _NAMES):
        return False
    wanted, step = _step(query), _step(found)
    if wanted is None or step is None:
        return True
    names = ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepID")
    if not all(_equal(_text(wanted, name), _text(step, name)) for name in names):
        return False
    return _within(_text(wanted, "ScheduledProcedureStepStartDate"), _text(step, "ScheduledProcedureStepStartDate"))


def _step(of: Dataset) -> Dataset | None:
    steps = cast("list[Dataset] | None", of.get("ScheduledProcedureStepSequence"))
    return steps[0] if steps else None


def _text(of: Dataset, name: str) -> str:
    value = of.get(name)
    return "" if value is None else str(value).strip()


def _equal(wanted: str, held: str) -> bool:
    return wanted in ("", "*") or wanted in held.split("\\")


def _like(wanted: str, held: str) -> bool:
    """Match wildcards (PS3.4 C.2.2.2.4); names and typed numbers without regard to case."""
    if not wanted.strip("*"):
        return True
    pattern = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in _plain(wanted))
    return re.fullmatch(re.sub(r"(?:\.\*)+", ".*", pattern), _plain(held)) is not None


def _plain(text: str) -> str:
    return text[:64].upper().replace("-", "")


def _within(wanted: str, held: str) -> bool:
    """Match a date or a range of dates (PS3.4 C.2.2.2.5), dates of eight digits in the order of their text."""
    first, dash, last = wanted.partition("-")
    if not dash:
        return wanted in ("", "*", held)
    return (first or held) <= held <= (last or held)


def _asked(query: Dataset, found: Dataset) -> Dataset:
    """Return the attributes of an item that are in a query, empty where the item has none, down into its sequences."""
    out = Dataset()
    for wanted in query:
        name = wanted.keyword
        if not name or name == "SpecificCharacterSet":
            continue
        if wanted.tag not in found:
            out.add_new(wanted.tag, wanted.VR, [] if wanted.VR == "SQ" else None)
            continue
        held = found[wanted.tag]
        if held.VR == "SQ" and wanted.VR == "SQ":
            inner = wanted.value[0] if wanted.value else None
            parts = [_asked(inner, part) if inner is not None and len(inner) else part for part in held.value]
            setattr(out, name, Sequence(parts))
        else:
            out[wanted.tag] = held
    return out
