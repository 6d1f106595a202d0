"""Worklist items: what they say of a patient, and which a query finds."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from feldsher_edge.orders import Order
from feldsher_edge.simulate.dicom_cart import query
from feldsher_edge.worklist import answers, entry, matches
from feldsher_edge.worklist_item import Item, item
from feldsher_ehr_core.ecg import Subject
from feldsher_ehr_core.ids import order_number
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

ORDER = UUID("019c7d3e-4c80-7000-8000-00feed123456")
ITEM = Item(
    order_number(ORDER), f"2.25.{ORDER.int}", "cart-1", Subject(age=61, sex="female"), "2026-02-21T09:30:00"
)  # fmt: skip


def test_an_item_says_when_it_was_ordered_in_the_clinics_time() -> None:
    order = Order(ORDER, "cart-1", 10.0, Subject(age=61, sex="female"), "armed")
    made = item(order, ZoneInfo("Europe/Moscow"))
    assert (made.number, made.study, made.device) == (ITEM.number, ITEM.study, "cart-1")
    assert made.ordered_at.startswith("2026-02-21T")


def test_an_item_has_the_order_number_where_carts_show_name_and_number() -> None:
    it = entry(ITEM, "CART1")
    assert (str(it.PatientName), it.PatientID, it.AccessionNumber) == (f"{ITEM.number}^Order", ITEM.number, ITEM.number)
    assert (it.PatientSex, it.PatientAge, it.PatientBirthDate) == ("F", "061Y", "")
    assert it.StudyInstanceUID == ITEM.study
    (step,) = it.ScheduledProcedureStepSequence
    assert (step.Modality, step.ScheduledStationAETitle) == ("ECG", "CART1")
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20260221", "093000")


def test_what_an_interpretation_must_know_is_said_and_what_is_unknown_is_empty() -> None:
    warned = entry(Item("1", "2.25.1", "c", Subject(pacemaker=True, pregnant=True), "2026-02-21T09:30:00"), "CART1")
    assert (warned.MedicalAlerts, warned.PregnancyStatus) == ("Pacemaker", 3)
    assert (warned.PatientSex, warned.PatientAge) == ("", "")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, True),
        ({"PatientID": ITEM.number}, True),
        ({"PatientID": f"{ITEM.number[:4]}-{ITEM.number[4:].lower()}"}, True),
        ({"PatientID": ITEM.number[:3] + "*"}, True),
        ({"PatientID": "???"}, False),
        ({"PatientName": "*"}, True),
        ({"PatientName": ITEM.number + "*"}, True),
        ({"PatientName": "PETROVA*"}, False),
        ({"AccessionNumber": ITEM.number}, True),
        ({"AccessionNumber": "X"}, False),
        ({"StudyInstanceUID": ITEM.study}, True),
        ({"StudyInstanceUID": "1.2"}, False),
        ({"Modality": "ECG"}, True),
        ({"Modality": "US"}, False),
        ({"ScheduledStationAETitle": "CART1"}, True),
        ({"ScheduledStationAETitle": "CART2"}, False),
        ({"ScheduledProcedureStepStartDate": "20260221"}, True),
        ({"ScheduledProcedureStepStartDate": "20260222"}, False),
        ({"ScheduledProcedureStepStartDate": "20260220-20260221"}, True),
        ({"ScheduledProcedureStepStartDate": "20260222-"}, False),
        ({"ScheduledProcedureStepStartDate": "-20260221"}, True),
        ({"PatientBirthDate": "19640101"}, True),  # not supported for matching: demands nothing
    ],
)
def test_what_a_query_finds(wanted: dict[str, str], found: bool) -> None:
    assert len(list(answers(query(**wanted), [ITEM], "CART1"))) == found


def test_an_answer_has_what_was_asked_and_nothing_else() -> None:
    asked = query()
    asked.PatientAddress = ""
    (answer,) = answers(asked, [ITEM], "CART1")
    assert {it.keyword for it in answer} == {it.keyword for it in asked}
    assert answer.PatientAddress in (None, "")
    (step,) = answer.ScheduledProcedureStepSequence
    assert "ScheduledStationName" not in step
    whole = Dataset()
    whole.add_new(0x00400100, "SQ", [])
    (answer,) = answers(whole, [ITEM], "CART1")
    assert answer.ScheduledProcedureStepSequence[0].ScheduledStationName == "cart-1"


@given(st.text(alphabet="A*?-.(1", max_size=64))
def test_no_pattern_takes_long_or_raises(wanted: str) -> None:
    asked = Dataset()
    asked.PatientID = wanted
    assert matches(asked, entry(ITEM, "CART1")) in (True, False)
