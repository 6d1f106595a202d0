"""Value sets expanded over what is loaded and what R4 defines, compared with what R4's definitions count up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.terminology import canonical, compose, expand
from feldsher_tools.clinic import Clinic

ICD = {
    "resourceType": "CodeSystem",
    "status": "active",
    "content": "complete",
    "caseSensitive": True,
    "concept": [
        {
            "code": "I",
            "display": "Diseases of the circulatory system",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [
                {
                    "code": "I10",
                    "display": "Essential hypertension",
                    "designation": [{"language": "ru", "value": "Эссенциальная гипертензия"}],
                },
                {
                    "code": "I48",
                    "display": "Atrial fibrillation",
                    "concept": [
                        {"code": "I48.0", "display": "Paroxysmal"},
                        {
                            "code": "I48.9",
                            "display": "Unspecified",
                            "property": [{"code": "inactive", "valueBoolean": True}],
                        },
                    ],
                },
            ],
        },
        {"code": "E", "display": "Endocrine", "property": [{"code": "chapter", "valueString": "IV"}]},
    ],
}


@pytest.fixture
def url(clinic: Clinic) -> Iterator[str]:
    """The address of a loaded code system, a new one each time."""
    address = f"urn:test:{uuid4()}"
    with clinic.owner() as connection:
        identity = store.new_id(clinic.time.now)
        store.insert(connection, ICD | {"url": address, "id": str(identity)}, now=clinic.time.now)
        yield address
        with connection.transaction():
            store.delete(connection, "CodeSystem", identity, now=clinic.time.now)
        left = connection.execute("SELECT count(*) FROM fhir.terminology WHERE url = %s", (address,)).fetchone()
    assert left == (0,)


Expand = Callable[..., dict[str, Any]]


@pytest.fixture
def expanded(clinic: Clinic) -> Expand:
    """Expands a compose over HTTP, as a doctor."""
    headers = clinic.sign_in("doctor")

    def of(include: Any, exclude: Any = None, **parameters: Any) -> dict[str, Any]:
        composed = {"include": include} | ({"exclude": exclude} if exclude else {})
        value_set = {"resourceType": "ValueSet", "status": "draft", "compose": composed}
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "valueSet", "resource": value_set}]
            + [{"name": n, "valueString": str(v)} for n, v in parameters.items()],
        }
        answer = clinic.browser.post("/fhir/ValueSet/$expand", json=body, headers=headers)
        return answer.json() | {"http": answer.status_code}

    return of


def codes(answer: dict[str, Any]) -> list[str]:
    assert answer["http"] == 200, answer
    return [c["code"] for c in answer["expansion"]["contains"]]


def test_expansions_are_the_codes_that_r4s_definitions_count_up(clinic: Clinic) -> None:
    different: list[str] = []
    compared = 0
    with clinic.owner() as connection:
        for name, systems in definitions().codes.items():
            found = canonical.find(connection, "ValueSet", f"http://hl7.org/fhir/ValueSet/{name}")
            if found is None:
                continue
            compared += 1
            held = compose.members(compose.Evaluation(connection), found.content)
            if {(s, c) for s, cs in systems.items() for c in cs} != set(held):
                different.append(name)
    assert not different
    assert compared > 200


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([], ["I", "I10", "I48", "I48.0", "I48.9", "E"]),
        ([("concept", "is-a", "I48")], ["I48", "I48.0", "I48.9"]),
        ([("concept", "descendent-of", "I48")], ["I48.0", "I48.9"]),
        ([("concept", "is-not-a", "I")], ["E"]),
        ([("concept", "generalizes", "I48.0")], ["I", "I48", "I48.0"]),
        ([("code", "regex", "I4.*")], ["I48", "I48.0", "I48.9"]),
        ([("code", "in", "I10, E")], ["I10", "E"]),
        ([("code", "not-in", "I10,E")], ["I", "I48", "I48.0", "I48.9"]),
        ([("chapter", "=", "IV")], ["E"]),
        ([("chapter", "exists", "true")], ["E"]),
        ([("parent", "=", "I48")], ["I48.0", "I48.9"]),
        ([("child", "=", "I48.0")], ["I48"]),
        ([("concept", "is-a", "I"), ("code", "regex", ".*0")], ["I10", "I48.0"]),
    ],
)
def test_filters(url: str, expanded: Expand, filters: list[tuple[str, str, str]], wanted: list[str]) -> None:
    asked = [{"property": p, "op": o, "value": v} for p, o, v in filters]
    assert codes(expanded([{"system": url} | ({"filter": asked} if asked else {})])) == wanted


def test_words_pages_languages_and_what_is_active(url: str, expanded: Expand) -> None:
    whole = [{"system": url}]
    assert codes(expanded(whole, filter="fibril ATR")) == ["I48"]
    assert codes(expanded(whole, filter="гипертензия")) == ["I10"]
    page = expanded(whole, count=2, offset=3)
    assert (codes(page), page["expansion"]["total"], page["expansion"]["offset"]) == (["I48.0", "I48.9"], 6, 3)
    assert "I48.9" not in codes(expanded(whole, activeOnly="true"))
    assert codes(expanded(whole, excludeNotForUI="true"))[0] == "I10"
    russian = expanded([{"system": url, "concept": [{"code": "I10"}]}], displayLanguage="ru-RU,ru;q=0.9")
    assert russian["expansion"]["contains"][0]["display"] == "Эссенциальная гипертензия"
    marks = {c["code"]: (c.get("abstract"), c.get("inactive")) for c in expanded(whole)["expansion"]["contains"]}
    assert (marks["I"], marks["I48.9"], marks["E"]) == ((True, None), (None, True), (None, None))


def test_listed_excluded_and_unknown_codes(url: str, expanded: Expand) -> None:
    listed = [{"code": "I10", "display": "High blood pressure"}, {"code": "of no system"}]
    only = expanded([{"system": url, "concept": listed}])
    assert [(c["code"], c["display"]) for c in only["expansion"]["contains"]] == [("I10", "High blood pressure")]
    below = {"system": url, "filter": [{"property": "concept", "op": "is-a", "value": "I48"}]}
    assert codes(expanded([{"system": url}], [below])) == ["I", "I10", "E"]
    elsewhere = expanded([{"system": "urn:elsewhere", "concept": [{"code": "x", "display": "X"}]}])
    assert codes(elsewhere) == ["x"]


REFUSED: list[tuple[Any, int, str | None]] = [
    ([{"system": "urn:elsewhere"}], 422, "not-found"),
    ([{"valueSet": ["urn:nowhere"]}], 404, "not-found"),
    ([{"system": "{url}", "filter": [{"property": "code", "op": "regex", "value": "("}]}], 422, "invalid"),
    ([{"system": "{url}", "filter": [{"property": "code", "op": "regex", "value": "a" * 300}]}], 422, "too-costly"),
    ([{"system": "{url}", "filter": [{"property": "display", "op": "is-a", "value": "x"}]}], 422, "not-supported"),
    ([{}], 422, None),
    ("nonsense", 422, None),
    ([{"system": 1}], 422, None),
]


@pytest.mark.parametrize(("include", "status", "code"), REFUSED)
def test_refusals_are_outcomes(url: str, expanded: Expand, include: Any, status: int, code: str | None) -> None:
    if isinstance(include, list) and include and include[0].get("system") == "{url}":  # pyright: ignore[reportUnknownMemberType]
        include = [include[0] | {"system": url}]
    answer = expanded(include)
    assert (answer["http"], answer["resourceType"]) == (status, "OperationOutcome"), answer
    assert code in (None, answer["issue"][0]["code"])


def test_value_sets_may_not_include_themselves(clinic: Clinic) -> None:
    first, second = f"urn:test:{uuid4()}", f"urn:test:{uuid4()}"
    with clinic.owner() as connection, connection.transaction(force_rollback=True):
        for own, other in ((first, second), (second, first)):
            composed = {"include": [{"valueSet": [other]}]}
            resource = {"resourceType": "ValueSet", "status": "active", "url": own, "compose": composed}
            store.insert(connection, resource | {"id": str(uuid4())}, now=clinic.time.now)
        with pytest.raises(FhirError, match="includes itself") as refusal:
            compose.members(compose.Evaluation(connection), canonical.get(connection, "ValueSet", first).content)
    assert (refusal.value.status, refusal.value.code) == (422, "business-rule")


def test_too_long_an_expansion_is_asked_for_by_pages(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_AT_ONCE", 20)
    clinic.sign_in("doctor")
    address = "/fhir/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/resource-types"
    answer = clinic.browser.get(address)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")
    paged = clinic.browser.get(address + "&count=10&offset=5").json()["expansion"]
    assert (paged["total"], len(paged["contains"])) == (148, 10)


def test_concepts_follow_their_resource(clinic: Clinic, url: str) -> None:
    with clinic.owner() as connection, connection.transaction(force_rollback=True):
        row = connection.execute("SELECT resource FROM fhir.terminology WHERE url = %s", (url,)).fetchone()
        assert row is not None
        stored = store.read(connection, "CodeSystem", row[0])
        store.update(connection, stored.content() | {"concept": [{"code": "new"}]}, now=clinic.time.now)
        assert _all(connection, url) == ["new"]


def _all(connection: db.Connection, url: str) -> list[str]:
    found = canonical.get(connection, "CodeSystem", url)
    rows = connection.execute(
        "SELECT code FROM fhir.concept WHERE system = %s ORDER BY ordinal", (found.id,)
    ).fetchall()
    return [row[0] for row in rows]
