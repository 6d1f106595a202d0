"""Rights as data: every type has its class and its lines, nonsense is named, and the page for review is true."""

from __future__ import annotations

from importlib import resources

import pytest
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.rights import LETTERS, read, rights
from feldsher_tools import rights as page

TEXT = (resources.files("feldsher_cloud_api") / "rights.toml").read_text("utf-8")


def test_every_type_of_r4_has_a_class() -> None:
    assert set(rights().classes) == set(definitions().resources)


def test_what_the_standard_puts_into_a_patients_compartment_is_of_that_class() -> None:
    elsewhere = {"Group": "staff", "Schedule": "directory"}  # whole lists of people; timetables everybody books from
    found = {kind: rights().classes[kind] for kind in definitions().compartment}
    assert {kind: of for kind, of in found.items() if of != "compartment"} == elsewhere


def test_every_line_has_a_reason_and_every_role_a_line() -> None:
    of = rights()
    assert all(len(why) >= 8 for kinds in of.why.values() for why in kinds.values())
    assert set(of.roles) == {
        "doctor", "feldsher", "nurse", "registrar", "pharmacist", "examiner", "patient", "proxy", "technician",
        "manager", "service", "client-administrator",
    }  # fmt: skip
    assert all(any(kinds.values()) for kinds in of.letters.values())


def test_nobody_deletes_but_services_and_nobody_touches_the_trail() -> None:
    of = rights()
    deleting = {role for role, kinds in of.letters.items() for x in kinds.values() if "d" in x}
    assert deleting == {"service"}
    assert {of.letters[role].get("AuditEvent", "") for role in of.roles} <= {"", "rs", "crs"}


def test_who_keeps_the_machines_sees_no_patient() -> None:
    of = rights()
    clinical = of.of_class("compartment", "staff")
    for role, facts in of.roles.items():
        if facts.reach == "none":
            assert not [kind for kind, x in of.letters[role].items() if x and kind in clinical], role


def test_only_who_reaches_every_patient_may_have_what_is_of_many() -> None:
    of = rights()
    having = {role for role in of.roles if any(of.may(role, kind, "r") for kind in of.of_class("staff"))}
    assert {of.roles[role].reach for role in having} == {"care", "all"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('role = "nurse"\non', 'role = "nurze"\non', "no role nurze"),
        ('types = ["Consent"]', 'types = ["Consent", "Task"]', "Task of group consent is in another group"),
        ('letters = "crus"', 'letters = "srcu"', "'srcu' are not some of cruds, in this order"),
        ('letters = "crus"', 'letters = "cu"', "'cu' without r"),
        ('on = ["money"]', 'on = ["mony"]', "mony is neither a group nor a type"),
        ('reach = "granted"', 'reach = "some"', "some"),
        ('why = "treats:', 'because = "treats:', "because"),
        ("majority_years = 18", "majority_years = eighteen", "rights: "),
    ],
)
def test_nonsense_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=said):
        read(TEXT.replace(old, new, 1).encode())


def test_a_later_line_replaces_and_takes_away() -> None:
    of = rights()
    assert of.letters["doctor"]["Patient"] == "rus"
    assert of.letters["doctor"]["RelatedPerson"] == "crus"
    assert of.letters["patient"]["Task"] == ""
    assert not of.may("patient", "Task", "r")
    assert not of.may("stranger", "Patient", "r")
    assert set(LETTERS) == set("cruds")


def test_the_page_for_review_is_true() -> None:
    assert page.PAGE.read_text("utf-8") == page.page(rights()), "run python -m feldsher_tools.rights"
