"""Headers of FHIR requests: what they ask for, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from feldsher_cloud_api.fhir import headers
from feldsher_cloud_api.fhir.headers import Preference
from feldsher_cloud_api.fhir.outcome import FhirError

AT = datetime(2026, 11, 23, 12, 0, 0, 400_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, Preference()),
        ("return=minimal", Preference("minimal")),
        ("return=OperationOutcome; handling=lenient", Preference("OperationOutcome", lenient=True)),
        ("respond-async, return=representation", Preference(asynchronous=True)),
        ("return=everything, handling=strict", Preference()),
    ],
)
def test_preferences(text: str | None, wanted: Preference) -> None:
    assert headers.preference(text) == wanted


def test_if_match() -> None:
    assert [headers.expected(t) for t in (None, "*", 'W/"3"', '"3"', "3")] == [None, None, 3, 3, 3]
    for wrong in ('W/"x"', "", '"1", "2"', 'W/"99999999999"'):
        with pytest.raises(FhirError) as refused:
            headers.expected(wrong)
        assert refused.value.status == 400


def test_what_the_client_has_already() -> None:
    def same(none_match: str | None, since: str | None = None) -> bool:
        return headers.unchanged(3, AT, none_match, since)

    assert same('W/"3"')
    assert same('"1", W/"3"')
    assert same("*")
    assert not same('W/"2"', headers.modified(AT))
    assert same(None, headers.modified(AT))
    assert not same(None, "Mon, 23 Nov 2026 11:59:59 GMT")
    assert not same(None, "yesterday")
    assert not same(None)


def test_content_types() -> None:
    for good in (None, "application/fhir+json", "application/json; charset=utf-8", "text/json",
                 "application/fhir+json; fhirVersion=4.0"):  # fmt: skip
        headers.require_json(good)
    for wrong in ("application/fhir+xml", "text/plain", "application/fhir+json; fhirVersion=3.0"):
        with pytest.raises(FhirError) as refused:
            headers.require_json(wrong)
        assert refused.value.status == 415
    assert headers.is_json_patch("application/json-patch+json")
    assert not headers.is_json_patch("application/fhir+json")
    with pytest.raises(FhirError):
        headers.is_json_patch("application/merge-patch+json")
    assert headers.is_resource("application/fhir+json")
    assert not headers.is_resource("application/json")
