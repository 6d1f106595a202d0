"""Ids as text and as keys."""

from __future__ import annotations

from uuid import UUID

import pytest
from feldsher_cloud_api.fhir import identity


def test_a_canonical_uuid_is_its_own_key() -> None:
    text = "0199aa00-1111-7222-8333-444455556666"
    assert (identity.key(text), identity.logical(text)) == (UUID(text), None)


@pytest.mark.parametrize("text", ["example", "0199AA00-1111-7222-8333-444455556666", "a.b-C", "1"])
def test_any_other_text_has_a_key_and_is_kept(text: str) -> None:
    assert identity.logical(text) == text
    assert identity.key(text) == identity.key(text)
    assert identity.key(text) != identity.key(text + "x")
    assert identity.key(text).version == 5


@pytest.mark.parametrize(
    ("text", "good"), [("a" * 64, True), ("a" * 65, False), ("", False), ("a/b", False), ("ü", False)]
)
def test_what_can_be_an_id(text: str, good: bool) -> None:
    assert identity.is_id(text) is good
