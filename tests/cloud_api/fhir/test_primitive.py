"""Primitive types: what is one and what is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from feldsher_cloud_api.fhir.primitive import CHECKS

CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "base64Binary": (["QUJD", "QUI=", "QU JD\n"], ["", "QUJ", "Q===", "QU!D", 1]),
    "boolean": ([True, False], ["true", 1, None]),
    "canonical": (["http://a/b|1.0#x"], ["a b", ""]),
    "code": (["a", "a b"], ["", " a", "a ", "a  b"]),
    "date": (["2018", "1973-06", "1905-08-23", "2024-02-29"], ["18", "1973-13", "2023-02-29", "1905-8-3", "0000"]),
    "dateTime": (
        ["2018", "2015-02-07T13:28:17-05:00", "2017-01-01T00:00:00.000Z", "2016-12-31T23:59:60Z"],
        ["2015-02-07T13:28Z", "2015-02-07T13:28:17", "2015-02-07T24:00:00Z", "2015-02-30T13:28:17Z"],
    ),
    "decimal": ([1, 1.5, Decimal("1.10")], ["1", True, None]),
    "id": (["a-1.B"], ["", "a_b", "x" * 65]),
    "instant": (["2015-02-07T13:28:17.239+02:00"], ["2015-02-07", "2015-02-07T13:28:17"]),
    "integer": ([0, -(2**31), 2**31 - 1], [2**31, 1.0, True, "1"]),
    "markdown": (["# a\n\tb"], ["", "\x07"]),
    "oid": (["urn:oid:1.2.3"], ["1.2.3", "urn:oid:1.02"]),
    "positiveInt": ([1], [0]),
    "string": (["a", "é\r\n"], ["", "\x00", 1, "x" * ((1 << 20) + 1)]),
    "time": (["23:59:00", "00:00:00.5"], ["24:00:00", "23:59"]),
    "unsignedInt": ([0], [-1]),
    "uri": (["urn:x", "a/b"], ["a b", ""]),
    "url": (["http://a"], [""]),
    "uuid": (["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"], ["c757873d-ec9a-4326-a141-556f43239520"]),
    "xhtml": (["<div/>"], ["", 1]),
}


def test_every_primitive_type_is_here() -> None:
    assert set(CASES) == set(CHECKS)


@pytest.mark.parametrize("kind", CASES)
def test_values(kind: str) -> None:
    good, bad = CASES[kind]
    assert [v for v in good if not CHECKS[kind](v)] == []
    assert [v for v in bad if CHECKS[kind](v)] == []
