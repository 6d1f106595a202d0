"""SMART scopes: what is one, what it covers, and what of it narrows."""

from __future__ import annotations

import pytest
from feldsher_cloud_api import scope


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("patient/Observation.rs", ("patient", "Observation", "rs", ())),
        ("user/*.cruds", ("user", "*", "cruds", ())),
        ("system/*.read", ("system", "*", "rs", ())),
        ("system/Patient.write", ("system", "Patient", "cud", ())),
        ("user/*.*", ("user", "*", "cruds", ())),
        (
            "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
            (
                "patient", "Observation", "rs",
                (("category", "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"),),
            ),
        ),
        ("user/Task.u?code=a&status=ready,draft", ("user", "Task", "u", (("code", "a"), ("status", "ready,draft")))),
    ],
)  # fmt: skip
def test_what_a_scope_says(text: str, expected: tuple[object, ...]) -> None:
    of = scope.parse(text)
    assert of is not None
    assert (of.context, of.kind, of.letters, of.narrowed) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "openid", "launch/patient", "patient/Observation", "patient/Observation.", "patient/Observation.sr",
        "patient/observation.rs", "admin/Patient.rs", "patient/*.rs?category=x", "patient/Observation.read?category=x",
        "patient/Observation.rs?", "patient/Observation.rs?category", "patient/Observation.rs?category=",
        "patient/Observation.rs?=x", "patient/Observation.rs?_include=Observation:subject", "patient/Observation.rs\n",
        "patient/Observation.rs?" + "&".join(f"code={i}" for i in range(9)), "user/Patient.rs?name=" + "x" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_scope_about_resources(text: str) -> None:
    assert scope.parse(text) is None


def test_covering_asks_for_context_type_and_letter() -> None:
    scopes = ("patient/Observation.r?category=a", "user/Observation.s", "user/*.r", "openid")
    found = scope.covering(scopes, {"user"}, "Observation", "r")
    assert [of.kind for of in found] == ["*"]
    assert [of.context for of in scope.covering(scopes, {"user", "patient"}, "Observation", "r")] == ["patient", "user"]
    assert scope.covering(scopes, {"user"}, "Observation", "u") == []
