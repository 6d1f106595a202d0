"""JSON Patch: every operation of RFC 6902 with its refusals, decimals, and patches that would grow without bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import patch_json
from feldsher_cloud_api.fhir.outcome import FhirError
from hypothesis import given
from hypothesis import strategies as st

JOHN: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [{"family": "Doe", "given": ["John", "Q"]}, {"text": "Johnny"}],
    "a/b": {"m~n": 1, "": 2},
}


def applied(*operations: dict[str, Any]) -> Any:
    return patch_json.apply(JOHN, list(operations))


DONE: list[tuple[dict[str, Any], str, Any]] = [
    ({"op": "add", "path": "/birthDate", "value": "1974"}, "birthDate", "1974"),
    ({"op": "add", "path": "/active", "value": False}, "active", False),
    ({"op": "add", "path": "/name/1", "value": {}}, "name", [JOHN["name"][0], {}, JOHN["name"][1]]),
    ({"op": "add", "path": "/name/2", "value": {}}, "name", [*JOHN["name"], {}]),
    ({"op": "add", "path": "/name/-", "value": None}, "name", [*JOHN["name"], None]),
    ({"op": "add", "path": "/a~1b/m~0n", "value": 3}, "a/b", {"m~n": 3, "": 2}),
    ({"op": "add", "path": "/a~1b/", "value": 3}, "a/b", {"m~n": 1, "": 3}),
    ({"op": "remove", "path": "/name/0"}, "name", [JOHN["name"][1]]),
    ({"op": "replace", "path": "/name/0/given/1", "value": "R"}, "name",
     [{"family": "Doe", "given": ["John", "R"]}, JOHN["name"][1]]),
    ({"op": "move", "from": "/name/1", "path": "/name/0"}, "name", JOHN["name"][::-1]),
    ({"op": "copy", "from": "/name/1", "path": "/name/0"}, "name", [JOHN["name"][1], *JOHN["name"]]),
    ({"op": "move", "from": "/active", "path": "/active"}, "active", True),
    ({"op": "test", "path": "/a~1b/m~0n", "value": Decimal("1.0")}, "active", True),
    ({"op": "test", "path": "/name/1", "value": {"text": "Johnny"}}, "active", True),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "place", "found"), DONE)
def test_each_operation(operation: dict[str, Any], place: str, found: Any) -> None:
    before = db.dumps(JOHN)
    assert applied(operation)[place] == found
    assert db.dumps(JOHN) == before


def test_removing_leaves_nothing_and_the_root_can_be_replaced() -> None:
    assert "active" not in applied({"op": "remove", "path": "/active"})
    assert applied({"op": "replace", "path": "", "value": {"x": 1}}) == {"x": 1}
    assert applied({"op": "add", "path": "", "value": [1]}) == [1]


@pytest.mark.parametrize(
    ("operation", "status", "where"),
    [
        ({"op": "add", "path": "/name/3", "value": 1}, 422, "patch[0].path"),
        ({"op": "add", "path": "/name/01", "value": 1}, 422, "patch[0].path"),
        ({"op": "add", "path": "/name/-1", "value": 1}, 422, "patch[0].path"),
        ({"op": "add", "path": "/name/x", "value": 1}, 422, "patch[0].path"),
        ({"op": "add", "path": "/nothing/x", "value": 1}, 422, "patch[0].path"),
        ({"op": "add", "path": "/active/x", "value": 1}, 422, "patch[0].path"),
        ({"op": "remove", "path": "/name/-"}, 422, "patch[0].path"),
        ({"op": "remove", "path": "/nothing"}, 422, "patch[0].path"),
        ({"op": "remove", "path": ""}, 422, "patch[0].path"),
        ({"op": "replace", "path": "/nothing", "value": 1}, 422, "patch[0].path"),
        ({"op": "move", "from": "/name", "path": "/name/0"}, 422, "patch[0].from"),
        ({"op": "move", "from": "/nothing", "path": "/x"}, 422, "patch[0].from"),
        ({"op": "test", "path": "/active", "value": 1}, 422, "patch[0].value"),
        ({"op": "test", "path": "/a~1b/m~0n", "value": True}, 422, "patch[0].value"),
        ({"op": "test", "path": "/name/0/given", "value": ["John"]}, 422, "patch[0].value"),
        ({"op": "add", "path": "name", "value": 1}, 400, "patch[0].path"),
        ({"op": "add", "path": "/a~2", "value": 1}, 400, "patch[0].path"),
        ({"op": "add", "path": 1, "value": 1}, 400, "patch[0].path"),
        ({"op": "add", "path": "/x"}, 400, "patch[0].value"),
        ({"op": "copy", "path": "/x"}, 400, "patch[0].from"),
        ({"op": "spam", "path": "/x"}, 400, "patch[0].op"),
        ({"path": "/x"}, 400, "patch[0].op"),
    ],
)
def test_refusals_name_the_operation(operation: dict[str, Any], status: int, where: str) -> None:
    with pytest.raises(FhirError) as refused:
        applied(operation)
    assert (refused.value.status, refused.value.expression) == (status, where)


@pytest.mark.parametrize("patch", [{}, "x", None, [1], [[]], [{"op": "remove", "path": "/active"}] * 1001])
def test_what_is_no_patch(patch: Any) -> None:
    with pytest.raises(FhirError) as refused:
        patch_json.apply(JOHN, patch)
    assert refused.value.status == 400


def test_copies_of_copies_do_not_fill_the_memory() -> None:
    doubling = [{"op": "copy", "from": "", "path": f"/x{i}"} for i in range(60)]
    with pytest.raises(FhirError) as refused:
        applied(*doubling)
    assert refused.value.status == 422


def test_nesting_has_an_end() -> None:
    with pytest.raises(FhirError) as refused:
        applied(*[{"op": "copy", "from": "", "path": "/x"}] * 440)
    assert refused.value.status == 422


def test_decimals_keep_their_digits() -> None:
    resource = db.loads('{"valueQuantity":{"value":1.10}}')
    patch = db.loads('[{"op":"add","path":"/low","value":2.500},{"op":"copy","from":"/valueQuantity","path":"/q"}]')
    assert db.dumps(patch_json.apply(resource, patch)) == (
        b'{"valueQuantity":{"value":1.10},"low":2.500,"q":{"value":1.10}}'
    )


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES, _VALUES)
def test_adding_then_testing_holds_and_removing_restores(document: Any, value: Any) -> None:
    resource = {"d": document}
    path = "/" + "new~key/".replace("~", "~0").replace("/", "~1")
    added = patch_json.apply(
        resource, [{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value}]
    )
    assert patch_json.same(patch_json.apply(added, [{"op": "remove", "path": path}]), resource)
