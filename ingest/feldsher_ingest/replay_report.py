"""What a re-interpretation has changed: statements, measurements, and the recordings with a new critical statement.

It is added up from the small differences that each task has kept beside its interpretations, so an archive of millions
takes minutes and little memory. Whose the recordings are, ingest does not know: the cloud counts the patients
(`feldsher-cloud reinterpreted`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import numpy as np
from feldsher_signal.registry import REGISTRY
from rich.table import Table

from feldsher_ingest import sql
from feldsher_ingest.replay import Connection, Run
from feldsher_ingest.replay_change import Change

MOST_FAILURES = 100
_QUERIES = sql.load("replay.sql")
_PAGE = 2000
_change = msgspec.json.Decoder(Change)
Line = tuple[UUID, list[str], str | None]
"""A recording, its new critical statements, and how it differs (JSON; None: its gateway had not interpreted it)."""


class Shift(msgspec.Struct, frozen=True):
    """How a measurement moved, after minus before, in its own unit; `p95` of the distances, whatever their direction.

    `n`: recordings in which it was measured both before and after; `found`, `lost`: only after, only before.
    """

    n: int
    median: float
    median_distance: float
    p95: float
    largest: float
    found: int = 0
    lost: int = 0


class Statement(msgspec.Struct, frozen=True):
    """In how many recordings a statement came, went, changed its certainty, became critical, or is so no more."""

    text: str
    added: int = 0
    gone: int = 0
    certainty: int = 0
    critical: int = 0
    calmed: int = 0


class NewCritical(msgspec.Struct, frozen=True):
    """A recording with new critical statements."""

    recording: UUID
    codes: list[str]


class Failure(msgspec.Struct, frozen=True):
    """A recording that could not be interpreted, and why."""

    recording: UUID
    reason: str


class Report(msgspec.Struct, frozen=True):
    """The comparison of a run with what the gateways said.

    `compared`: recordings that both interpreted; of them `differ` in statements. `first`: whose gateway had not
    interpreted them. `statements` by code, `certainties` by code and `before → after`, `measurements` by name.
    """

    run: int
    engine: str
    total: int
    done: int
    failed: int
    compared: int
    first: int
    differ: int
    statements: dict[str, Statement]
    certainties: dict[str, dict[str, int]]
    measurements: dict[str, Shift]
    new_critical: list[NewCritical]
    failures: list[Failure]


@dataclass(slots=True)
class Tally:
    """Adds lines up; `report` says what came of them."""

    compared: int = 0
    first: int = 0
    differ: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    certainties: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter[str]))
    shifts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list[float]))
    critical: list[NewCritical] = field(default_factory=list[NewCritical])

    def add(self, lines: Iterable[Line]) -> None:
        """Take lines in."""
        for identity, fresh, text in lines:
            if fresh:
                self.critical.append(NewCritical(identity, fresh))
            if text is None:
                self.first += 1
                self.counts["critical"].update(fresh)
            else:
                self._change(_change.decode(text))

    def _change(self, change: Change) -> None:
        self.compared += 1
        self.differ += change.differs
        for kind in ("added", "gone", "certainty", "critical", "calmed", "found", "lost"):
            self.counts[kind].update(list(getattr(change, kind)))  # of a dictionary, its keys
        for code, (before, after) in change.certainty.items():
            self.certainties[code][f"{before} → {after}"] += 1
        for name, moved in change.shift.items():
            self.shifts[name].append(moved)

    def statements(self) -> dict[str, Statement]:
        """Return what became of each statement, those with most changes first."""
        kinds = ("added", "gone", "certainty", "critical", "calmed")
        codes = {code for kind in kinds for code in self.counts[kind]}
        made = {c: Statement(_text(c), *(self.counts[kind][c] for kind in kinds)) for c in codes}
        return dict(sorted(made.items(), key=lambda item: (-_weight(item[1]), item[0])))

    def measurements(self) -> dict[str, Shift]:
        """Return how each measurement moved."""
        names = [*self.shifts, *self.counts["found"], *self.counts["lost"]]
        return {name: self._shift(name) for name in dict.fromkeys(names)}

    def _shift(self, name: str) -> Shift:
        moved = np.array(self.shifts[name] or [0.0])
        far = np.abs(moved)
        figures = (np.median(moved), np.median(far), np.percentile(far, 95), far.max())
        middle, distance, p95, largest = (round(float(figure), 3) for figure in figures)
        only = (self.counts["found"][name], self.counts["lost"][name])
        return Shift(len(self.shifts[name]), middle, distance, p95, largest, *only)


def report(connection: Connection, run: Run) -> Report:
    """Return the comparison of a run, as far as it is."""
    tally = Tally()
    with connection.transaction(), connection.cursor(name="replay_report") as cursor:
        cursor.execute(_QUERIES["changes"], {"run": run.run})
        while lines := cursor.fetchmany(_PAGE):
            tally.add(lines)
    failures = connection.execute(_QUERIES["failures"], {"run": run.run, "limit": MOST_FAILURES}).fetchall()
    return Report(
        run.run, run.engine, run.total, run.done, run.failed, tally.compared, tally.first, tally.differ,
        tally.statements(), {code: dict(n) for code, n in sorted(tally.certainties.items())}, tally.measurements(),
        tally.critical, [Failure(*row) for row in failures],
    )  # fmt: skip


def _text(code: str) -> str:
    entry = REGISTRY.get(code)
    return entry.text if entry else code


def _weight(found: Statement) -> int:
    return found.added + found.gone + found.certainty + found.critical + found.calmed


def tables(found: Report) -> list[str | Table]:
    """Return a report for a terminal, part by part."""
    parts: list[str | Table] = [
        f"run {found.run} by {found.engine}: {found.done} of {found.total} interpreted, {found.failed} failed",
        f"{found.differ} of {found.compared} differ in their statements from what their gateway said; "
        f"{found.first} had not been interpreted before",
    ]
    if found.statements:
        table = Table("code", "statement", "new", "gone", "certainty", "now critical", "no more critical")
        for code, s in found.statements.items():
            counts = (s.added, s.gone, s.certainty, s.critical, s.calmed)
            table.add_row(code, s.text, *(str(n) if n else "" for n in counts))
        parts.append(table)
    if found.measurements:
        table = Table("measurement", "both", "median shift", "median distance", "p95", "largest", "only now", "lost")
        for name, m in found.measurements.items():
            figures = (m.median, m.median_distance, m.p95, m.largest)
            table.add_row(name, str(m.n), *(f"{x:g}" for x in figures), str(m.found or ""), str(m.lost or ""))
        parts.append(table)
    parts.append(f"{len(found.new_critical)} recordings hold a new critical statement")
    parts += [f"  {c.recording}  {', '.join(c.codes)}" for c in found.new_critical]
    parts += [f"not interpreted: {f.recording}  {f.reason}" for f in found.failures]
    return parts
