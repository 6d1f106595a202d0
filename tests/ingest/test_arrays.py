"""Arrays as columns: the database reads from them what psycopg's own, value by value, says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from feldsher_ingest import arrays
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INT4 = st.integers(-(2**31), 2**31 - 1)
INT8 = st.integers(-(2**63), 2**63 - 1)
WORDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=9)
KINDS: list[tuple[str, Callable[[Any], arrays.Array], st.SearchStrategy[Sequence[Any]]]] = [
    ("int4", arrays.int4, st.lists(st.none() | INT4)),
    ("int8", arrays.int8, st.lists(st.none() | INT8)),
    ("bool", arrays.boolean, st.lists(st.booleans())),
    ("uuid", arrays.uuid, st.lists(st.uuids())),
    ("text", arrays.text, st.lists(st.none() | WORDS)),
    ("text", lambda some: arrays.words(tuple(some)), st.lists(WORDS)),
    ("float8", lambda some: arrays.floats(tuple(some)), st.lists(st.floats(allow_nan=False))),
    ("bytea", arrays.bytea, st.lists(st.none() | st.binary(max_size=9))),
]


@pytest.mark.parametrize(("kind", "made", "values"), KINDS, ids=[f"{kind} {i}" for i, (kind, _, _) in enumerate(KINDS)])
def test_the_database_reads_what_was_put_in(
    store_url: str, kind: str, made: Callable[[Any], arrays.Array], values: st.SearchStrategy[Sequence[Any]]
) -> None:
    query = f"select %(ours)b::{kind}[] is not distinct from %(theirs)s::{kind}[], %(ours)b::{kind}[]"  # noqa: S608 (our own type names)
    with psycopg.connect(store_url) as connection:

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(values)
        def same(some: Sequence[Any]) -> None:
            found = connection.execute(query.encode(), {"ours": made(some), "theirs": list(some)}).fetchone()
            assert found == (True, list(some))

        same()


def test_a_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        arrays.int4([2**31])


def test_an_empty_array_has_no_dimension() -> None:
    assert arrays.uuid(list[UUID]()) == bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0B, 0x86])
