"""What counts as a difference between two interpretations, against a slow oracle."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec
import pytest
from feldsher_ehr_core.ecg import Measurements, Statement
from feldsher_ingest import replay_change
from feldsher_ingest.replay_change import NAMES, Change, Said, change, new_critical
from feldsher_signal import interpret, synth
from hypothesis import given
from hypothesis import strategies as st

Certainty = Literal["definite", "probable", "possible"]
CERTAINTIES: st.SearchStrategy[Certainty] = st.sampled_from(get_args(Certainty))
STATEMENTS = st.dictionaries(st.sampled_from("ABCDEF"), st.tuples(CERTAINTIES, st.booleans())).map(
    lambda held: tuple(Statement(code, "", certainty, (), critical) for code, (certainty, critical) in held.items())
)
VALUES = st.none() | st.integers(-180, 180).map(float)
SAID = st.builds(Said, STATEMENTS, st.builds(Measurements, **dict.fromkeys(NAMES, VALUES)))


def naive(before: Said, after: Said) -> Change:
    """Code by code and name by name, every question asked by itself."""
    old = {s.code: (s.certainty, s.critical) for s in before.statements}
    new = {s.code: (s.certainty, s.critical) for s in after.statements}
    shift, found, lost = _measured(before.measurements, after.measurements)
    return Change(
        added=tuple(c for c in new if c not in old),
        gone=tuple(c for c in old if c not in new),
        certainty={c: (old[c][0], new[c][0]) for c in new if c in old and old[c][0] != new[c][0]},
        critical=tuple(c for c in new if new[c][1] and (c not in old or not old[c][1])),
        calmed=tuple(c for c in new if c in old and old[c][1] and not new[c][1]),
        shift=shift,
        found=tuple(found),
        lost=tuple(lost),
    )


def _measured(before: Measurements, after: Measurements) -> tuple[dict[str, float], list[str], list[str]]:
    shift, found, lost = dict[str, float](), list[str](), list[str]()
    for name in NAMES:
        a, b = getattr(before, name), getattr(after, name)
        if a is not None and b is not None:
            turns = [b - a, b - a + 360, b - a - 360] if "axis" in name else [b - a]
            shift[name] = min(turns, key=lambda t: (abs(t), t))
        elif a is None and b is not None:
            found.append(name)
        elif a is not None:
            lost.append(name)
    return shift, found, lost


@given(SAID, SAID)
def test_every_difference_and_nothing_else(before: Said, after: Said) -> None:
    found = change(before, after)
    assert found == naive(before, after)
    assert new_critical(before, after) == found.critical
    assert msgspec.json.decode(msgspec.json.encode(found), type=Change) == found


@given(SAID)
def test_the_same_is_no_difference(said: Said) -> None:
    found = change(said, said)
    assert not found.differs
    assert set(found.shift.values()) <= {0.0}


def test_without_an_earlier_interpretation_every_critical_statement_is_new() -> None:
    after = Said((Statement("A", "", "definite", (), True), Statement("B", "", "definite", ())), Measurements())
    assert new_critical(None, after) == ("A",)


def test_a_stored_interpretation_is_read_as_far_as_it_is_compared() -> None:
    whole = interpret.interpret(synth.ecg(synth.PRESETS["normal"], 2.0)[0])
    assert replay_change.said(msgspec.msgpack.encode(whole)) == Said(whole.statements, whole.measurements)
    with pytest.raises(msgspec.DecodeError):
        replay_change.said(b"\xff\x00")
