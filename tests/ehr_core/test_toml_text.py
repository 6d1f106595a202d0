"""TOML written is TOML read: any tables come back the same."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any

import pytest
from feldsher_ehr_core.toml_text import TomlTextError, with_value, written
from hypothesis import given
from hypothesis import strategies as st

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_leaf = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _text
_value = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3))


@given(st.dictionaries(_text, _value, max_size=4))
def test_any_tables_come_back(values: dict[str, Any]) -> None:
    assert tomllib.loads(written(values)) == values


def test_it_is_written_for_people() -> None:
    text = written({"a": 1, "mqtt": {"heartbeat_s": 30.0}, "kit": [{"device": "k"}, {"device": "l"}]})
    expected = 'a = 1\n\n[mqtt]\nheartbeat_s = 30.0\n\n[[kit]]\ndevice = "k"\n\n[[kit]]\ndevice = "l"\n'
    assert text == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("mqtt.heartbeat_s", "30", {"mqtt": {"window": 16, "heartbeat_s": 30}}),
        ("timezone", "Europe/Moscow", {"mqtt": {"window": 16}, "timezone": "Europe/Moscow"}),
        ("timezone", '"UTC"', {"mqtt": {"window": 16}, "timezone": "UTC"}),
        (
            "kit",
            '[{device = "k", port = "/dev/x"}]',
            {"mqtt": {"window": 16}, "kit": [{"device": "k", "port": "/dev/x"}]},
        ),
        ("a.b.c", "true", {"mqtt": {"window": 16}, "a": {"b": {"c": True}}}),
    ],
)
def test_one_value_is_set(key: str, value: str, expected: dict[str, Any]) -> None:
    before = {"mqtt": {"window": 16}}
    assert with_value(before, key, value) == expected
    assert before == {"mqtt": {"window": 16}}


@pytest.mark.parametrize("key", ["a..b", "a.", "mqtt.window.x", "kit.0.port", "a b"])
def test_a_key_that_leads_nowhere_is_named(key: str) -> None:
    with pytest.raises(TomlTextError, match=key):
        with_value({"mqtt": {"window": 16}, "kit": [{"port": "x"}]}, key, "1")


def test_what_has_no_form_is_named() -> None:
    with pytest.raises(TomlTextError, match=r"a\.b: date"):
        written({"a": {"b": date(2026, 1, 1)}})
