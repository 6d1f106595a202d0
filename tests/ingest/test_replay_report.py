"""The report against figures counted by hand."""

from __future__ import annotations

from uuid import UUID

import msgspec
from feldsher_ingest.replay_change import Change
from feldsher_ingest.replay_report import NewCritical, Report, Shift, Statement, Tally, tables
from rich.console import Console

A, B, C, D = (UUID(int=i) for i in range(1, 5))
CHANGES = (
    (A, ["AFIB"], Change(added=("AFIB",), gone=("SR",), critical=("AFIB",), shift={"qt": 10.0, "pr": -4.0})),
    (B, list[str](), Change(certainty={"SR": ("probable", "definite")}, shift={"qt": -30.0}, lost=("pr",))),
    (C, list[str](), Change(shift={"qt": 2.0}, found=("pr",))),
)


def _tally() -> Tally:
    tally = Tally()
    tally.add((identity, codes, msgspec.json.encode(change).decode()) for identity, codes, change in CHANGES)
    tally.add([(D, ["VFIB"], None)])
    return tally


def test_everything_is_counted() -> None:
    tally = _tally()
    assert (tally.compared, tally.first, tally.differ) == (3, 1, 2)
    assert tally.statements() == {
        "AFIB": Statement("Atrial fibrillation", added=1, critical=1),
        "SR": Statement("Sinus rhythm", gone=1, certainty=1),
        "VFIB": Statement("No organised complexes: ventricular fibrillation or flutter", critical=1),
    }
    assert {code: dict(n) for code, n in tally.certainties.items()} == {"SR": {"probable → definite": 1}}
    # sorted: −30, 2, 10; distances 2, 10, 30, of which the 95th percentile lies at 0.9 between the last two
    assert tally.measurements() == {
        "qt": Shift(3, 2.0, 10.0, 28.0, 30.0),
        "pr": Shift(1, -4.0, 4.0, 4.0, 4.0, found=1, lost=1),
    }
    assert tally.critical == [NewCritical(A, ["AFIB"]), NewCritical(D, ["VFIB"])]


def test_a_person_reads_it_too() -> None:
    tally = _tally()
    found = Report(7, "feldsher 9", 5, 4, 1, tally.compared, tally.first, tally.differ, tally.statements(), {},
                   tally.measurements(), tally.critical, [])  # fmt: skip
    console = Console(width=160)
    with console.capture() as seen:
        for part in tables(found):
            console.print(part, highlight=False)
    text = seen.get()
    assert "2 of 3 differ in their statements" in text
    assert "2 recordings hold a new critical statement" in text
    assert f"{A}  AFIB" in text
    assert "Atrial fibrillation" in text
